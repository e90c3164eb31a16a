"""Files that are no store, damaged stores, stores that cannot be written: named, and recovered as far as they go."""

import json
import os
import re
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ManifestError, PalError, StoreError
from pal_plugin.oracle.questions import Grid, Pairs
from pal_plugin.oracle.store import Entry, RelationStore, check, recover

QUESTIONS = 400


@pytest.fixture
def path(tmp_path: Path, manifest: Manifest) -> Path:
    """A store of four hundred answered questions, a skipped and an undone one, in one file."""
    place = tmp_path / "answers.db"
    generator = np.random.default_rng(0)
    with RelationStore.create(place, manifest) as store:
        for _ in range(QUESTIONS):
            nodes = generator.permutation(20)[:6]
            relations = generator.integers(-1, 2, 5)
            store.record(Grid(int(nodes[0]), nodes[1:]), relations, annotator="ann", source="random", seconds=1.5)
        store.skip(store.ask(Pairs([0], [1]), annotator="bob", source="random"), "bob")
        store.record(Pairs([2], [3]), [1], annotator="bob", source="random")
        store.undo("bob")
        store.ask(Pairs([4], [5]), source="random")
    assert not Path(f"{place}-wal").exists()
    return place


def same(one: Entry, two: Entry) -> bool:
    fields = ("question", "state", "annotator", "source", "uuid", "seconds", "clicks", "drawn_at", "closed_at")
    alike = all(getattr(one, name) == getattr(two, name) for name in fields)
    if one.state == "undone" and one.relations is None:  # lost; that it was undone is what counts
        return alike
    return alike and np.array_equal(one.relations, two.relations)


def by_uuid(place: Path) -> dict[str, Entry]:
    with RelationStore.open(place) as store:
        return {entry.uuid: entry for entry in store.questions() if entry.uuid is not None}


def refused(path: Path, named: str) -> None:
    for opening in (RelationStore.open, RelationStore):
        with pytest.raises(StoreError, match=named) as caught:
            opening(path)
        assert str(path) in str(caught.value)


def test_a_sound_store_is_found_so(path: Path) -> None:
    health = check(path)
    assert health.problems == ()
    assert (health.questions, health.answers, health.lost) == (QUESTIONS + 2, 5 * QUESTIONS, 0)
    assert health.complete


def test_nothing_there_and_the_nearest_name(path: Path) -> None:
    for looking in (RelationStore.open, check):
        with pytest.raises(StoreError, match=r"no store of answers at .*Did you mean answers\.db\?"):
            looking(path.with_name("answer.db"))
    assert not path.with_name("answer.db").exists()  # SQLite would make it


def test_a_folder(tmp_path: Path, manifest: Manifest) -> None:
    refused(tmp_path, "is a folder")
    for making in (RelationStore.create, RelationStore.ensure):
        with pytest.raises(StoreError, match="cannot be opened"):
            making(tmp_path, manifest)


def test_a_store_is_made_in_a_folder_that_is_made_for_it(tmp_path: Path, manifest: Manifest) -> None:
    with RelationStore.create(tmp_path / "a" / "b" / "what?is #this%20.db", manifest) as store:
        assert store.drawn == 0
    assert (tmp_path / "a" / "b" / "what?is #this%20.db").exists()


def test_an_empty_file_is_none_and_can_become_one(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    refused(path, "is empty")
    with pytest.raises(StoreError, match="is empty"):
        check(path)
    with RelationStore.ensure(path, manifest) as store:  # what a process leaves that is killed as it begins
        assert store.drawn == 0


@pytest.mark.parametrize(
    "content",
    [b"not a database at all" * 400, b"\x89PNG\r\n", os.urandom(9000)],
    ids=["text", "picture", "noise"],  # not their bytes, by which test processes would not know the same test
)
def test_not_a_database(tmp_path: Path, manifest: Manifest, content: bytes) -> None:
    path = tmp_path / "picture.db"
    path.write_bytes(content)
    refused(path, "is no SQLite database")
    for making in (RelationStore.create, RelationStore.ensure):
        with pytest.raises(StoreError, match="is no SQLite database"):
            making(path, manifest)
    assert path.read_bytes() == content
    assert "not a database" in check(path).problems[0]
    with pytest.raises(StoreError, match="Nothing can be recovered"):
        recover(path, tmp_path / "new.db", manifest)


def test_a_database_of_something_else_is_left_alone(tmp_path: Path, manifest: Manifest) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.close()
    content = path.read_bytes()
    refused(path, "holds no store")
    for making in (RelationStore.create, RelationStore.ensure):
        with pytest.raises(StoreError, match="already: the tables recipes"):
            making(path, manifest)
    with pytest.raises(StoreError, match="holds no store"):
        check(path)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE meta SET format = 2", "has the format 2, and this program reads format 1"),
        ("DELETE FROM meta", "has the format none"),
        ("UPDATE meta SET manifest = '{'", "does not say which data set"),
        ("UPDATE meta SET manifest = '{\"size\": 20}'", "does not say which data set"),
        ("UPDATE answers SET b = 4000 WHERE question = 7", "damaged .*answers, row .*not in samples"),
    ],
)
def test_another_format_and_contents_that_cannot_be(path: Path, statement: str, named: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    refused(path, named)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_is_cut_short_is_named_and_recovered(path: Path, tmp_path: Path, share: float) -> None:
    original = by_uuid(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    cut = path.read_bytes()
    refused(path, "is damaged .*pal oracle check --store")
    health = check(path)
    assert health.problems
    new = tmp_path / "new.db"
    manifest = Manifest("toy", "train", tuple(f"s{number}" for number in range(20)), "c" * 64)
    if not health.questions:
        with pytest.raises(StoreError, match="Nothing can be recovered"):
            recover(path, new, manifest)
        assert share == 0.1
        return
    assert recover(path, new, manifest) == health
    assert path.read_bytes() == cut
    recovered = by_uuid(new)
    assert len(recovered) == health.questions
    assert all(same(entry, original[name]) for name, entry in recovered.items())
    assert check(new).problems == ()
    if share == 0.99:
        assert health.complete
        assert health.questions > 0.9 * QUESTIONS


def test_a_flipped_bit_never_ends_in_anything_but_an_error_that_says_so(path: Path, tmp_path: Path) -> None:
    original, content = by_uuid(path), path.read_bytes()
    with RelationStore.open(path) as store:
        ids = store.ids()
    generator = np.random.default_rng(1)
    named = 0
    manifest = Manifest("toy", "train", tuple(ids), "c" * 64)
    for number in range(12):
        place, bit = int(generator.integers(len(content))), 1 << int(generator.integers(8))
        flipped = bytearray(content)
        flipped[place] ^= bit
        path.write_bytes(flipped)
        try:
            with RelationStore.open(path) as store:
                store.questions(), store.answers(), store.ids(), store.account(), store.asked()
                store.graph("latest")
        except PalError:
            named += 1
        new = tmp_path / f"new{number}.db"
        try:
            health = recover(path, new, manifest)
        except (StoreError, ManifestError):
            continue
        recovered = by_uuid(new)
        assert len(recovered) == health.questions
        # One bit is in one page: what other pages hold is there again, as it was.
        right = sum(name in original and same(entry, original[name]) for name, entry in recovered.items())
        assert right >= len(recovered) - 1
        assert len(recovered) > QUESTIONS // 3 or health.problems
    assert named > 2


def test_a_page_that_is_overwritten_costs_its_rows_and_no_others(path: Path, tmp_path: Path) -> None:
    original, content = by_uuid(path), bytearray(path.read_bytes())
    with sqlite3.connect(path) as connection:
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    manifest = Manifest("toy", "train", tuple(f"s{number}" for number in range(20)), "c" * 64)
    recovered_of = []
    for number in range(1, len(content) // page, 9):
        damaged = content.copy()
        damaged[number * page : (number + 1) * page] = os.urandom(page)
        path.write_bytes(damaged)
        health = recover(path, tmp_path / f"new{number}.db", manifest)
        recovered = by_uuid(tmp_path / f"new{number}.db")
        assert all(same(entry, original[name]) for name, entry in recovered.items())
        assert health.problems
        recovered_of.append(len(recovered))
    assert np.median(recovered_of) > 0.8 * len(original)


def test_an_answer_half_of_which_is_missing_is_not_recovered(path: Path, tmp_path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM answers WHERE question = 5 AND place = 2")
        connection.execute("DELETE FROM candidates WHERE question = 6 AND place = 0")
    connection.close()
    health = recover(path, tmp_path / "new.db")
    assert (health.problems, health.lost, health.questions) == ((), 2, QUESTIONS)


SCHEMAS = {
    "renamed column": ("ALTER TABLE questions RENAME COLUMN clicks TO taps", "table questions has no column clicks", 0),
    "renamed id": ("ALTER TABLE candidates RENAME COLUMN j TO other", "table candidates has no column j", 0),
    "no candidates": ("DROP TABLE candidates", "table candidates is missing", 0),
    "no answers": ("DROP TABLE answers", "table answers is missing", 2),  # the skipped and the undone one
    "no samples": ("DROP TABLE samples", "table samples is missing", QUESTIONS + 2),
    "no meta": ("DROP TABLE meta", "table meta is missing", QUESTIONS + 2),
    "no secret": ("ALTER TABLE meta DROP COLUMN secret", "table meta has no column secret", QUESTIONS + 2),
    "another format": ("UPDATE meta SET format = 99", "the format 99", QUESTIONS + 2),
    "two formats": ("INSERT INTO meta SELECT 2, revision, manifest, secret FROM meta", "formats? 1, 2", QUESTIONS + 2),
    "sample of none": (
        "UPDATE answers SET b = 4000 WHERE question = 7",
        "answers, row .*not in samples",
        QUESTIONS + 2,
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_whatever_opening_sends_to_check_for_check_finds_and_recovers_what_there_is(
    name: str, path: Path, tmp_path: Path, manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    statement, problem, whole = SCHEMAS[name]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA legacy_alter_table=ON")  # or SQLite looks at what refers to the column first
        connection.execute(statement)
    connection.close()
    with pytest.raises(StoreError), RelationStore.open(path) as store:
        store.questions(), store.answers(), store.ids(), store.account()
    assert main(["oracle", "check", "--store", str(path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert any(re.search(problem, text) for text in found["problems"]), found
    assert found["questions"] == whole
    if not whole:
        with pytest.raises(StoreError, match=f"Nothing can be recovered of .*{problem}"):
            recover(path, tmp_path / "new.db", manifest)
        assert not (tmp_path / "new.db").exists()
        return
    assert recover(path, tmp_path / "new.db", manifest).questions == whole
    assert check(tmp_path / "new.db").problems == ()
    assert len(by_uuid(tmp_path / "new.db")) == whole


def test_a_schema_that_is_no_text(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = path.read_bytes()
    assert content.count(b"format INTEGER NOT NULL") == 1
    path.write_bytes(content.replace(b"format INTEGER NOT NULL", b"format INTEGER NOT \x80ULL"))
    refused(path, "is damaged")
    assert main(["oracle", "check", "--store", str(path)]) != 0
    assert main(["oracle", "check", "--store", str(path), "--recover", str(tmp_path / "new.db")]) != 0
    assert "Traceback" not in capsys.readouterr().err


def test_what_is_recovered_goes_to_a_new_place_and_to_its_own_data_set(
    path: Path, tmp_path: Path, manifest: Manifest
) -> None:
    with pytest.raises(StoreError, match="already"):
        recover(path, path)
    with pytest.raises(ManifestError):
        recover(path, tmp_path / "new.db", replace(manifest, content="d" * 64))
    assert not (tmp_path / "new.db").exists()
    with RelationStore.open(path) as store:
        secret = store.secret
    recover(path, tmp_path / "new.db")
    with RelationStore.open(tmp_path / "new.db", manifest) as store:
        assert store.secret == secret  # pages that are open still show their images


def test_what_stands_in_the_write_ahead_log_is_recovered_too(path: Path, tmp_path: Path) -> None:
    with RelationStore.open(path) as store:
        store.record(Pairs([6], [7]), [1], annotator="ann", source="t")
        assert Path(f"{path}-wal").stat().st_size > 0
        assert check(path).questions == QUESTIONS + 3
        assert recover(path, tmp_path / "new.db").questions == QUESTIONS + 3


def test_a_store_in_postgres_is_checked_by_its_rows_and_not_recovered(
    schema: str, tmp_path: Path, manifest: Manifest
) -> None:
    with RelationStore.create(schema, manifest) as store:
        store.record(Grid(0, [1, 2]), [1, 0], annotator="ann", source="t")
    health = check(schema)
    assert (health.problems, health.questions, health.answers, health.complete) == ((), 1, 2, True)
    with pytest.raises(StoreError, match="pg_restore"):
        recover(schema, tmp_path / "new.db")


WRITER = """
import json, os, resource, signal, sys
from pal_plugin.errors import PalError
from pal_plugin.oracle.questions import Pairs
from pal_plugin.oracle.store import RelationStore
path, limit, user = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write fails then instead
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if user:
    RelationStore.open(path).close()  # imports what is left to import, from folders that only this user may read
    os.setgroups([]), os.setgid(user), os.setuid(user)
told, written = None, 0
try:
    with RelationStore.open(path) as store:
        while written < 5000:
            store.record(Pairs([0], [1]), [1], annotator="ann", source="t")
            written += 1
except PalError as error:
    told = str(error)
print(json.dumps([written, told]))
"""


def write_until_it_fails(path: Path, *, limit: int = 0, user: int = 0) -> tuple[int, str]:
    command = [sys.executable, "-c", WRITER, str(path), str(limit), str(user)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd="/")
    written, told = json.loads(done.stdout)
    return written, told


def test_a_disk_that_is_full_is_named_and_what_was_written_is_kept(path: Path) -> None:
    size = path.stat().st_size
    written, told = write_until_it_fails(path, limit=size + 40_000)
    assert told is not None
    assert "disk" in told
    assert str(path) in told
    assert check(path).problems == ()
    with RelationStore.open(path) as store:
        assert store.account().questions == QUESTIONS + written


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, who may not write")
def test_a_store_that_may_not_be_written_is_named(path: Path, tmp_path: Path) -> None:
    for folder in [path.parent, *path.parent.parents]:
        if folder.stat().st_uid == 0 and folder != Path("/") and "pytest" in str(folder):
            folder.chmod(0o755)
    path.chmod(0o644)
    written, told = write_until_it_fails(path, user=65534)
    assert written == 0
    assert "is read-only" in told or "cannot be opened" in told
