"""One question of a store with all that is known of it, and how it is read from the tables and written to them."""

from __future__ import annotations

import itertools
import math
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Connection, and_, select

from pal_plugin.errors import OracleError, StoreError
from pal_plugin.oracle.questions import Grid, Pairs, Question
from pal_plugin.oracle.store.engine import repair
from pal_plugin.oracle.store.schema import answers, candidates, questions

TAKEN_BACK = "undone:"
"""Source of a question that is asked once more, followed by the uuid of the answer that was taken back.

The uuid stays the same where stores are merged, and numbers do not.
"""

_MOST_CLICKS = 2**31 - 1
_NAME = re.compile(r"[\w .@-]{1,64}")


class MovedError(StoreError):
    """Others wrote to a store since its writer looked at it: what was to be written may not fit any more."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A question and what became of it.

    Attributes:
        id: number of the question; later ones have higher numbers.
        question: what was asked.
        state: "open", "answered", "skipped" or "undone".
        annotator: who has it, or had it; None: nobody yet.
        source: what drew it: a strategy, a file.
        relations: (m,) int8 of +1, −1 or 0 (not sure), also where they were undone; None where there are none.
        confidence: (m,) float64 in (0, 1]; None where there are no relations.
        closed: the store's revision when it was answered or skipped, which orders the answers; None while it is open.
        uuid: of the answer, the same in every store that it is merged into; None while the question is open.
        drawn_at: seconds since 1970, when it was put, or taken by whoever has it.
        closed_at: seconds since 1970; None while it is open.
        seconds: that the annotator took.
        clicks: that the annotator needed.
    """

    id: int
    question: Question
    state: str
    annotator: str | None
    source: str
    relations: npt.NDArray[np.int8] | None
    confidence: npt.NDArray[np.float64] | None
    closed: int | None
    uuid: str | None
    drawn_at: float
    closed_at: float | None
    seconds: float
    clicks: int


def read(connection: Connection, *conditions: ColumnElement[bool], by_closing: bool = False) -> Iterator[Entry]:
    """Yield the questions that meet all conditions, in the order of their numbers, or in that of their closing."""
    joined = questions.join(candidates, candidates.c.question == questions.c.id).outerjoin(
        answers, and_(answers.c.question == questions.c.id, answers.c.place == candidates.c.place)
    )
    statement = (
        select(questions, candidates.c.i, candidates.c.j, answers.c.relation, answers.c.confidence)
        .select_from(joined)
        .where(*conditions)
        .order_by(*([questions.c.closed] if by_closing else []), questions.c.id, candidates.c.place)
    )
    for _, group in itertools.groupby(connection.execute(statement), key=lambda row: row.id):
        yield from_rows(list(group))


def write_question(
    connection: Connection, question: Question, *, annotator: str | None, source: str, drawn_at: float
) -> int:
    """Insert an open question and return its number."""
    row = {
        "kind": question.kind,
        "size": len(question),
        "annotator": annotator,
        "source": source,
        "state": "open",
        "drawn_at": drawn_at,
        "seconds": 0.0,
        "clicks": 0,
    }
    inserted = connection.execute(questions.insert().values(**row)).inserted_primary_key
    number = int(inserted[0]) if inserted else 0
    pairs = zip(question.i.tolist(), question.j.tolist(), strict=True)
    connection.execute(
        candidates.insert(), [{"question": number, "place": k, "i": i, "j": j} for k, (i, j) in enumerate(pairs)]
    )
    return number


def write_answers(
    connection: Connection,
    number: int,
    question: Question,
    relations: npt.NDArray[np.int8],
    confidence: npt.NDArray[np.float64],
) -> None:
    """Insert the relations (m,) that were given to a question's pairs, and the confidence (m,) in them."""
    lower, higher = np.minimum(question.i, question.j).tolist(), np.maximum(question.i, question.j).tolist()
    given = zip(lower, higher, relations.tolist(), confidence.tolist(), strict=True)
    connection.execute(
        answers.insert(),
        [
            {"question": number, "place": place, "a": a, "b": b, "relation": relation, "confidence": trust}
            for place, (a, b, relation, trust) in enumerate(given)
        ],
    )


def update(connection: Connection, number: int, **values: object) -> None:
    """Change columns of a question."""
    connection.execute(questions.update().where(questions.c.id == int(number)).values(**values))


def close(
    connection: Connection, number: int, revision: int, state: str, annotator: str, seconds: float, clicks: int
) -> None:
    """Close an open question."""
    # The identity is the answer's and not the question's: two copies of a store may answer one open question.
    values = {"uuid": str(uuid.uuid4()), "state": state, "annotator": annotator, "closed": revision}
    update(connection, number, **values, closed_at=time.time(), seconds=float(seconds), clicks=int(clicks))


def checked_relations(question: Question, relations: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Return the relations given to a question's m pairs as (m,) int8.

    Raises:
        OracleError: another number of them, or one that is not +1, −1 or 0.
    """
    given = np.asarray(relations)
    if given.shape != (len(question),):
        raise OracleError(
            f"A question of {len(question)} pairs has an answer of shape {given.shape}", "Give each pair a relation"
        )
    if not np.isin(given, (-1, 0, 1)).all():
        raise OracleError(
            f"{given[~np.isin(given, (-1, 0, 1))][0]!r} is no relation", "Answer +1, −1, or 0 for not sure"
        )
    return given.astype(np.int8)


def checked_confidence(question: Question, confidence: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return the confidence in each of a question's m answers as (m,) float64.

    Raises:
        OracleError: one that is not in (0, 1], or not one for all or one for each.
    """
    values = np.asarray(confidence, dtype=np.float64)
    if values.shape not in ((), (len(question),)):
        raise OracleError(
            f"A question of {len(question)} pairs has confidences of shape {values.shape}", "Give one, or one each"
        )
    if not ((values > 0) & (values <= 1)).all():
        raise OracleError(f"confidence={confidence!r} is none", "Give numbers above 0 and at most 1")
    return np.broadcast_to(values, (len(question),)).copy()


def check_name(annotator: str) -> None:
    """Refuse what is no annotator's name.

    Raises:
        OracleError: not 1 to 64 letters, digits, spaces and any of . _ @ -.
    """
    if not (isinstance(annotator, str) and _NAME.fullmatch(annotator) and annotator.strip()):
        raise OracleError(
            f"{annotator!r} is no annotator's name", "Use 1 to 64 letters, digits, spaces and any of . _ @ -"
        )


def check_cost(seconds: float, clicks: int | None) -> None:
    """Refuse what no answer can cost.

    Raises:
        OracleError: a time or a number of clicks below 0, or none, or more clicks than a database has numbers for.
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise OracleError(f"An answer took seconds={seconds!r}", "Give a time of 0 or more")
    if clicks is not None and not 0 <= clicks <= _MOST_CLICKS:
        raise OracleError(f"An answer took clicks={clicks!r}", f"Give a number of 0 to {_MOST_CLICKS}")


def check_open(entry: Entry, annotator: str) -> None:
    """Refuse what an annotator cannot close.

    Raises:
        OracleError: a question that is closed, or another's.
    """
    if entry.state != "open":
        whom = "you" if entry.annotator == annotator else entry.annotator
        raise OracleError(
            f"Question {entry.id} is closed: {entry.state} by {whom}", "Undo it first, or answer the next one"
        )
    if entry.annotator not in (None, annotator):
        raise OracleError(f"Question {entry.id} is {entry.annotator}'s, not {annotator}'s", "Answer one of your own")


def from_rows(rows: Sequence[Any]) -> Entry:
    """Return the question of which these are the joined rows, one a pair, in their order.

    Raises:
        StoreError: there are too few or too many, or some have a relation and others none.
    """
    first = rows[0]
    i = np.array([row.i for row in rows], dtype=np.int64)
    j = np.array([row.j for row in rows], dtype=np.int64)
    answered = first.relation is not None
    if len(rows) != first.size or any((row.relation is None) == answered for row in rows):
        raise StoreError(f"Question {first.id} of the store is damaged: a part of it is missing", repair("STORE"))
    return Entry(
        id=first.id,
        question=Grid(int(i[0]), j) if first.kind == "grid" else Pairs(i, j),
        state=first.state,
        annotator=first.annotator,
        source=first.source,
        relations=np.array([row.relation for row in rows], dtype=np.int8) if answered else None,
        confidence=np.array([row.confidence for row in rows], dtype=np.float64) if answered else None,
        closed=first.closed,
        uuid=first.uuid,
        drawn_at=first.drawn_at,
        closed_at=first.closed_at,
        seconds=first.seconds,
        clicks=first.clicks,
    )
