"""Putting the answers of one store into another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from pal_plugin.oracle.store import entries, schema
from pal_plugin.oracle.store.entries import Entry


@dataclass(frozen=True)
class Merged:
    """What came of it.

    Attributes:
        taken: questions that were not here before.
        known: questions that were here already.
        undone: those of them that were undone there since, and now are here as well.
    """

    taken: int = 0
    known: int = 0
    undone: int = 0


def take_in(connection: Connection, revision: int, others: Iterable[Entry]) -> Merged:
    """Insert closed questions that are not here yet, in their order, behind all that are.

    A question is the same where its answer's uuid is; taking it in once more changes nothing, unless it was undone.
    """
    columns = schema.questions.c
    there = connection.execute(select(columns.uuid, columns.id, columns.state)).all()
    here = {row.uuid: (row.id, row.state) for row in there}
    taken = known = undone = 0
    for entry in others:
        number, state = here.get(entry.uuid, (None, entry.state))
        if number is None:
            number = _insert(connection, revision, entry)
            taken += 1
        else:
            known += 1
            if entry.state == schema.UNDONE != state:
                entries.update(connection, number, state=schema.UNDONE)
                undone += 1
        here[entry.uuid] = (number, entry.state if entry.state == schema.UNDONE else state)
    return Merged(taken, known, undone)


def _insert(connection: Connection, revision: int, entry: Entry) -> int:
    question = entry.question
    number = entries.write_question(
        connection, question, annotator=entry.annotator, source=entry.source, drawn_at=entry.drawn_at
    )
    if entry.relations is not None and entry.confidence is not None:
        entries.write_answers(connection, number, question, entry.relations, entry.confidence)
    values = {
        "uuid": entry.uuid,
        "state": entry.state,
        "closed": revision,
        "closed_at": entry.closed_at,
        "seconds": entry.seconds,
        "clicks": entry.clicks,
    }
    entries.update(connection, number, **values)
    return number
