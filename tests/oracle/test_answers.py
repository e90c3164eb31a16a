"""Oracles of labels: what they answer, how often they are wrong, and what they count."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import OracleError
from pal_plugin.oracle import Account, Grid, LabelOracle, NoisyOracle, Oracle, Pairs, first_of_each_class

LABELS = np.random.default_rng(0).integers(0, 4, 200)


def all_pairs(size=LABELS.size):
    return Pairs(*np.triu_indices(size, k=1))


def test_labels_answer():
    pairs = all_pairs()
    answers = LabelOracle(LABELS).answer(pairs)
    assert answers.dtype == np.int8
    assert answers.tolist() == [1 if LABELS[a] == LABELS[b] else -1 for a, b in zip(pairs.i, pairs.j, strict=True)]
    grid = Grid(3, np.arange(10, 30))
    assert ((LabelOracle(LABELS).answer(grid) == 1) == (LABELS[10:30] == LABELS[3])).all()


def test_of_an_unlabelled_sample_nobody_is_sure():
    oracle = LabelOracle([0, -1, 0, -1])
    assert oracle.answer(Pairs([0, 0, 1], [1, 2, 3])).tolist() == [0, 1, 0]
    assert oracle.account == Account(questions=3, clicks=3, answers=1, unsure=2)
    assert NoisyOracle(oracle, 1.0).answer(Pairs([0, 0, 1], [1, 2, 3])).tolist() == [0, -1, 0]


def test_every_question_counts():
    oracle = LabelOracle([0, 0, 1, 1])
    assert oracle.account == Account()
    oracle.answer(Pairs([0, 1], [2, 3]))
    assert oracle.account == Account(questions=2, clicks=2, answers=2)
    assert oracle.answer(Grid(0, [1, 2, 3])).tolist() == [1, -1, -1]
    assert oracle.account == Account(questions=3, grids=1, clicks=4, answers=5)
    noisy = NoisyOracle(oracle, 0.5)
    noisy.answer(Grid(0, [1, 2, 3]))
    assert (noisy.account.questions, noisy.account.grids) == (1, 1)
    assert oracle.account == Account(questions=3, grids=1, clicks=4, answers=5)  # its opinion was no question to it


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_rate_is_the_share_of_wrong_answers(rate):
    pairs = all_pairs()
    wrong = NoisyOracle(LABELS, rate, seed=1).answer(pairs) != LabelOracle(LABELS).answer(pairs)
    assert abs(wrong.mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / len(pairs))


def test_mistakes_are_those_they_always_were():
    """Results in git depend on them."""
    wrong = NoisyOracle(np.zeros(20, dtype=int), 0.1, seed=3).answer(all_pairs(20)) == -1
    assert np.flatnonzero(wrong).tolist() == MISTAKES


MISTAKES = [7, 36, 46, 63, 75, 88, 90, 97, 119, 124, 135, 145, 160, 165, 167, 169, 185]


def test_the_same_question_gets_the_same_answer():
    pairs = all_pairs()
    oracle = NoisyOracle(LabelOracle(LABELS), 0.3, seed=2)
    first = oracle.answer(pairs)
    order = np.random.default_rng(5).permutation(len(pairs))
    again = NoisyOracle(LABELS, 0.3, seed=2).answer(Pairs(pairs.j[order], pairs.i[order]))
    assert np.array_equal(again, first[order])
    assert np.array_equal(oracle.answer(Grid(0, np.arange(1, 200))), first[:199])
    other = NoisyOracle(LABELS, 0.3, seed=3).answer(pairs)
    truth = LabelOracle(LABELS).answer(pairs)
    both = ((first != truth) & (other != truth)).mean()
    assert abs(both - 0.09) < 5 * np.sqrt(0.09 * 0.91 / len(pairs))  # two annotators err independently


class Says(Oracle):
    def __init__(self, answer):
        super().__init__(3)
        self._says = answer

    def _answer(self, question):
        return self._says


@pytest.mark.parametrize("said", [[1], [1, 2], [1, 0.5], [[1, 1]], [np.nan, 1], ["a", "b"]])
def test_an_answer_that_does_not_fit_is_refused_and_does_not_count(said):
    oracle = Says(said)
    with pytest.raises(OracleError, match="question of 2 pairs"):
        oracle.answer(Pairs([0, 1], [1, 2]))
    assert oracle.account == Account()
    assert Says([True, False]).answer(Pairs([0, 1], [1, 2])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda o: o.answer(Pairs([0], [3])), r"sample 3, outside \[0, 3\)"),
        (lambda o: o.answer(Grid(3, [0])), "sample 3, outside"),
        (lambda o: NoisyOracle(o, 1.5), "rate=1.5"),
        (lambda o: NoisyOracle(o, float("nan")), "rate=nan"),
        (lambda o: NoisyOracle(["a", "b"], 0.1), "labels must be"),
        (lambda o: LabelOracle([[0]]), "labels must be"),
        (lambda o: LabelOracle([0, -1, -2]), "Sample 2 has the label -2, which is no class"),
        (lambda o: first_of_each_class([-2, 0]), "Sample 0 has the label -2"),
        (lambda o: first_of_each_class([-1, -1]), "No sample has a label"),
    ],
)
def test_bad_questions_are_refused_and_do_not_count(ask, said):
    oracle = LabelOracle([0, 1, -1])
    with pytest.raises(OracleError, match=said):
        ask(oracle)
    assert oracle.account == Account()


def test_seeds_are_the_first_of_each_class():
    assert first_of_each_class([2, -1, 0, 2, 0, 7]).tolist() == [2, 0, 5]
