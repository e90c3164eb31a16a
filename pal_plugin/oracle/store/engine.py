"""Connections to the database of a store, and what goes wrong with one, said in a sentence."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError

from pal_plugin.errors import ConfigError, StoreError

WRITES = "pal_plugin_writes"
PATIENCE = 30  # seconds that a writer waits for another one
_SECRETS = ("password", "sslpassword")  # what of a URL's query is not for messages
_POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")

# What the databases say, in lower case, what it means, and what mends it ("": `repair`); the first that fits counts.
_CAUSES = (
    ("file is not a database", "is no SQLite database, or its first page is damaged", ""),
    ("malformed", "is damaged", ""),
    ("locked", "is locked by another process", "Wait until that one is done, or end it"),
    ("lock timeout", "is locked by another process", "Wait until that one is done, or end it"),
    ("database or disk is full", "cannot grow: no space is left on its disk", "Free some; nothing is half-written"),
    ("disk i/o error", "cannot be read or written: the disk fails, or is full", "Free some space, or move the store"),
    ("no space left", "cannot grow: no space is left on its disk", "Free some; nothing is half-written"),
    ("readonly", "is read-only", "Change the permissions of the file and of its folder, or copy both"),
    ("read-only", "is read-only", "Connect as a user who may write"),
    ("unable to open", "cannot be opened", "Check the path, and the permissions of the file and of its folder"),
    ("permission denied", "may not be used by this user", "Grant it, or connect as another user"),
)
_UNREACHABLE = "Check the address, the user and the password, and that the server runs"


def is_url(where: str | os.PathLike[str]) -> bool:
    """Return whether `where` is the URL of a PostgreSQL database rather than a path."""
    return isinstance(where, str) and where.startswith(_POSTGRES)


def place_of(where: str | os.PathLike[str]) -> str:
    """Return a path as it is, or a PostgreSQL URL for messages: without a password, wherever in it that stands.

    Raises:
        ConfigError: a PostgreSQL URL that cannot be read.
    """
    if not is_url(where):
        return os.fspath(where)
    return _url(where).difference_update_query(_SECRETS).render_as_string(hide_password=True)


def connect(where: str | os.PathLike[str]) -> Engine:
    """Return an engine for a path (SQLite) or a PostgreSQL URL; it connects when it is used.

    Raises:
        ConfigError: a URL of another kind, or one of PostgreSQL without its driver.
    """
    if is_url(where):
        return _postgres(where)
    if "://" in os.fspath(where):
        raise ConfigError(
            f"{os.fspath(where).split('://')[0]}:// is no kind of store",
            "Name a file, or a postgresql://USER@HOST/DATABASE URL",
        )
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(Path(where))), connect_args={"timeout": PATIENCE}
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def repair(place: str) -> str:
    """Return what mends a damaged store."""
    return f"`pal oracle check --store {place} --recover NEW` writes what can still be read of it to a new store"


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise what the database raises as an error that names the store and says what mends it.

    Raises:
        StoreError: the database is damaged, locked, read-only, full or out of reach.
    """
    try:
        yield
    except UnicodeDecodeError as error:  # Python's sqlite3 fails to read SQLite's own message, which quotes the schema
        raise StoreError(f"The store {place} is damaged (in its schema is what is no text)", repair(place)) from error
    except DBAPIError as error:
        said = str(error.orig).strip()
        first = said.splitlines()[0] if said else type(error.orig).__name__
        for words, meaning, mend in _CAUSES:
            if words in said.lower():
                raise StoreError(f"The store {place} {meaning} ({first})", mend or repair(place)) from error
        if isinstance(error, sqlalchemy.exc.OperationalError) and "sqlite" not in type(error.orig).__module__:
            raise StoreError(f"The store {place} cannot be reached ({first})", _UNREACHABLE) from error
        if isinstance(error, sqlalchemy.exc.DatabaseError):
            raise StoreError(f"The store {place} does not work ({first})", repair(place)) from error
        raise


def _url(where: str | os.PathLike[str]) -> sqlalchemy.URL:
    try:
        url = sqlalchemy.make_url(os.fspath(where))
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            "The URL of the store cannot be read", "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from error
    return url.set(drivername="postgresql+psycopg")


def _postgres(where: str | os.PathLike[str]) -> Engine:
    try:
        return sqlalchemy.create_engine(_url(where), pool_pre_ping=True, connect_args={"connect_timeout": 10})
    except ImportError as error:
        raise ConfigError(
            f"The store {place_of(where)} is in PostgreSQL, and psycopg is not installed",
            "pip install 'pal-plugin[postgres]'",
        ) from error


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would otherwise begin transactions of its own, too late for a lock
    for pragma in ("foreign_keys=ON", "synchronous=NORMAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once: a reader that wants to write later could be told that the store is locked."""
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
