"""An oracle that is whoever is at the page, here somebody at a desk on the same store in another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import OracleError
from pal_plugin.oracle import Grid, HumanOracle, Merging, Pairs, RelationStore
from pal_plugin.oracle.desk import Asked, Desk

MANIFEST = Manifest("six", "train", tuple("abcdef"), "0" * 64)
QUESTION = Grid(0, [2, 4, 5])


@pytest.fixture
def where(tmp_path: Path) -> Path:
    RelationStore.create(tmp_path / "answers.db", MANIFEST).close()
    return tmp_path / "answers.db"


@contextmanager
def somebody(where: Path, act: Callable[[Desk, Asked], None]) -> Iterator[None]:
    """Let somebody act on the first question that this program puts."""

    def work() -> None:
        with RelationStore.open(where) as store:
            while not store.drawn:
                stop.wait(0.02)
            desk = Desk(store, Merging(3, 0))
            asked = desk.next("ann")
            assert asked is not None
            act(desk, asked)

    stop = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def test_it_waits_for_the_answer_which_is_kept_once(where: Path) -> None:
    def answer(desk: Desk, asked: Asked) -> None:
        assert asked.question == QUESTION
        desk.answer(asked.id, [1, 0, -1], "ann", seconds=3.0, clicks=4)

    with RelationStore.open(where) as store, somebody(where, answer):
        oracle = HumanOracle(store, poll=0.02, timeout=60)
        assert oracle.answer(QUESTION).tolist() == [1, 0, -1]
        assert oracle.account == store.account("ann")
        assert (oracle.account.clicks, oracle.account.seconds, oracle.account.unsure) == (4, 3.0, 1)
        assert len(store.questions()) == 1


def test_what_is_skipped_nobody_is_sure_of(where: Path) -> None:
    with RelationStore.open(where) as store, somebody(where, lambda desk, asked: desk.skip(asked.id, "ann")):
        oracle = HumanOracle(store, poll=0.02, timeout=60)
        assert oracle.answer(QUESTION).tolist() == [0, 0, 0]
        assert oracle.account.questions == 0


def test_what_is_undone_while_it_looks_away_is_waited_for(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody does happens while the oracle sleeps, so that it sees the question as it is undone."""
    with RelationStore.open(where) as store:
        desk = Desk(store, Merging(3, 0))

        def act(_seconds: float) -> None:
            asked = desk.next("ann")
            assert asked is not None
            desk.answer(asked.id, [-1, -1, 1] if asked.before is not None else [1, 1, 1], "ann")
            if asked.before is None:
                desk.undo("ann")

        monkeypatch.setattr("pal_plugin.oracle.human.time.sleep", act)
        assert HumanOracle(store, timeout=60).answer(QUESTION).tolist() == [-1, -1, 1]
        assert [entry.state for entry in store.questions()] == ["undone", "answered"]


def test_a_timeout_leaves_the_question_open_and_it_is_found_again(where: Path) -> None:
    with RelationStore.open(where) as store:
        oracle = HumanOracle(store, poll=0.02, timeout=0.1)
        for _ in range(2):
            with pytest.raises(OracleError, match="Nobody has answered question 1 of"):
                oracle.answer(QUESTION)
        (entry,) = store.questions()
        assert entry.state == "open"
        assert np.array_equal(entry.question.j, QUESTION.j)
    with RelationStore.open(where) as store, pytest.raises(OracleError, match="poll=0"):
        HumanOracle(store, poll=0)


def test_several_pairs_at_once_are_refused(where: Path) -> None:
    with RelationStore.open(where) as store:
        with pytest.raises(OracleError, match="one pair or one grid at a time, and this is 2 questions"):
            HumanOracle(store, timeout=0.1).answer(Pairs([0, 1], [2, 3]))
        assert store.drawn == 0
