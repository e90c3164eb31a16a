"""A real PostgreSQL server for the tests of the store, and stores in it and in SQLite files."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pal_plugin.data.manifest import Manifest

_WANTED = "PostgreSQL is not installed: apt-get install postgresql (PAL_REQUIRE_SERVICES=1 makes this a failure)"
_schemas = itertools.count()


def _programs() -> Path | None:
    """Return the folder of the server's programs, which Debian keeps off the PATH."""
    found = [Path(path) for path in [shutil.which("initdb")] if path]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].resolve().parent if found else None


def _unprivileged() -> str | None:
    """Return who is to run the server, which refuses to be run by root; None: who runs the tests."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in users)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a database of a server that listens on a socket in its own folder, and ends with the tests."""
    programs = _programs()
    if programs is None:
        if os.environ.get("PAL_REQUIRE_SERVICES") == "1":
            pytest.fail(_WANTED)
        pytest.skip(_WANTED)
    folder, user = Path(tempfile.mkdtemp(prefix="pal-postgres-")), _unprivileged()
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), "-D", str(data), *arguments]
        subprocess.run(command, check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)

    try:
        run("initdb", "--username=pal", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=50"
        run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "-o", options)
        try:
            yield f"postgresql://pal@/postgres?host={folder}"
        finally:
            run("pg_ctl", "stop", "--mode=immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def schema(postgres: str) -> str:
    """URL of a database schema of the server in which nothing is yet."""
    import psycopg

    name = f"store_{next(_schemas)}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgres}&options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a store can be made: a path, and then a URL."""
    return str(tmp_path / "answers.db") if request.param == "sqlite" else str(request.getfixturevalue("schema"))


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, where: str, tmp_path: Path) -> str:
    """A second place of the same kind."""
    if "://" not in where:
        return str(tmp_path / "others.db")
    import psycopg

    url, name = str(request.getfixturevalue("postgres")), f"store_{next(_schemas)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{url}&options=-csearch_path%3D{name}"


@pytest.fixture
def manifest() -> Manifest:
    """Twenty samples."""
    return Manifest("toy", "train", tuple(f"s{number}" for number in range(20)), "c" * 64)
