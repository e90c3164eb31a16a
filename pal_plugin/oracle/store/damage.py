"""A damaged SQLite file: what is wrong with it, and the rows of its tables that can still be read."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pal_plugin.oracle.store import schema

_SHOWN = 10  # problems of a file that are named
_MOST_ROWS = 1 << 17  # that are looked for where a table does not say how many it has
_PAGE_SIZES = [1 << power for power in range(9, 16)]
_STRIDE = 16  # rows between two looks for one that can be read


def problems_of(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Return what SQLite finds wrong with its file, in its own words."""
    try:
        found = [str(line) for (line,) in connection.execute(f"PRAGMA integrity_check({_SHOWN})")]
    except sqlite3.DatabaseError as error:
        return (str(error),)
    if found != ["ok"]:
        return tuple(" ".join(line.split()) for line in found)
    try:
        orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(_SHOWN)
    except sqlite3.DatabaseError:  # a table or column is missing, which is told otherwise
        return ()
    return tuple(f"{table}, row {row}: not in {parent}" for table, row, parent, _ in orphans)


def differences(connection: sqlite3.Connection, there: set[str]) -> tuple[str, ...]:
    """Return which tables and columns of ours a database lacks."""
    lacking = []
    for name, table in schema.tables.tables.items():
        if name not in there:
            lacking.append(f"The table {name} is missing")
            continue
        missing = [column.name for column in table.columns if column.name not in _columns(connection, name)]
        lacking += [f"The table {name} has no column {column}" for column in missing]
    return tuple(lacking)


def other_format(rows: list[Any]) -> tuple[str, ...]:
    """Return what is wrong with the format that a store says it has; where it says none, a column or row is missing."""
    found = [row.format for row in rows if row.format is not None]
    if len(rows) == 1 and found in ([], [schema.FORMAT]):
        return ()
    formats = ", ".join(str(number) for number in found) or "none"
    return (f"It has the format {formats}, and this program reads format {schema.FORMAT}",)


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    try:
        return [name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')]
    except sqlite3.DatabaseError:
        return []


@contextlib.contextmanager
def copy_of(path: Path) -> Iterator[sqlite3.Connection]:
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


def rows_of(connection: sqlite3.Connection, table: str, size: int) -> list[Any]:
    """Return the rows of a table that can be read: from each that cannot on, the next one that can is looked for.

    A column that the table lacks is None in each.
    """
    names = [column.name for column in schema.tables.tables[table].columns]
    there = _columns(connection, table)
    if not there:
        return []
    values = ", ".join(f'"{name}"' if name in there else "NULL" for name in names)
    statement = f'SELECT rowid, {values} FROM "{table}" NOT INDEXED WHERE rowid >= ? ORDER BY rowid'
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
