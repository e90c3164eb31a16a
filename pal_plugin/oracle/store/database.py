"""The database of a store: made in one transaction, opened with a look at its health, written by one at a time."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pal_plugin.arrays import nothing_at
from pal_plugin.errors import StoreError
from pal_plugin.oracle.store import engine as engines
from pal_plugin.oracle.store.schema import FORMAT, meta, samples, tables

_CREATION = 0x70616C  # number of the lock that one creation of a store holds against another
_NEW = "Name a new file, or a database schema without tables of these names"
MADE_BY = "`pal oracle run` or `pal oracle serve` with a new --store"


class Database:
    """A database that holds the tables of a store.

    Args:
        where: a path (SQLite) or a PostgreSQL URL.

    Attributes:
        place: `where` for messages, without a password.
        manifest: reference of the data set.
        secret: random key, 64 hexadecimal digits.

    Raises:
        ConfigError: a URL of no kind that is known, or no driver for it.
        StoreError: there is no store, or it is damaged, of another format, locked or out of reach.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self.place = engines.place_of(where)
        self._engine = engines.connect(where)  # a URL of another kind is no path: its password would be named as one
        if not engines.is_url(where):
            _check_file(Path(where))
        try:
            with self.reading() as connection:
                self.manifest, self.secret = _contents(connection, self.place)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that sees one state of the database throughout."""
        with engines.translated(self.place), self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # SQLite's transactions are so anyway
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[Connection, int]]:
        """Yield a connection that alone writes, and the number of this write: all of it is done at the end, or nothing.

        Who waits for the next revision waits for its writer to be done. So questions get their numbers in the order in
        which they become visible, with PostgreSQL as well.
        """
        with (
            engines.translated(self.place),
            self._engine.connect().execution_options(**{engines.WRITES: True}) as connection,
            connection.begin(),
        ):
            connection.execute(meta.update().values(revision=meta.c.revision + 1))
            yield connection, connection.execute(sqlalchemy.select(meta.c.revision)).scalar_one()

    def close(self) -> None:
        """Close all connections; SQLite then brings its write-ahead log into the file."""
        self._engine.dispose()


def create(
    where: str | os.PathLike[str],
    manifest: Mapping[str, Any],
    ids: Sequence[str],
    *,
    secret: str | None = None,
    exist_ok: bool = False,
) -> None:
    """Make the tables of a new store, all or nothing.

    Args:
        where: a path (SQLite; its folder is made) or a PostgreSQL URL.
        manifest: reference of the data set.
        ids: of its N samples, in order.
        secret: of a store that this one stands for; None: a new one.
        exist_ok: leave a store that is there already as it is.

    Raises:
        ConfigError: a URL of no kind that is known, or no driver for it.
        StoreError: something is there already, or it cannot be written.
    """
    place = engines.place_of(where)
    engine = engines.connect(where)
    try:
        with engines.translated(place):
            if not engines.is_url(where):
                _prepare_file(Path(where))
            with engine.connect().execution_options(**{engines.WRITES: True}) as connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    connection.execute(sqlalchemy.select(sqlalchemy.func.pg_advisory_xact_lock(_CREATION)))
                if not _occupied(connection, place, exist_ok):
                    _fill(connection, manifest, ids, secret or secrets.token_hex(32))
    finally:
        engine.dispose()


def _occupied(connection: Connection, place: str, exist_ok: bool) -> bool:
    """Return whether a store is there already, which `exist_ok` allows; anything else in its place is refused."""
    there = set(sqlalchemy.inspect(connection).get_table_names())
    ours = set(tables.tables)
    if ours <= there and exist_ok:
        return True
    if there & ours or (there and connection.dialect.name == "sqlite"):
        raise StoreError(f"There is something at {place} already: the tables {', '.join(sorted(there))}", _NEW)
    return False


def _fill(connection: Connection, manifest: Mapping[str, Any], ids: Sequence[str], secret: str) -> None:
    tables.create_all(connection)
    reference = json.dumps(dict(manifest))
    connection.execute(meta.insert().values(format=FORMAT, revision=0, manifest=reference, secret=secret))
    if len(ids):
        connection.execute(samples.insert(), [{"number": number, "id": name} for number, name in enumerate(ids)])


def check_there(path: Path) -> None:
    """Refuse a path where no file with content is.

    Raises:
        StoreError: nothing, a folder, or an empty file.
    """
    if not path.exists():
        mend = f"Check the path, or make a store by {MADE_BY}"
        raise nothing_at(path, "There is no store of answers", "*.*", StoreError, mend)
    if path.is_dir():
        raise StoreError(f"{path} is a folder, and a store of answers is a file", "Name the file")
    if path.stat().st_size == 0:
        raise StoreError(f"The file {path} is empty, and no store of answers", "Restore it, or remove it to start anew")


def _check_file(path: Path) -> None:
    check_there(path)
    with engines.translated(str(path)), _sqlite(engines.connect(path)) as connection:
        found = list(connection.exec_driver_sql("PRAGMA quick_check(3)").scalars())
        if found == ["ok"]:
            orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").mappings().fetchmany(3)
            found = [f"{row['table']}, row {row['rowid']}: not in {row['parent']}" for row in orphans] or found
    if found != ["ok"]:
        raise StoreError(
            f"The store {path} is damaged ({'; '.join(' '.join(line.split()) for line in found)})",
            engines.repair(str(path)),
        )


@contextlib.contextmanager
def _sqlite(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _prepare_file(path: Path) -> None:
    """Give an SQLite file without tables a write-ahead log: readers do not wait for writers then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=engines.PATIENCE)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.Error as error:
        raise DBAPIError("PRAGMA journal_mode", None, error) from error


def _contents(connection: Connection, place: str) -> tuple[dict[str, Any], str]:
    """Return manifest and secret of a store of this format."""
    columns = {column["name"] for column in _columns(connection)}
    if not {"format", "revision", "manifest", "secret"} <= columns:
        raise StoreError(f"The database {place} holds no store of answers", f"Make one by {MADE_BY}")
    rows = connection.execute(sqlalchemy.select(meta.c.format, meta.c.manifest, meta.c.secret)).all()
    if len(rows) != 1 or rows[0].format != FORMAT:
        found = ", ".join(str(row.format) for row in rows) or "none"
        raise StoreError(
            f"The store {place} has the format {found}, and this program reads format {FORMAT}",
            "Use the version of pal-plugin that wrote it, and `pal oracle export` there",
        )
    manifest = read_reference(rows[0].manifest)
    if manifest is None:
        raise StoreError(f"The store {place} does not say which data set it is of", "Restore the file from a copy")
    return manifest, rows[0].secret


def read_reference(text: object) -> dict[str, Any] | None:
    """Return the reference of a data set that a store's JSON holds; None where it is not whole."""
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(found.get(key), str) for key in ("name", "split", "digest")):
        return None
    size = found.get("size")
    return found if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def _columns(connection: Connection) -> list[Any]:
    inspector = sqlalchemy.inspect(connection)
    return inspector.get_columns("meta") if inspector.has_table("meta") else []
