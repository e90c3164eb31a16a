"""Strategies: what they ask, and that they know all that follows from the answers and nothing else."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import OracleError
from pal_plugin.oracle import ActiveStrategy, Grid, LabelOracle, Pairs, PassiveStrategy, first_of_each_class

LABELS = np.random.default_rng(1).integers(0, 4, 60)


def closed(size, facts):
    """Return all that follows from (i, j, ±1), by applying the two rules until nothing changes."""
    known = np.eye(size, dtype=int)
    for i, j, relation in facts:
        known[i, j] = known[j, i] = relation
    while True:
        same, apart = known == 1, known == -1
        related = (same.astype(int) @ same) > 0
        unrelated = (same.astype(int) @ apart) > 0
        new = np.where(related, 1, np.where(unrelated | unrelated.T, -1, known))
        if np.array_equal(new, known):
            return known
        known = new


def rounds(strategy, oracle, predict=lambda strategy: None):
    while (question := strategy.next(predict(strategy))) is not None:
        answer = question.ask(oracle)
        strategy.update(question, answer)
        yield question, answer


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=20), st.integers(1, 7), st.integers(0, 5))
def test_active_knows_all_that_follows_and_in_the_end_everything(labels, grid, seed):
    labels = np.array(labels)
    seeds = first_of_each_class(labels)
    strategy = ActiveStrategy(labels.size, seeds, grid=grid, seed=seed)
    facts = [(a, b, -1) for a, b in product(seeds, seeds) if a != b]
    assert np.array_equal(strategy.known(), closed(labels.size, facts))
    oracle = LabelOracle(labels)
    for question, selected in rounds(strategy, oracle):
        facts += [(question.anchor, c, 1 if s else -1) for c, s in zip(question.candidates, selected, strict=True)]
        assert np.array_equal(strategy.known(), closed(labels.size, facts))
    assert np.array_equal(strategy.known(), np.where(labels[:, None] == labels, 1, -1))
    assert oracle.account.questions <= labels.size * seeds.size


def test_grids_are_of_different_open_candidates_and_about_the_class_least_asked():
    strategy, shown = ActiveStrategy(60, first_of_each_class(LABELS), grid=10), set()
    classes = strategy.classes.copy()
    for question, _ in rounds(strategy, LabelOracle(LABELS)):
        about = int(LABELS[question.anchor])
        settled = [(classes != -1).sum() + sum(c == k and classes[s] == -1 for s, c in shown) for k in range(4)]
        assert settled[about] == min(settled)
        assert about == int(np.argmin(settled))
        open_ = {s for s in range(60) if classes[s] == -1 and (s, about) not in shown}
        assert set(question.candidates.tolist()) <= open_
        assert len(set(question.candidates.tolist())) == question.candidates.size == min(10, len(open_))
        shown |= {(s, about) for s in question.candidates.tolist()}
        classes = strategy.classes.copy()


def test_candidates_are_those_predicted_where_they_are_more_than_a_grid():
    seeds = first_of_each_class(LABELS)
    open_ = np.setdiff1d(np.arange(60), seeds)
    for likely in (9, 10, 11, 20):
        predicted = np.ones(60, dtype=int)
        predicted[open_[:likely]] = 0
        grids = [ActiveStrategy(60, seeds, seed=seed).next(predicted).candidates for seed in range(40)]
        drawn = set(np.concatenate(grids).tolist())
        assert drawn == set(open_[:likely] if likely > 10 else open_)


def test_predictions_make_active_find_members_sooner():
    def questions(predict):
        oracle = LabelOracle(LABELS)
        strategy = ActiveStrategy(60, first_of_each_class(LABELS), grid=5)
        for _ in rounds(strategy, oracle, predict):
            if (strategy.classes >= 0).sum() > 40:
                break
        return oracle.account.questions

    assert questions(lambda strategy: LABELS) < 0.7 * questions(lambda strategy: None)


@pytest.mark.parametrize("seed", range(3))
def test_as_published_fills_what_the_notebooks_fill(seed):
    truth = np.where(LABELS[:, None] == LABELS, 1, -1)
    expected, members = np.eye(60), {c: [s] for c, s in enumerate(first_of_each_class(LABELS))}
    strategy = ActiveStrategy(60, first_of_each_class(LABELS), seed=seed, as_published=True)
    assert np.array_equal(strategy.known(), expected)
    twice = incomplete = 0
    for question, selected in rounds(strategy, LabelOracle(LABELS)):
        about = LABELS[question.anchor]
        twice += np.unique(question.candidates).size < question.candidates.size
        members[about] += question.candidates[selected].tolist()
        everyone = [sample for group in members.values() for sample in group]
        expected[np.ix_(everyone, everyone)] = truth[np.ix_(everyone, everyone)]
        for other in question.candidates[~selected]:
            expected[members[about], other] = expected[other, members[about]] = -1
        assert np.array_equal(strategy.known(), expected)
        incomplete += not np.array_equal(
            expected, closed(60, [(i, j, expected[i, j]) for i, j in np.argwhere(expected)])
        )
    assert twice
    assert incomplete
    assert np.array_equal(expected, truth)


def test_passive_asks_about_each_pair_once_and_knows_the_answers_alone():
    strategy, seen = PassiveStrategy(12, pairs=10, seed=4), []
    oracle, expected = LabelOracle(LABELS[:12]), np.eye(12)
    for question, answers in rounds(strategy, oracle):
        assert question.i.size == min(10, 66 - len(seen))
        seen += list(zip(question.i.tolist(), question.j.tolist(), strict=True))
        expected[question.i, question.j] = expected[question.j, question.i] = answers
        assert np.array_equal(strategy.known(), expected)
    assert sorted(seen) == [(i, j) for i in range(12) for j in range(i + 1, 12)]
    assert strategy.next() is None


def test_passive_draws_uniformly():
    drawn = Counter(
        pair
        for seed in range(3000)
        for question in [PassiveStrategy(5, pairs=3, seed=seed).next()]
        for pair in zip(question.i.tolist(), question.j.tolist(), strict=True)
    )
    assert len(drawn) == 10
    assert max(abs(count - 900) for count in drawn.values()) < 5 * np.sqrt(3000 * 0.3 * 0.7)


def test_passive_needs_no_memory_for_the_pairs_of_a_large_data_set():
    question = PassiveStrategy(10**6, pairs=1000, seed=0).next()
    assert (question.i < question.j).all()
    assert question.j.max() < 10**6
    assert np.median(question.j) == pytest.approx(10**6 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("make", [lambda s: ActiveStrategy(60, [0, 1], seed=s), lambda s: PassiveStrategy(60, seed=s)])
def test_questions_are_a_function_of_the_seed(make):
    def ends(question):
        return question.candidates.tolist() if isinstance(question, Grid) else question.i.tolist()

    assert ends(make(0).next()) == ends(make(0).next()) != ends(make(1).next())


def grid(anchor, *candidates):
    return Grid(anchor, np.array(candidates, dtype=np.int64))


@pytest.mark.parametrize(
    ("question", "answer", "said"),
    [
        (grid(0, 3), [True], "sample 3 shows the same as 0 has two answers"),  # it is of class 1
        (grid(0, 4), [True], "sample 4 shows the same as 0 has two answers"),  # it was said not to be of class 0
        (grid(1, 3, 5), [False, True], "sample 3 shows the same as 1 has two answers"),
        (grid(0, 5, 6, 5), [True, False, False], "sample 5 shows the same as 0 has two answers"),
        (grid(0, 10), [True], r"candidates holds sample 10, outside \[0, 10\)"),
        (grid(-1, 5), [True], "anchor holds sample -1"),
        (grid(5, 6), [True], "anchor 5 is not known"),
        (grid(0, 5, 6), [True], r"grid of 2 is bool of shape \(1,\)"),
        (grid(0, 5), [1], "int64"),
    ],
)
def test_answers_that_contradict_or_do_not_fit_change_nothing(question, answer, said):
    strategy = ActiveStrategy(10, [0, 1])
    strategy.update(grid(1, 3), np.array([True]))
    strategy.update(grid(0, 4), np.array([False]))
    before = strategy.known()
    with pytest.raises(OracleError, match=said):
        strategy.update(question, answer)
    assert np.array_equal(strategy.known(), before)


def test_an_answer_may_be_given_again():
    strategy = ActiveStrategy(10, [0, 1])
    for _ in range(2):
        strategy.update(grid(0, 3, 4), np.array([True, False]))
    assert strategy.classes.tolist() == [0, 1, -1, 0, -1, -1, -1, -1, -1, -1]


@pytest.mark.parametrize(
    ("i", "j", "answers", "said"),
    [
        ([2, 1], [3, 0], [1, 1], "samples 0 and 1 are related has two answers"),
        ([2, 3], [3, 2], [1, -1], "samples 2 and 3 are related has two answers"),
        ([0], [10], [1], "j holds sample 10"),
        ([2], [2], [1], "do not fit"),
        ([2], [3], [0], "do not fit"),
        ([2], [3], [1, 1], "do not fit"),
        ([2], [3], [0.5], "float64"),
    ],
)
def test_passive_answers_that_contradict_or_do_not_fit_change_nothing(i, j, answers, said):
    strategy = PassiveStrategy(10)
    strategy.update(Pairs(np.array([0]), np.array([1])), [-1])
    before = strategy.known()
    with pytest.raises(OracleError, match=said):
        strategy.update(Pairs(np.array(i), np.array(j)), answers)
    assert np.array_equal(strategy.known(), before)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ActiveStrategy(1, [0]), "no pairs among 1"),
        (lambda: PassiveStrategy(1), "no pairs among 1"),
        (lambda: ActiveStrategy(5, []), "not distinct"),
        (lambda: ActiveStrategy(5, [1, 1]), "not distinct"),
        (lambda: ActiveStrategy(5, [1, -1]), "Class 1 has no seed among the 5"),
        (lambda: ActiveStrategy(5, [1, 5]), "Class 1 has no seed"),
        (lambda: ActiveStrategy(5, [0.5]), "seeds must be"),
        (lambda: ActiveStrategy(5, [1], grid=0), "grid of 0"),
        (lambda: PassiveStrategy(5, pairs=0), "0 pairs"),
        (lambda: ActiveStrategy(5, [0, 1]).next([0, 1]), "2 predictions do not fit 5 samples of 2 classes"),
        (lambda: ActiveStrategy(5, [0, 1]).next([0, 1, 2, 0, 0]), "do not fit"),
        (lambda: ActiveStrategy(5, [0, 1]).next([0, 1, -1, 0, 0]), "do not fit"),
        (lambda: first_of_each_class([-1, -1]), "No sample has a label"),
        (lambda: first_of_each_class([[0]]), "labels must be"),
    ],
)
def test_what_cannot_be_asked_is_refused(make, said):
    with pytest.raises(OracleError, match=said):
        make()


def test_seeds_are_the_first_of_each_class():
    assert first_of_each_class([2, -1, 0, 2, 0, 7]).tolist() == [2, 0, 5]
