"""The store of answers, in SQLite and in a real PostgreSQL: questions, answers, undo, history, accounts."""

import itertools
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import ConfigError, ManifestError, OracleError, StoreError
from pal_plugin.graph.closure import closure
from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.questions import Grid, Pairs, Question
from pal_plugin.oracle.seeds import tell_seeds
from pal_plugin.oracle.store import RelationStore
from pal_plugin.oracle.store.engine import place_of
from pal_plugin.oracle.store.entries import MovedError


@pytest.fixture
def store(where: str, manifest: Manifest):
    with RelationStore.create(where, manifest) as made:
        yield made


def opened(store: RelationStore, annotator: str | None = None) -> list[Question]:
    """Return what an annotator has open, or what is open and nobody has."""
    return [entry.question for entry in store.questions() if entry.state == "open" and entry.annotator == annotator]


def test_a_question_is_asked_taken_and_answered(store: RelationStore) -> None:
    grid = Grid(3, [5, 1, 8])
    number = store.ask(grid, source="random")
    assert opened(store) == [grid]
    assert store.take(number, "ann")
    assert not store.take(number, "bob")
    assert store.take(number, "ann")
    assert opened(store) == []
    assert opened(store, "ann") == [grid]
    store.answer(number, [1, 0, -1], annotator="ann", seconds=2.5)
    (entry,) = store.questions()
    assert entry.question == grid
    assert (entry.state, entry.annotator, entry.source) == ("answered", "ann", "random")
    assert (entry.seconds, entry.clicks) == (2.5, 3)
    assert entry.relations.tolist() == [1, 0, -1]
    answers = store.answers()
    assert answers.a.tolist() == [3, 1, 3]
    assert answers.b.tolist() == [5, 3, 8]
    assert answers.relation.tolist() == [1, 0, -1]
    assert answers.confidence.tolist() == [1, 1, 1]
    assert answers.question.tolist() == [number] * 3
    assert store.account() == Account(questions=1, grids=1, clicks=3, answers=2, unsure=1, seconds=2.5)


def test_several_pairs_in_one_question_keep_their_order_and_direction(store: RelationStore) -> None:
    pairs = Pairs([4, 2, 9], [1, 7, 0])
    number = store.record(pairs, [1, -1, 1], annotator="ann", source="file", confidence=[0.5, 1, 0.25], clicks=7)
    entry = store.entry(number)
    assert entry.question == pairs
    assert entry.confidence.tolist() == [0.5, 1, 0.25]
    assert store.answers().a.tolist() == [1, 2, 0]
    assert store.account() == Account(questions=3, clicks=7, answers=3)


def test_the_same_answer_once_more_changes_nothing_and_another_is_refused(store: RelationStore) -> None:
    number = store.ask(Pairs([0], [1]), annotator="ann", source="t")
    store.answer(number, [1], annotator="ann", seconds=1)
    before = store.questions()[0]
    store.answer(number, [1], annotator="ann", seconds=9)
    after = store.questions()[0]
    assert (after.seconds, after.closed, after.uuid) == (before.seconds, before.closed, before.uuid)
    for relations, annotator in (([-1], "ann"), ([1], "bob")):
        with pytest.raises(OracleError, match="closed: answered"):
            store.answer(number, relations, annotator=annotator)
    with pytest.raises(OracleError, match="closed"):
        store.skip(number, "ann")
    assert store.account() == Account(questions=1, clicks=1, answers=1, seconds=1)


def test_skipping(store: RelationStore) -> None:
    number = store.ask(Grid(0, [1, 2]), annotator="ann", source="t")
    with pytest.raises(OracleError, match="ann's, not bob's"):
        store.skip(number, "bob")
    store.skip(number, "ann", 4.0)
    store.skip(number, "ann", 4.0)
    with pytest.raises(OracleError, match="closed: skipped"):
        store.answer(number, [1, 1], annotator="ann")
    assert store.account() == Account(clicks=1, seconds=4)
    assert store.asked().has([0], [1]).all()
    assert store.states() == {"open": 0, "answered": 0, "skipped": 1, "undone": 0}


@pytest.mark.parametrize(
    ("relations", "options", "named"),
    [
        ([1], {}, "2 pairs"),
        ([1, 2], {}, "no relation"),
        ([1, 0.5], {}, "no relation"),
        ([1, float("nan")], {}, "no relation"),
        ([1, 1], {"annotator": ""}, "no annotator"),
        ([1, 1], {"annotator": "  "}, "no annotator"),
        ([1, 1], {"annotator": "a" * 65}, "no annotator"),
        ([1, 1], {"annotator": "<b>"}, "no annotator"),
        ([1, 1], {"seconds": -1}, "seconds"),
        ([1, 1], {"seconds": float("nan")}, "seconds"),
        ([1, 1], {"clicks": -1}, "clicks"),
        ([1, 1], {"clicks": 10**30}, "clicks"),
        ([1, 1], {"confidence": 0}, "confidence"),
        ([1, 1], {"confidence": [1, 1.5]}, "confidence"),
        ([1, 1], {"confidence": [1, float("nan")]}, "confidence"),
        ([1, 1], {"confidence": [1, 1, 1]}, "confidences"),
    ],
)
def test_answers_that_do_not_fit_are_refused_and_nothing_is_written(
    tmp_path: Path, manifest: Manifest, relations: list[float], options: dict, named: str
) -> None:
    with RelationStore.create(tmp_path / "a.db", manifest) as store:
        number = store.ask(Grid(0, [1, 2]), source="t")
        arguments = {"annotator": "ann"} | options
        with pytest.raises(OracleError, match=named):
            store.answer(number, relations, **arguments)
        with pytest.raises(OracleError, match=named):
            store.record(Grid(3, [4, 5]), relations, source="t", **arguments)
        assert [entry.state for entry in store.questions()] == ["open"]


def test_questions_about_unknown_samples_and_unknown_questions(store: RelationStore) -> None:
    with pytest.raises(OracleError, match=r"sample 20, and the store's data set has 20"):
        store.ask(Grid(0, [20]), source="t")
    with pytest.raises(OracleError, match="sample 99"):
        store.record(Pairs([0], [99]), [1], annotator="ann", source="t")
    with pytest.raises(OracleError, match="no question 7"):
        store.answer(7, [1], annotator="ann")
    with pytest.raises(OracleError, match="no question 7"):
        store.take(7, "ann")
    assert store.drawn == 0


def test_undo_takes_back_the_last_answer_of_its_annotator_and_keeps_it_in_the_history(store: RelationStore) -> None:
    first = store.record(Pairs([0], [1]), [1], annotator="ann", source="t", seconds=1)
    second = store.record(Pairs([2], [3]), [1], annotator="bob", source="t", seconds=2)
    third = store.ask(Pairs([4], [5]), annotator="ann", source="t")
    store.skip(third, "ann", 3)
    assert store.last("ann").id == third
    assert store.undo("ann") == Pairs([4], [5])
    assert store.undo("ann") == Pairs([0], [1])
    assert store.undo("ann") is None
    assert store.last("ann") is None
    assert store.answers().question.tolist() == [second]
    assert [entry.state for entry in store.questions()] == ["undone", "answered", "undone"]
    assert store.entry(first).relations.tolist() == [1]
    assert store.account() == Account(questions=1, clicks=3, answers=1, seconds=6)  # what was spent stays spent
    asked = store.asked()
    assert asked.has([0, 4], [1, 5]).tolist() == [False, False]
    assert asked.has([3], [2]).all()
    assert store.undo() == Pairs([2], [3])
    assert store.drawn == 3


def test_undo_goes_by_when_a_question_was_closed_not_by_when_it_was_drawn(store: RelationStore) -> None:
    early = store.ask(Pairs([0], [1]), annotator="ann", source="t")
    late = store.ask(Pairs([2], [3]), annotator="ann", source="t")
    store.answer(late, [1], annotator="ann")
    store.answer(early, [-1], annotator="ann")
    assert store.answers().question.tolist() == [late, early]
    assert store.undo("ann") == Pairs([0], [1])


def test_what_is_taken_back_is_asked_once_more_in_one_go(store: RelationStore) -> None:
    assert store.take_back("ann") is None
    first = store.record(Grid(0, [1, 2]), [1, -1], annotator="ann", source="t")
    second = store.record(Pairs([4], [5]), [1], annotator="ann", source="t")
    for number, annotator, named in (
        (first, "ann", "not the one that ann"),
        (second, "bob", "bob"),
        (9, "ann", "no qu"),
    ):
        with pytest.raises(OracleError, match=named):
            store.take_back(annotator, number)
    again = store.take_back("ann", second)
    assert store.take_back("ann", second) == again
    assert store.last("ann").id == first
    assert [entry.state for entry in store.questions()] == ["answered", "undone", "open"]
    assert store.entry(again).question == Pairs([4], [5])
    assert store.entry(again).source == f"undone:{store.entry(second).uuid}"
    assert store.take_back("ann") != again
    assert opened(store, "ann") == [Pairs([4], [5]), Grid(0, [1, 2])]
    store.record(Pairs([6], [7]), [1], annotator="ann", source="t")
    store.undo("ann")
    assert store.take_back("ann", 5) is None  # undone without being asked again


def test_several_pairs_at_once_are_not_taken_back_to_be_asked_once_more(store: RelationStore) -> None:
    one = store.record(Pairs([0], [1]), [1], annotator="ann", source="t")
    several = store.record(Pairs([2, 4], [3, 5]), [1, 1], annotator="ann", source="answers.csv")
    with pytest.raises(OracleError, match="not the one that ann"):
        store.take_back("ann", several)
    again = store.take_back("ann")
    assert store.entry(again).question == store.entry(one).question
    assert store.take_back("ann") is None
    assert store.undo("ann") == Pairs([2, 4], [3, 5])  # which asks nothing


def test_changes_are_what_is_not_as_it_was_seen(store: RelationStore) -> None:
    def seen() -> dict[int, tuple[str, str | None]]:
        return {entry.id: (entry.state, entry.annotator) for entry in store.questions()}

    assert store.changes({}) == (0, [])
    first, second, third = (store.ask(Pairs([k], [k + 1]), source="t") for k in range(3))
    before = seen()
    assert store.changes(before) == (3, [])
    store.take(second, "ann")
    store.answer(third, [1], annotator="bob")
    fourth = store.record(Pairs([7], [8]), [-1], annotator="bob", source="t")
    revision, changed = store.changes(before)
    assert revision == store.revision == 6
    assert [(entry.id, entry.state, entry.annotator) for entry in changed] == [
        (second, "open", "ann"),
        (third, "answered", "bob"),
        (fourth, "answered", "bob"),
    ]
    assert changed[1].relations.tolist() == [1]
    before = seen()
    store.undo("bob")
    assert [(entry.id, entry.state) for entry in store.changes(before)[1]] == [(fourth, "undone")]
    assert [entry.id for entry in store.changes({})[1]] == [first, second, third, fourth]


def test_what_somebody_left_is_taken_from_them_by_name(store: RelationStore) -> None:
    number = store.ask(Pairs([0], [1]), annotator="ann", source="t")
    assert not store.take(number, "bob")
    assert not store.take(number, "bob", of="cat")
    before = store.entry(number).drawn_at
    assert store.take(number, "bob", of="ann")
    assert store.entry(number).annotator == "bob"
    assert store.entry(number).drawn_at > before
    assert not store.take(number, "cat", of="ann")  # of two, one gets it


def test_a_clock_that_goes_backwards_changes_no_order(store: RelationStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(2_000_000_000, -3600)
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: next(clock))
        numbers = [store.record(Pairs([k], [k + 1]), [1], annotator="ann", source="t") for k in range(5)]
    times = [entry.closed_at for entry in store.questions()]
    assert times == sorted(times, reverse=True)
    assert store.answers().question.tolist() == numbers == sorted(numbers)
    assert store.undo("ann") == Pairs([4], [5])
    assert store.answers().a.tolist() == [0, 1, 2, 3]


def test_accounts_of_annotators_add_up(store: RelationStore) -> None:
    store.record(Grid(0, [1, 2, 3]), [1, 0, -1], annotator="bob", source="t", seconds=1)
    store.record(Pairs([4, 5], [6, 7]), [1, 0], annotator="ann", source="t", seconds=2)
    store.record(Grid(8, [9]), [-1], annotator="bob", source="t", seconds=4, clicks=9)
    assert store.annotators() == ["ann", "bob"]
    assert store.account("ann") == Account(questions=2, clicks=2, answers=1, unsure=1, seconds=2)
    assert store.account("bob") == Account(questions=2, grids=2, clicks=12, answers=3, unsure=1, seconds=5)
    assert store.account("ann") + store.account("bob") == store.account()
    assert store.account("nobody") == Account()
    assert store.answers().annotator.tolist() == [1, 1, 1, 0, 0, 1]


def test_what_was_told_from_the_start_is_known_and_was_asked_of_nobody(store: RelationStore) -> None:
    tell_seeds(store, np.array([0, 1, 2]))
    tell_seeds(store, np.array([0, 1, 2]))
    assert store.account() == Account()
    graph = store.graph()
    assert graph.num_edges == 6
    assert (graph.builder["parameters"]["questions"], graph.builder["cost"]) == (0, 0.0)


def test_undo_leaves_what_was_told_from_the_start(store: RelationStore) -> None:
    mine = store.record(Pairs([3], [4]), [1], annotator="ann", source="t")
    tell_seeds(store, np.array([0, 1, 2]))
    assert store.last().id == mine
    assert store.undo() == Pairs([3], [4])
    for annotator in (None, "seeds"):
        assert store.undo(annotator) is None
    assert store.take_back("seeds") is None
    assert store.told


def test_what_was_told_and_undone_elsewhere_is_told_again(
    store: RelationStore, tmp_path: Path, manifest: Manifest
) -> None:
    assert not store.told
    tell_seeds(store, np.array([0, 1, 2]))
    file = tmp_path / "answers.json"
    store.export(file)
    file.write_text(file.read_text().replace('"answered"', '"undone"'))
    assert store.import_(file).undone == 1
    assert not store.told
    tell_seeds(store, np.array([0, 1, 2]))
    assert store.told
    assert store.graph().num_edges == 6


def test_too_many_classes_are_refused_before_anything_is_told(tmp_path: Path) -> None:
    many = Manifest("toy", "train", tuple(f"s{number}" for number in range(501)), "c" * 64)
    with RelationStore.create(tmp_path / "a.db", many) as store:
        with pytest.raises(OracleError, match=r"501 classes have 125250 of them.*--strategy merging"):
            tell_seeds(store, np.arange(501))
        assert store.drawn == 0


def test_what_is_written_by_an_old_look_at_the_store_is_not_written(store: RelationStore) -> None:
    first = store.ask(Pairs([0], [1]), annotator="ann", source="t", drawn=0)
    with pytest.raises(MovedError, match="Others have written"):
        store.ask(Pairs([0], [1]), annotator="bob", source="t", drawn=0)
    assert (store.drawn, store.revision) == (1, 1)
    second = store.ask(Pairs([2], [3]), annotator="bob", source="t", drawn=1)
    seen = store.revision
    store.answer(second, [1], annotator="bob", expected=seen)
    with pytest.raises(MovedError):
        store.answer(first, [1], annotator="ann", expected=seen)
    assert store.entry(first).state == "open"
    assert store.revision == seen + 1


def test_the_account_is_the_sum_over_the_questions(store: RelationStore) -> None:
    generator = np.random.default_rng(0)
    total = Account()
    for _ in range(20):
        nodes = generator.permutation(20)[:5]
        question = Grid(int(nodes[0]), nodes[1:]) if generator.random() < 0.5 else Pairs(nodes[:2], nodes[2:4])
        relations = generator.integers(-1, 2, len(question))
        store.record(question, relations, annotator="ann", source="t", seconds=0.5)
        total += Account.of(question, relations, seconds=0.5)
    assert store.account() == total


def test_the_revision_grows_with_every_write_also_of_others(where: str, store: RelationStore) -> None:
    with RelationStore.open(where) as other:
        seen = [store.revision]
        number = other.ask(Pairs([0], [1]), source="t")
        seen.append(store.revision)
        other.take(number, "ann")
        seen.append(store.revision)
        other.answer(number, [1], annotator="ann")
        seen.append(store.revision)
        store.undo("ann")
        seen.append(other.revision)
    assert seen == sorted(set(seen))


def test_of_many_who_take_a_question_at_once_one_gets_it(store: RelationStore) -> None:
    for _ in range(5):
        number = store.ask(Pairs([0], [1]), source="t")
        barrier, got = threading.Barrier(8), []

        def take(name: str, number: int = number, barrier: threading.Barrier = barrier, got: list = got) -> None:
            barrier.wait()
            if store.take(number, name):
                got.append(name)

        threads = [threading.Thread(target=take, args=(f"annotator {k}",)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(got) == 1
        assert store.entry(number).annotator == got[0]


def test_a_store_is_opened_again_with_all_that_was_in_it(where: str, store: RelationStore, manifest: Manifest) -> None:
    store.record(Grid(0, [1, 2]), [1, -1], annotator="ann", source="t")
    secret = store.secret
    store.close()
    with RelationStore.open(where, manifest) as again, RelationStore.ensure(where, manifest) as ensured:
        for one in (again, ensured):
            assert one.answers().relation.tolist() == [1, -1]
            assert one.secret == secret
            assert len(secret) == 64
            assert one.manifest == manifest.reference()
            assert one.ids() == list(manifest.ids)
            assert one.num_samples == 20


def test_a_store_of_another_data_set_is_refused(where: str, store: RelationStore, manifest: Manifest) -> None:
    another = replace(manifest, content="d" * 64)
    for opening in (RelationStore.open, RelationStore.ensure):
        with pytest.raises(ManifestError, match="toy/train with 20 samples"):
            opening(where, another)


def test_what_is_there_is_not_overwritten(where: str, store: RelationStore, manifest: Manifest) -> None:
    with pytest.raises(StoreError, match="already: the tables answers, candidates, meta"):
        RelationStore.create(where, manifest)


def test_many_ensure_one_store_at_once(where: str, manifest: Manifest) -> None:
    barrier, secrets = threading.Barrier(6), []

    def ensure() -> None:
        barrier.wait()
        with RelationStore.ensure(where, manifest) as store:
            secrets.append(store.secret)

    threads = [threading.Thread(target=ensure) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == 6
    assert len(set(secrets)) == 1


def test_no_samples_and_one(tmp_path: Path) -> None:
    for size in (0, 1):
        small = Manifest("small", "train", tuple("x" * size), "c" * 64)
        with RelationStore.create(tmp_path / f"{size}.db", small) as store:
            assert store.ids() == ["x"] * size
            assert store.graph().num_nodes == size
            with pytest.raises(OracleError):
                store.ask(Pairs([0], [1]), source="t")


def test_the_graph_is_the_closure_of_the_answers(store: RelationStore, manifest: Manifest) -> None:
    store.record(Grid(0, [1, 2, 3]), [1, -1, 0], annotator="ann", source="t")
    store.record(Pairs([1, 2], [4, 5]), [1, 1], annotator="bob", source="t")
    graph = store.graph()
    assert graph.manifest == manifest.reference()
    assert graph.transitive
    assert graph.builder["name"] == "answers"
    assert graph.builder["cost"] == store.account().clicks == 5
    assert graph.builder["parameters"] == {
        "policy": "refuse",
        "questions": 3,
        "must_link": 3,
        "cannot_link": 1,
        "not_sure": 1,
        "set_aside": 0,
    }
    closed = closure(graph)
    assert closed.component[:6].tolist() == [0, 0, 1, 2, 0, 1]
    assert closed.apart.tolist() == [[0, 1]]


def test_a_graph_of_contradictions_needs_a_policy(store: RelationStore) -> None:
    store.record(Pairs([0, 1], [1, 2]), [1, 1], annotator="ann", source="t")
    store.record(Pairs([0], [2]), [-1], annotator="bob", source="t")
    with pytest.raises(
        OracleError,
        match=r"'s0' and 's2' are said to be unrelated \(question 2\), and to be related by "
        r"'s0' – 's1' \(question 1\), 's1' – 's2' \(question 1\)\. Choose .*--policy",
    ):
        store.graph()
    assert store.graph("latest").builder["parameters"]["set_aside"] == 1
    assert store.graph("again").num_edges == 0
    with pytest.raises(ConfigError, match="did you mean majority"):
        store.graph("majorety")


def test_a_place_of_no_kind_that_is_known(manifest: Manifest) -> None:
    with pytest.raises(ConfigError, match="mysql://"):
        RelationStore.create("mysql://user@host/base", manifest)
    with pytest.raises(ConfigError, match="mysql://") as caught:
        RelationStore.open("mysql://user:pass@host/base")
    assert "pass" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        RelationStore.open("postgresql://user:pass@host:port/base")


@pytest.mark.parametrize(
    "where",
    [
        "postgresql://ann:secret@host/base",
        "postgresql://host/base?user=ann&password=secret",
        "postgresql://ann@host/base?sslkey=ann.key&sslpassword=secret&password=secret",
    ],
)
def test_a_place_is_named_without_its_passwords(where: str) -> None:
    place = place_of(where)
    assert "secret" not in place
    assert "password=" not in place
    assert "ann" in place


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        RelationStore.open(f"postgresql://ann:secret@/base?host={tmp_path}")
    assert "secret" not in str(caught.value)
    assert "ann" in str(caught.value)


def test_postgres_without_its_driver(tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)  # as where it is not installed
    with pytest.raises(ConfigError, match=r"pip install 'pal-plugin\[postgres\]'"):
        RelationStore.create("postgresql://ann@host/base", manifest)


def test_a_postgres_schema_without_a_store(schema: str) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        RelationStore.open(schema)


def test_sqlite_has_a_write_ahead_log(tmp_path: Path, manifest: Manifest) -> None:
    RelationStore.create(tmp_path / "a.db", manifest).close()
    connection = sqlite3.connect(tmp_path / "a.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
