"""What is wrong with a store, and what can still be read of a damaged one."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pal_plugin.errors import PalError, StoreError
from pal_plugin.oracle.store import engine, entries, schema
from pal_plugin.oracle.store.database import check_there, create
from pal_plugin.oracle.store.entries import Entry
from pal_plugin.oracle.store.store import RelationStore

if TYPE_CHECKING:
    from pal_plugin.data.manifest import Manifest

_SHOWN = 10  # problems of a file that are named
_MOST_ROWS = 1 << 17  # that are looked for where a table does not say how many it has
_PAGE_SIZES = [1 << power for power in range(9, 16)]
_STRIDE = 16  # rows between two looks for one that can be read


@dataclass(frozen=True)
class Health:
    """What a look at every page and row of a store found.

    Attributes:
        problems: what is wrong, in the database's own words; empty where it is sound.
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
        StoreError: a PostgreSQL store, nothing can be read, the data set is unknown, or something is at `out`.
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
    with _copy(path) as connection:
        problems = _problems(connection)
        try:
            there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.DatabaseError:
            return _Salvage(problems, None, None, [], [], 0)
        if not set(schema.tables.tables) <= there:
            raise StoreError(f"The database {path} holds no store of answers", "Name a store")
        rows = {name: _rows(connection, name, path.stat().st_size) for name in schema.tables.tables}
    manifest, secret = _meta(rows["meta"])
    ids = {row.number: str(row.id) for row in rows["samples"]}
    closed, lost = _whole(rows, len(ids) if manifest is None else manifest["size"])
    ordered = [ids[number] for number in sorted(ids) if isinstance(number, int)]
    return _Salvage(problems, manifest, secret, ordered, closed, lost)


def _problems(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what SQLite finds wrong with its file, in its own words."""
    try:
        found = [str(line) for (line,) in connection.execute(f"PRAGMA integrity_check({_SHOWN})")]
    except sqlite3.DatabaseError as error:
        return (str(error),)
    return () if found == ["ok"] else tuple(" ".join(line.split()) for line in found)


@contextlib.contextmanager
def _copy(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection to a copy: even reading brings a write-ahead log into the file."""
    with tempfile.TemporaryDirectory() as folder:
        for end in ("", "-wal"):
            if Path(f"{path}{end}").exists():
                shutil.copyfile(f"{path}{end}", Path(folder) / f"store{end}")
        _cut_to_pages(Path(folder) / "store")
        with contextlib.closing(sqlite3.connect(Path(folder) / "store")) as connection:
            connection.text_factory = lambda content: content.decode("utf-8", "replace")
            with contextlib.suppress(sqlite3.DatabaseError):
                connection.execute("PRAGMA writable_schema=ON")  # or SQLite reads nothing of a file that is cut short
            yield connection


def _cut_to_pages(path: Path) -> None:
    """Drop a part of a page at a file's end: SQLite would read zeros for the rest of it, and take them for answers."""
    with path.open("r+b") as file:
        page = int.from_bytes(file.read(18)[16:], "big")
        if page in _PAGE_SIZES:
            file.truncate(path.stat().st_size // page * page)


def _rows(connection: sqlite3.Connection, table: str, size: int) -> list[Any]:
    """Return the rows of a table that can be read: from each that cannot on, the next one that can is looked for."""
    names = [column.name for column in schema.tables.tables[table].columns]
    statement = f'SELECT rowid, {", ".join(names)} FROM "{table}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid'
    try:
        (last,) = connection.execute(f'SELECT max(rowid) FROM "{table}"').fetchone()
    except sqlite3.DatabaseError:
        last = min(size, _MOST_ROWS)
    found: list[Any] = []
    first: int | None = 0
    while first is not None and first <= (last or 0):
        try:
            for number, *row in connection.execute(statement, (first,)):
                if number < first:  # a damaged tree may lead back
                    raise sqlite3.DatabaseError("The rows are not in order")
                first = number + 1
                found.append(SimpleNamespace(**dict(zip(names, row, strict=True))))
            break
        except sqlite3.DatabaseError:
            first = _readable(connection, table, first, last)
    return found


def _readable(connection: sqlite3.Connection, table: str, lost: int, last: int) -> int | None:
    """Return the first row after a lost one from which a table can be read on; None where there is none.

    Rows are lost by the page. Fewer than a stride of them between two such pages are lost as well.
    """

    def can_be_read(row: int) -> bool:
        try:
            found = connection.execute(f'SELECT rowid FROM "{table}" NOT INDEXED WHERE rowid >= ? LIMIT 1', (row,))
            number = found.fetchone()
        except sqlite3.DatabaseError:
            return False
        return number is None or number[0] >= row

    for row in range(lost + _STRIDE, last + _STRIDE, _STRIDE):
        if can_be_read(row):
            bad, good = row - _STRIDE, row
            while good - bad > 1:
                middle = (bad + good) // 2
                bad, good = (bad, middle) if can_be_read(middle) else (middle, good)
            return good
    return None


def _meta(rows: list[Any]) -> tuple[dict[str, Any] | None, str | None]:
    try:
        manifest = json.loads(rows[0].manifest)
        str(manifest["digest"]), int(manifest["size"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None, None
    return manifest, str(rows[0].secret)


def _whole(rows: dict[str, list[Any]], num_samples: int) -> tuple[list[Entry], int]:
    """Return the closed questions of which nothing is missing, in their order, and how many are not whole."""
    parts: dict[str, dict[Any, list[Any]]] = {}
    for name in ("candidates", "answers"):
        ordered = sorted(rows[name], key=lambda row: (str(row.question), str(row.place).zfill(9)))
        parts[name] = {key: list(group) for key, group in itertools.groupby(ordered, key=lambda row: row.question)}
    closed, lost = [], 0
    for row in rows["questions"]:
        if row.state == schema.OPEN:
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
