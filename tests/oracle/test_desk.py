"""The desk: nobody waits, nothing is asked twice without a reason, nothing is lost when it dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import FeatureError, OracleError, PalError
from pal_plugin.oracle import Grid, LabelOracle, NoisyOracle, Pairs, Prices, RandomGrids, RandomPairs, make_strategy
from pal_plugin.oracle.desk import AWAY, Asked, Desk
from pal_plugin.oracle.policies import resolve
from pal_plugin.oracle.store import RelationStore
from pal_plugin.oracle.store.schema import SEEDS

N = 80
LABELS = np.arange(N) % 5
POINTS = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32) + 2 * np.eye(6, dtype=np.float32)[LABELS]


def manifest(size: int = N) -> Manifest:
    return Manifest("points", "train", tuple(f"point {k}" for k in range(size)), "0" * 64)


@pytest.fixture
def store(tmp_path) -> Iterator[RelationStore]:
    with RelationStore.create(tmp_path / "answers.db", manifest()) as made:
        yield made


def truth(asked: Asked) -> np.ndarray:
    return np.where(LABELS[asked.question.i] == LABELS[asked.question.j], 1, -1).astype(np.int8)


def answer(desk: Desk, annotator: str, times: int, oracle: Callable[[Asked], np.ndarray] = truth) -> list[Asked]:
    """Answer so many questions; return them."""
    done = []
    for _ in range(times):
        asked = desk.next(annotator)
        assert asked is not None
        desk.answer(asked.id, oracle(asked), annotator, seconds=1.0)
        done.append(asked)
    return done


def pairs_of(questions) -> list[tuple[int, int]]:
    ends = (zip(question.i.tolist(), question.j.tolist(), strict=True) for question in questions)
    return [(min(pair), max(pair)) for some in ends for pair in some]


def test_an_annotator_keeps_a_question_until_it_is_closed(store):
    desk = Desk(store, RandomGrids(6))
    first, second = desk.next("ann"), desk.ahead("ann")
    assert (desk.next("ann").id, desk.ahead("ann").id) == (first.id, second.id)
    assert first.id != second.id
    desk.answer(first.id, truth(first), "ann")
    assert desk.next("ann").id == second.id
    desk.skip(second.id, "ann")
    third = desk.next("ann")
    assert third.id not in (first.id, second.id)
    assert Desk(store, RandomGrids(6)).next("ann").id == third.id  # another process, after this one


def test_two_annotators_have_different_questions(store):
    desk = Desk(store, RandomGrids(6))
    mine = [desk.next("ann"), desk.ahead("ann")]
    theirs = [desk.next("bob"), desk.ahead("bob")]
    assert len({asked.id for asked in mine + theirs}) == 4
    pairs = pairs_of(asked.question for asked in mine + theirs)
    assert len(set(pairs)) == len(pairs)
    with pytest.raises(OracleError, match="bob"):
        desk.answer(theirs[0].id, truth(theirs[0]), "ann")


@pytest.mark.parametrize("annotators", [2, 6])
def test_annotators_in_threads_lose_nothing(store, annotators):
    desk, each = Desk(store, RandomGrids(5)), 8
    done: dict[str, list[Asked]] = {}

    def work(name: str) -> None:
        done[name] = answer(desk, name, each)

    threads = [threading.Thread(target=work, args=(f"annotator {k}",)) for k in range(annotators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = pairs_of(asked.question for some in done.values() for asked in some)
    assert len(set(pairs)) == len(pairs) == len(store.answers().a)
    assert store.account().questions == annotators * each
    known = Desk(store, RandomGrids(5)).progress()
    now = desk.progress()
    assert (known.related, known.unrelated, known.account) == (now.related, now.unrelated, now.account)


@pytest.mark.parametrize("name", ["random", "grids", "active", "uncertainty", "merging"])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_a_desk_that_dies_between_any_two_questions_changes_nothing(tmp_path, name, noise):
    oracle = NoisyOracle(LabelOracle(LABELS), noise, seed=1)
    histories = []
    for restart in (False, True):
        with RelationStore.create(tmp_path / f"{restart}.db", manifest()) as store:
            strategy = make_strategy(name, N, grid=6, seed=3, seeds=np.arange(5))
            desk = Desk(store, strategy, features=POINTS)
            for _ in range(30):
                if restart:
                    desk = Desk(store, make_strategy(name, N, grid=6, seed=3, seeds=np.arange(5)), features=POINTS)
                if desk.next("ann") is None:
                    break
                answer(desk, "ann", 1, lambda asked: oracle.answer(asked.question))
            histories.append([entry.question for entry in store.questions()])
    assert histories[0] == histories[1]


def test_nothing_is_asked_twice_and_closure_counts(store):
    desk = Desk(store, make_strategy("merging", N, grid=6, stop=0.0))
    pairs = pairs_of(one.question for one in answer(desk, "ann", 25))
    progress, known = desk.progress(), resolve(store.answers(), N).known
    assert len(set(pairs)) == len(pairs) == progress.account.answers
    assert (progress.related, progress.unrelated) == (known.num_related, known.num_unrelated)
    assert progress.related + progress.unrelated > len(pairs)
    assert progress.known_share == (progress.related + progress.unrelated) / (N * (N - 1) / 2)
    assert progress.components == known.num_components


def test_skipped_and_not_sure_are_not_asked_again(store):
    desk = Desk(store, RandomPairs(0), budget=None)
    skipped, doubted = desk.next("ann"), desk.ahead("ann")
    desk.skip(skipped.id, "ann", seconds=2.0)
    desk.answer(doubted.id, [0], "ann")
    desk.skip(skipped.id, "ann", seconds=2.0)
    later = answer(desk, "ann", 60)
    assert desk.progress("ann").mine == desk.progress().account == store.account()
    assert not {skipped.question, doubted.question} & {asked.question for asked in later}
    assert desk.progress().skipped == 1
    assert desk.progress().account.unsure == 1


def test_an_answer_counts_once_however_often_it_comes(store):
    desk = Desk(store, RandomGrids(6), prices=Prices(per_click=0.5, per_second=2.0))
    asked = desk.next("ann")
    for _ in range(3):
        desk.answer(asked.id, truth(asked), "ann", seconds=3.0, clicks=4)
    progress = desk.progress("ann")
    assert progress.account == progress.mine == store.account()
    assert (progress.account.questions, progress.cost) == (1, 0.5 * 4 + 2.0 * 3)
    with pytest.raises(OracleError, match="closed"):
        desk.answer(asked.id, -truth(asked), "ann")
    with pytest.raises(OracleError, match="closed"):
        desk.skip(asked.id, "ann")
    for wrong in (truth(asked)[:-1], np.full(6, 2)):
        with pytest.raises(OracleError):
            desk.answer(desk.next("ann").id, wrong, "ann")
    with pytest.raises(OracleError, match="no question"):
        desk.answer(99, truth(asked), "ann")


def test_what_was_taken_back_comes_next_with_its_answer(store):
    desk = Desk(store, RandomGrids(6))
    assert desk.undo("ann") is None
    assert desk.last("ann") is None
    [first, second] = answer(desk, "ann", 2)
    answer(desk, "bob", 1)
    current, ahead = desk.next("ann"), desk.ahead("ann")
    related = desk.progress().related
    for back in (second, first):
        shown = desk.undo("ann")
        assert shown.question == back.question
        assert shown.id == desk.next("ann").id == Desk(store, RandomGrids(6)).next("ann").id
        np.testing.assert_array_equal(shown.before, truth(back))
    assert desk.last("ann") is None
    assert desk.last("bob") is not None
    assert desk.progress("ann").mine.questions == 0
    redone = answer(desk, "ann", 4)
    assert [asked.question for asked in redone] == [one.question for one in (first, second, current, ahead)]
    assert desk.progress().related >= related
    assert [entry.state for entry in store.questions()].count("undone") == 2


def test_undone_twice_and_after_a_skip(store):
    desk = Desk(store, RandomGrids(6))
    asked = desk.next("ann")
    desk.skip(asked.id, "ann")
    again = desk.undo("ann")
    assert (again.question, again.before) == (asked.question, None)
    desk.answer(again.id, truth(again), "ann")
    once_more = desk.undo("ann")
    assert once_more.question == asked.question
    np.testing.assert_array_equal(once_more.before, truth(asked))


def test_what_is_taken_back_by_its_number_is_taken_back_once(store):
    desk = Desk(store, RandomGrids(6))
    first, second = answer(desk, "ann", 2)
    with pytest.raises(OracleError, match="not the one that ann answered or skipped last"):
        desk.undo("ann", first.id)
    assert desk.last("ann") == second.id
    shown = desk.undo("ann", second.id)
    for restarted in (desk, Desk(store, RandomGrids(6))):  # the reply was lost, and the request came again
        again = restarted.undo("ann", second.id)
        assert (again.id, again.question) == (shown.id, second.question)
        np.testing.assert_array_equal(again.before, truth(second))
        assert restarted.last("ann") == first.id
    with pytest.raises(OracleError, match="bob"):
        desk.undo("bob", first.id)
    with pytest.raises(OracleError, match="no question 99"):
        desk.undo("ann", 99)


def test_what_somebody_left_is_asked_of_others_after_a_day(store, monkeypatch):
    desk = Desk(store, RandomGrids(6), budget=4)
    left = [desk.next("ann"), desk.ahead("ann")]
    [back] = answer(desk, "bob", 1)
    back = desk.undo("bob")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + AWAY - 60)
    assert desk.next("bob").id == back.id
    assert desk.ahead("bob") is not None
    assert desk.next("cat") is None  # the budget is with ann and bob
    monkeypatch.setattr(time, "time", lambda: now + AWAY + 60)
    assert [desk.next("cat").id, desk.ahead("cat").id] == [asked.id for asked in left]
    assert desk.next("dan") is None  # bob was there a minute ago
    with pytest.raises(OracleError, match="cat's, not ann's"):
        desk.answer(left[0].id, truth(left[0]), "ann")
    answer(desk, "cat", 2)
    monkeypatch.setattr(time, "time", lambda: now + 3 * AWAY)
    taken = desk.next("dan")
    assert (taken.question, taken.before) == (back.question, None)  # what bob had answered is nothing to dan


def test_somebody_who_comes_back_has_what_they_left(store, monkeypatch):
    desk = Desk(store, RandomGrids(6))
    left, ahead = desk.next("ann"), desk.ahead("ann")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3 * AWAY)
    assert [desk.next("ann").id, desk.ahead("ann").id] == [left.id, ahead.id]
    assert desk.next("bob").id not in (left.id, ahead.id)
    answer(desk, "ann", 3)


def test_the_desk_takes_what_nobody_has_and_gives_it_to_one(store):
    number = store.ask(Grid(3, [4, 5, 8]), source="somebody's program")
    desk = Desk(store, RandomGrids(6))
    later = store.ask(Pairs([1], [2]), source="somebody's program")  # behind the desk's back
    assert desk.next("ann").id == number
    assert desk.next("bob").id == later
    assert desk.ahead("ann").id not in (number, later)


def test_two_desks_on_one_store_see_each_other(store, tmp_path):
    with RelationStore.open(tmp_path / "answers.db") as other:
        here, there = Desk(store, RandomGrids(6), budget=20), Desk(other, RandomGrids(6), budget=20)
        asked = []
        for _ in range(5):
            asked += answer(here, "ann", 2) + answer(there, "bob", 2)
        pairs = pairs_of(one.question for one in asked)
        assert len(set(pairs)) == len(pairs)
        assert (here.next("ann"), there.next("bob")) == (None, None)
        here.refresh()
        there.refresh()
        assert here.progress() == there.progress()
        assert here.question(asked[-1].id) == asked[-1].question


class Meanwhile(RandomPairs):
    """While it chooses its first questions, something else happens."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = list(happens)

    def next(self, situation):
        chosen = super().next(situation)
        if self.happens:
            self.happens.pop()()
        return chosen


@pytest.mark.parametrize("budget", [None, 3])
def test_two_desks_that_draw_at_once_ask_different_questions_within_the_budget(where, budget):
    """With one seed they choose alike: each draws once more where the other was faster."""
    with RelationStore.create(where, manifest()) as store, RelationStore.open(where) as other:
        there = Desk(other, RandomPairs(), budget=budget)
        here = Desk(store, Meanwhile(lambda: there.ahead("bob"), lambda: there.next("bob")), budget=budget)
        mine = [here.next("ann"), here.ahead("ann")]
        theirs = [there.next("bob"), there.ahead("bob")]
        asked = [one for one in mine + theirs if one is not None]
        assert len({one.question for one in asked}) == len(asked) == (budget or 4)
        assert store.drawn == (budget or 4)


def test_an_answer_that_is_undone_at_once_by_another_process_is_not_known(tmp_path):
    class Hasty(RelationStore):
        def answer(self, *arguments, **keywords):
            super().answer(*arguments, **keywords)
            with RelationStore.open(tmp_path / "answers.db") as other:
                other.undo()

    with Hasty.create(tmp_path / "answers.db", manifest()) as store:
        desk = Desk(store, RandomPairs())
        asked = desk.next("ann")
        desk.answer(asked.id, [1], "ann", seconds=2.0)
        for _ in range(2):
            progress = desk.progress()
            assert (progress.related, progress.account.questions, progress.account.seconds) == (0, 0, 2.0)
            assert not desk._asked.has(asked.question.i, asked.question.j).any()  # it may be asked again
            desk.refresh()


@pytest.mark.parametrize("policy", ["again", "latest", "majority"])
def test_what_others_write_is_taken_in_as_if_all_were_read_anew(store, tmp_path, policy):
    """Also where it contradicts, comes late, is taken back or is merged; two desks on one store write in turns."""
    generator = np.random.default_rng(0)
    oracle = NoisyOracle(LabelOracle(LABELS), 0.1, seed=1)
    with (
        RelationStore.open(tmp_path / "answers.db") as other,
        RelationStore.create(tmp_path / "elsewhere.db", manifest()) as elsewhere,
    ):
        desks = [Desk(one, RandomGrids(3), policy=policy, overlap=0.2) for one in (store, other)]
        for step in range(60):
            desk, name = desks[generator.integers(2)], ("ann", "bob")[generator.integers(2)]
            what = generator.random()
            if what < 0.6:
                asked = desk.next(name)
                if generator.random() < 0.3:  # somebody else writes before the answer is sent
                    store.record(Pairs([step], [step + 9]), [1 if what < 0.3 else -1], annotator="cat", source="test")
                desk.answer(asked.id, oracle.answer(asked.question), name)
            elif what < 0.75:
                desk.skip(desk.next(name).id, name)
            elif what < 0.9:
                desk.undo(name)
            else:
                elsewhere.record(Grid(step, [step + 1, step + 2]), [1, -1], annotator="dan", source="test")
                store.merge(elsewhere)
            if generator.random() < 0.4:
                desk.refresh()
                fresh = Desk(store, RandomGrids(3), policy=policy)
                for who in ("ann", None):
                    assert desk.progress(who) == fresh.progress(who)
                every = np.arange(N)
                known = resolve(store.answers(), N, policy).known
                np.testing.assert_array_equal(
                    desk._knowledge.known.relation(every[:, None], every), known.relation(every[:, None], every)
                )
                np.testing.assert_array_equal(desk._knowledge.again, fresh._knowledge.again)
                assert set(map(tuple, desk._asked.pairs.tolist())) == set(map(tuple, store.asked().pairs.tolist()))
        assert store.states()["undone"] > 3


def test_the_last_word_is_the_stores_last_not_the_one_seen_last(store, tmp_path):
    for relation in (1, -1):
        store.record(Pairs([0], [1]), [relation], annotator="bob", source="test")
    desk = Desk(store, RandomGrids(6))
    asked = desk.next("ann")
    assert asked.again
    with RelationStore.open(tmp_path / "answers.db") as other:
        other.record(Pairs([0], [1]), [1], annotator="cat", source="test")
    desk.answer(asked.id, [-1], "ann")  # before it sees what cat has said
    desk.refresh()
    assert (desk.progress().related, desk.progress().unrelated) == (0, 1)


def test_what_is_refused_stays_refused_until_it_is_undone(store, tmp_path):
    desk = Desk(store, RandomGrids(6), policy="refuse")
    with RelationStore.open(tmp_path / "answers.db") as other:
        for relation in (1, -1):
            other.record(Pairs([0], [1]), [relation], annotator="bob", source="test")
        for _ in range(2):
            with pytest.raises(OracleError, match="contradict"):
                desk.next("ann")
        other.undo("bob")
        assert desk.next("ann") is not None
        assert desk.progress().related == 1


def test_a_budget_is_kept_with_what_is_prepared(store):
    desk = Desk(store, RandomGrids(6), budget=5)
    answer(desk, "ann", 3)
    assert (desk.next("ann") is None, desk.ahead("ann") is None) == (False, False)
    assert desk.next("bob") is None
    assert desk.done() == (  # and the page shows 3 of 5 beside it
        "Of the budget of 5 questions 3 are answered, and others have the remaining 2 before them"
    )
    answer(desk, "ann", 2)
    assert desk.next("ann") is None
    assert desk.done() == "The budget of 5 questions is used up"
    assert desk.undo("ann") is not None  # what is taken back is asked again within the same budget
    answer(desk, "ann", 1)
    assert store.account().questions == 5
    assert desk.next("bob") is None


def test_the_end_is_when_the_strategy_has_nothing_left(tmp_path):
    with RelationStore.create(tmp_path / "few.db", manifest(4)) as store:
        desk = Desk(store, RandomGrids(3))
        while desk.next("ann") is not None:
            answer(desk, "ann", 1)
        assert "Nothing is left" in desk.done()
        assert desk.progress().known_share == 1.0


def contradict(store: RelationStore) -> None:
    for pair, relation in (((0, 5), 1), ((5, 10), 1), ((0, 10), -1)):
        store.record(Pairs([pair[0]], [pair[1]]), [relation], annotator="bob", source="test")


def test_contradictions_are_asked_again_and_settled(store):
    contradict(store)
    desk = Desk(store, RandomGrids(6))
    assert desk.progress().contradictions == 3
    first = desk.next("ann")
    assert first.again
    desk.skip(first.id, "ann")
    second = desk.next("ann")
    assert second.again
    assert second.question != first.question  # what this annotator skipped does not come back to them
    [of_another] = answer(desk, "eve", 1)
    assert of_another.question == first.question
    answer(desk, "ann", 1)
    assert desk.progress().contradictions == 0
    assert resolve(store.answers(), N, "again").known.relation(0, 10) == 1
    assert not desk.next("ann").again


def test_one_pair_is_not_asked_again_of_two_people_at_once(store):
    contradict(store)
    desk = Desk(store, RandomGrids(6))
    asked = [desk.next(name) for name in ("ann", "eve", "joe", "zoe")]
    assert [one.again for one in asked] == [True, True, True, False]
    assert len({one.question for one in asked}) == 4


def test_other_policies_ask_nothing_again(store):
    contradict(store)
    for policy, aside in (("latest", 1), ("majority", 2)):
        desk = Desk(store, RandomGrids(6), policy=policy)
        assert desk.progress().contradictions == aside
        assert not desk.next(policy).again
    with pytest.raises(OracleError, match="contradict"):
        Desk(store, RandomGrids(6), policy="refuse")


def test_refuse_keeps_a_contradiction_out_of_the_store(store):
    desk = Desk(store, RandomGrids(6), policy="refuse")
    for pair in ((0, 5), (5, 10)):
        store.record(Pairs([pair[0]], [pair[1]]), [1], annotator="bob", source="test")
    number = store.ask(Pairs([0], [10]), source="test")
    assert desk.next("ann").id == number
    with pytest.raises(OracleError, match="contradicts"):
        desk.answer(number, [-1], "ann")
    assert store.entry(number).state == "open"
    desk.answer(number, [1], "ann")
    assert desk.progress().account.answers == 3


def two_who_have_the_same_pair(store: RelationStore) -> tuple[int, int]:
    return tuple(store.ask(Pairs([0], [10]), annotator=name, source="test") for name in ("ann", "bob"))


def test_refuse_keeps_out_what_contradicts_an_answer_of_another_process(store, tmp_path):
    mine, theirs = two_who_have_the_same_pair(store)
    with RelationStore.open(tmp_path / "answers.db") as other:
        here, there = Desk(store, RandomGrids(6), policy="refuse"), Desk(other, RandomGrids(6), policy="refuse")
        here.answer(mine, [1], "ann")
        with pytest.raises(OracleError, match="contradicts"):
            there.answer(theirs, [-1], "bob")
        assert store.entry(theirs).state == "open"
        there.answer(theirs, [1], "bob")
        assert here.next("ann") is not None
        assert there.next("bob") is not None
        with pytest.raises(OracleError, match="closed"):
            there.answer(theirs, [-1], "bob")


def test_refuse_keeps_out_what_another_process_contradicts_at_the_last_moment(tmp_path):
    class Late(RelationStore):
        late = True

        def answer(self, number, relations, **keywords):
            if self.late:
                self.late = False
                super().answer(mine, [1], annotator="ann")
            super().answer(number, relations, **keywords)

    with Late.create(tmp_path / "answers.db", manifest()) as store:
        mine, theirs = two_who_have_the_same_pair(store)
        desk = Desk(store, RandomGrids(6), policy="refuse")
        with pytest.raises(OracleError, match="contradicts"):
            desk.answer(theirs, [-1], "bob")
        assert [entry.state for entry in store.questions()] == ["answered", "open"]
        assert desk.next("bob").id == theirs


def test_overlap_asks_a_share_of_the_questions_of_a_second_annotator(store):
    desk = Desk(store, RandomGrids(2), overlap=0.5, seed=4)
    mine = {asked.question for asked in answer(desk, "ann", 40)}
    assert desk.progress().agreement is None
    theirs = [asked.question for asked in answer(desk, "bob", 40)]
    shared = [question for question in theirs if question in mine]
    assert len(set(shared)) == len(shared)
    assert 10 <= len(shared) <= 30  # of 40 at one half
    agreement = desk.progress().agreement
    assert agreement.pairs == 2 * len(shared)
    assert agreement.agree == 1.0
    assert desk.next("eve").question not in shared  # two have answered it


def test_agreement_follows_a_second_answer_to_whichever_question(store, tmp_path):
    """What was taken back and answered anew, and what a program asked twice, are of no source that says so."""
    desk = Desk(store, RandomGrids(2), overlap=1.0)
    [asked] = answer(desk, "ann", 1)
    desk.undo("ann")
    store.record(asked.question, truth(asked), annotator="bob", source="test")
    desk.refresh()
    assert desk.progress().agreement is None
    answer(desk, "ann", 1)
    assert desk.progress().agreement == store.agreement()
    assert desk.progress().agreement.pairs == 2
    for name in ("ann", "bob"):
        store.ask(Pairs([70], [71]), annotator=name, source="test")
    desk.refresh()
    for name, pairs in (("ann", 2), ("bob", 3)):
        number = next(e.id for e in store.questions() if e.state == "open" and e.annotator == name)
        desk.answer(number, [1], name)
        assert desk.progress().agreement == store.agreement()
        assert desk.progress().agreement.pairs == pairs


def test_what_no_page_can_show_is_not_taken_back_on_one(store):
    one = store.record(Pairs([0], [1]), [1], annotator="ann", source="test")
    store.record(Pairs([2, 4], [3, 5]), [1, -1], annotator="ann", source="answers.csv")
    desk = Desk(store, RandomGrids(2))
    assert desk.last("ann") == one
    assert desk.undo("ann").question == Pairs([0], [1])
    assert (desk.last("ann"), desk.undo("ann")) == (None, None)
    assert desk.progress().account.questions == 2


def test_nobody_is_asked_for_a_second_opinion_on_what_was_told_or_imported(store):
    """Of several pairs no page can be made, and what was told from the start is beyond doubt."""
    store.record(Pairs([0], [1]), [-1], annotator=SEEDS, source=SEEDS)
    store.record(Pairs([2, 4], [3, 5]), [-1, -1], annotator="imported", source="a file")
    several = store.ask(Pairs([6, 8], [7, 9]), source="somebody's program")
    desk = Desk(store, RandomGrids(2), overlap=1.0)
    asked = answer(desk, "ann", 3)
    assert {len(one.question) for one in asked} == {2}
    assert all(isinstance(one.question, Grid) for one in asked)
    assert store.entry(several).annotator is None


def test_without_overlap_nobody_is_asked_what_another_answered(store):
    desk = Desk(store, RandomGrids(2))
    mine, theirs = answer(desk, "ann", 30), answer(desk, "bob", 30)
    assert not {one.question for one in mine} & {one.question for one in theirs}


def test_an_answer_never_waits_for_the_next_question(store):
    """The one that comes next was drawn before, while somebody looked at the one before it."""

    class Watched(RandomGrids):
        draws = 0

        def next(self, situation):
            self.draws += 1
            return super().next(situation)

    strategy = Watched(6)
    desk = Desk(store, strategy)
    for _ in range(3):
        asked, ahead = desk.next("ann"), desk.ahead("ann")
        draws = strategy.draws
        desk.answer(asked.id, truth(asked), "ann")
        assert desk.next("ann").id == ahead.id
        assert strategy.draws == draws


def test_features_can_change(store):
    desk = Desk(store, make_strategy("merging", N, grid=6), features=POINTS)
    answer(desk, "ann", 2)
    desk.features = POINTS[:-1]
    with pytest.raises(FeatureError, match="80"):
        answer(desk, "ann", 1)
    desk.features = POINTS[:, :3].copy()
    answer(desk, "ann", 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlap": 1.5}, "overlap"),
        ({"overlap": float("nan")}, "overlap"),
        ({"budget": 0}, "budget"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(store, options, words):
    with pytest.raises(OracleError, match=words):
        Desk(store, RandomGrids(6), **options)


def test_bad_policy(store):
    with pytest.raises(PalError, match="policy"):
        Desk(store, RandomGrids(6), policy="latests")


def test_fewer_than_two_samples(tmp_path):
    with RelationStore.create(tmp_path / "one.db", manifest(1)) as store, pytest.raises(OracleError, match="two"):
        Desk(store, RandomGrids(6))
