"""What is wrong with a store, and what can still be read of a damaged one."""

from __future__ import annotations

import itertools
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Table

from pal_plugin.errors import PalError, StoreError
from pal_plugin.oracle.store import engine, entries, schema
from pal_plugin.oracle.store.damage import copy_of, differences, other_format, problems_of, rows_of
from pal_plugin.oracle.store.database import check_there, create, read_reference
from pal_plugin.oracle.store.entries import Entry
from pal_plugin.oracle.store.store import RelationStore

if TYPE_CHECKING:
    from pal_plugin.data.manifest import Manifest


@dataclass(frozen=True)
class Health:
    """What a look at every page and row of a store found.

    Attributes:
        problems: what is wrong with the file, its tables and its format; empty where it is sound.
        questions: closed questions that can be read whole.
        answers: relations in them.
        lost: closed questions that are there, and not whole.
        complete: whether the data set's reference and the names of all samples can be read.
    """

    problems: tuple[str, ...]
    questions: int
    answers: int
    lost: int
    complete: bool


@dataclass(frozen=True)
class _Salvage:
    problems: tuple[str, ...]
    manifest: dict[str, Any] | None
    secret: str | None
    ids: list[str]
    closed: list[Entry]
    lost: int

    @property
    def complete(self) -> bool:
        return self.manifest is not None and len(self.ids) == self.manifest["size"]


def check(where: str | os.PathLike[str]) -> Health:
    """Look at every page and row of a store; nothing is changed.

    Of a PostgreSQL store only the rows are looked at: `pg_amcheck` looks at the server's files.

    Raises:
        ConfigError: a URL of no kind that is known, or no driver for it.
        StoreError: there is no file, or a server is out of reach.
    """
    if engine.is_url(where):
        with RelationStore.open(where) as store:
            closed = [entry for entry in store.questions() if entry.state != schema.OPEN]
            return Health((), len(closed), _relations(closed), 0, len(store.ids()) == store.num_samples)
    found = _salvage(Path(where))
    return Health(found.problems, len(found.closed), _relations(found.closed), found.lost, found.complete)


def recover(where: str | os.PathLike[str], out: str | os.PathLike[str], manifest: Manifest | None = None) -> Health:
    """Write what can be read of a damaged SQLite store to a new store: every closed question that is whole.

    Args:
        where: the damaged file; nothing of it is changed.
        out: path or URL of the new store.
        manifest: the data set, where the file does not say any more which it is of.

    Returns:
        What was found.

    Raises:
        StoreError: a PostgreSQL store, no question of a damaged one can be read, the data set is unknown, or
            something is at `out`.
        ManifestError: the file is of another data set.
    """
    if engine.is_url(where):
        raise StoreError(
            f"The store {engine.place_of(where)} is kept by a server", "Restore it by pg_restore, or look by pg_amcheck"
        )
    found = _salvage(Path(where))
    if manifest is not None and found.manifest is not None:
        from pal_plugin.data.manifest import check_reference  # its room imports torch

        check_reference(found.manifest, manifest, what="The store", path=where, made_by="from a copy of it")
    if (found.problems or found.lost) and not found.closed:
        why = f" ({found.problems[0]})" if found.problems else ""
        raise StoreError(
            f"Nothing can be recovered of the store {where}: no answered question in it is whole{why}",
            "Restore the file from a copy",
        )
    if manifest is None and not found.complete:
        raise StoreError(
            f"The store {where} does not say any more which samples its answers are of", "Name the data set by --data"
        )
    reference = manifest.reference() if manifest is not None else found.manifest
    ids = list(manifest.ids) if manifest is not None else found.ids
    create(out, reference or {}, ids, secret=found.secret)
    with RelationStore(out) as store:
        store.take_in(found.closed)
    return Health(found.problems, len(found.closed), _relations(found.closed), found.lost, found.complete)


def _relations(closed: list[Entry]) -> int:
    return sum(len(entry.question) for entry in closed if entry.state == schema.ANSWERED)


def _salvage(path: Path) -> _Salvage:
    check_there(path)
    with copy_of(path) as connection:
        problems = problems_of(connection)
        try:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError:
            return _Salvage(problems, None, None, [], [], 0)
        if not {schema.meta.name, schema.questions.name} & there:
            raise StoreError(f"The database {path} holds no store of answers", "Name a store")
        problems += differences(connection, there)
        rows = {name: rows_of(connection, name, path.stat().st_size) for name in schema.tables.tables}
    if schema.meta.name in there:
        problems += other_format(rows[schema.meta.name])
    manifest, secret = _meta(rows["meta"])
    ids = {row.number: str(row.id) for row in rows["samples"] if _filled(schema.samples, row)}
    closed, lost = _whole(rows, len(ids) if manifest is None else manifest["size"])
    ordered = [ids[number] for number in sorted(ids) if isinstance(number, int)]
    return _Salvage(problems, manifest, secret, ordered, closed, lost)


def _meta(rows: list[Any]) -> tuple[dict[str, Any] | None, str | None]:
    manifest = read_reference(rows[0].manifest) if rows else None
    if manifest is None:
        return None, None
    return manifest, None if rows[0].secret is None else str(rows[0].secret)


def _filled(table: Table, row: Any) -> bool:
    """Return whether a row has all that no row of the table can do without."""
    return all(getattr(row, column.name) is not None for column in table.columns if not column.nullable)


def _whole(rows: dict[str, list[Any]], num_samples: int) -> tuple[list[Entry], int]:
    """Return the closed questions of which nothing is missing, in their order, and how many are not whole."""
    parts: dict[str, dict[Any, list[Any]]] = {}
    for table in (schema.candidates, schema.answers):
        name, filled = table.name, [row for row in rows[table.name] if _filled(table, row)]
        ordered = sorted(filled, key=lambda row: (str(row.question), str(row.place).zfill(9)))
        parts[name] = {key: list(group) for key, group in itertools.groupby(ordered, key=lambda row: row.question)}
    closed, lost = [], 0
    for row in rows["questions"]:
        if row.state == schema.OPEN:
            continue
        if not _filled(schema.questions, row):
            lost += 1
            continue
        try:
            pairs, given = parts["candidates"].get(row.id, []), parts["answers"].get(row.id, [])
            closed.append(_entry(row, pairs, given, num_samples))
        except (PalError, ValueError, TypeError, AttributeError, IndexError):  # a flipped bit may put anything anywhere
            lost += 1
    return sorted(closed, key=lambda entry: (entry.closed or 0, entry.id)), lost


def _entry(row: Any, pairs: list[Any], given: list[Any], num_samples: int) -> Entry:
    answered = row.state == schema.ANSWERED or bool(given)
    if len(pairs) != row.size or (answered and len(given) != row.size):
        raise ValueError("A part is missing")
    joined = []
    for place, pair in enumerate(pairs):
        relation, confidence = (given[place].relation, given[place].confidence) if answered else (None, None)
        joined.append(SimpleNamespace(**vars(row), i=pair.i, j=pair.j, relation=relation, confidence=confidence))
    entry = entries.from_rows(joined)
    entries.check_name(entry.annotator or "")
    entries.check_cost(entry.seconds, entry.clicks)
    if max(entry.question.i.max(), entry.question.j.max()) >= num_samples or entry.uuid is None:
        raise ValueError("A sample is out of range")
    if entry.relations is not None and entry.confidence is not None:
        entries.checked_relations(entry.question, entry.relations)
        entries.checked_confidence(entry.question, entry.confidence)
    return entry
