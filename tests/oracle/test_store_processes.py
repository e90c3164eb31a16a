"""Real processes on one store: killed between and within answers, several writing at once, a lock that is held."""

import random
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import StoreError
from pal_plugin.oracle.questions import Pairs
from pal_plugin.oracle.store import RelationStore, check
from pal_plugin.oracle.store import engine as engines

pytestmark = pytest.mark.slow

PROCESS = str(Path(__file__).with_name("store_process.py"))


def start(where: str, name: str, count: int) -> subprocess.Popen:
    """Start a writer, and return when it waits for a line to begin."""
    command = [sys.executable, PROCESS, where, name, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def begin(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_writer_that_is_killed_loses_at_most_the_answer_it_was_writing(where: str, manifest: Manifest) -> None:
    RelationStore.create(where, manifest).close()
    moments = random.Random(0)
    for _ in range(3):
        process = start(where, "ann", 100_000)
        with RelationStore.open(where) as store:
            before = store.states()["answered"]
        begin(process)
        printed = [process.stdout.readline() for _ in range(moments.randrange(1, 6))]
        time.sleep(moments.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        printed += process.stdout.readlines()
        process.stdin.close()
        process.stdout.close()
        assert process.wait(timeout=30) == -signal.SIGKILL
        numbers = [int(line) for line in printed if line.endswith("\n")]
        with RelationStore.open(where, manifest) as store:
            answered = {entry.id: entry for entry in store.questions() if entry.state == "answered"}
            assert set(numbers) <= set(answered)
            assert len(numbers) <= len(answered) - before <= len(numbers) + 1
            assert all(entry.relations.tolist() == [1, -1, 0] for entry in answered.values())
            unanswered = [entry for entry in store.questions() if entry.state == "open"]
            for entry in unanswered:  # drawn, and not answered yet: it can be answered still
                store.answer(entry.id, [0, 0, 0], annotator="ann")
                store.undo("ann")
        assert check(where).problems == ()


def test_two_processes_write_at_once_and_nothing_is_lost(where: str, manifest: Manifest) -> None:
    RelationStore.create(where, manifest).close()
    processes = {name: start(where, name, 30) for name in ("ann", "bob")}
    for process in processes.values():
        begin(process)
    numbers = {name: list(map(int, process.communicate(timeout=60)[0].split())) for name, process in processes.items()}
    assert all(process.returncode == 0 for process in processes.values())
    with RelationStore.open(where, manifest) as store:
        entries = store.questions()
        assert sorted(numbers["ann"] + numbers["bob"]) == [entry.id for entry in entries]
        for name, own in numbers.items():
            assert own == sorted(own)
            assert [entry.id for entry in entries if entry.annotator == name] == own
        assert len(store.answers().a) == 60 * 3
        closed = [entry.closed for entry in entries]
        assert len(set(closed)) == 60
        assert store.account().questions == 60


def test_who_reads_while_another_writes_sees_whole_answers(where: str, manifest: Manifest) -> None:
    RelationStore.create(where, manifest).close()
    process = start(where, "ann", 40)
    with RelationStore.open(where) as store:
        begin(process)
        while process.poll() is None:
            assert len(store.answers().a) % 3 == 0
            assert all((entry.state == "answered") == (entry.relations is not None) for entry in store.questions())
        process.communicate()
        assert len(store.answers().a) == 120


def test_a_server_on_a_database_prints_no_password(schema: str) -> None:
    store = schema.replace("pal@", "pal:secret@") + "&password=secret"
    command = [sys.executable, "-m", "pal_plugin.cli", "oracle", "serve", "--data", "digits", "--subset", "40"]
    command += ["--store", store, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        urllib.request.urlopen(first.split()[-1], timeout=60).close()  # it serves, and knows what Ctrl-C is
        process.send_signal(signal.SIGINT)
        said = first + "".join(process.communicate(timeout=60))
    assert process.returncode == 0, said
    assert "goes on with postgresql+psycopg://pal:***@" in said
    assert "secret" not in said


def test_a_lock_that_is_not_released_is_an_error_that_says_so(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 0.2)
    path = tmp_path / "answers.db"
    with RelationStore.create(path, manifest) as store:
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked by another process"):
            store.ask(Pairs([0], [1]), source="t")
        assert store.drawn == 0  # reading does not wait
        holder.execute("COMMIT")
        holder.close()
        assert store.ask(Pairs([0], [1]), source="t") == 1


def test_a_server_that_dies_and_comes_back_is_used_again(schema: str, manifest: Manifest) -> None:
    import psycopg

    with RelationStore.create(schema, manifest) as store:
        store.record(Pairs([0], [1]), [1], annotator="ann", source="t")
        with psycopg.connect(schema, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        store.record(Pairs([1], [2]), [1], annotator="ann", source="t")
        assert store.answers().a.tolist() == [0, 1]
