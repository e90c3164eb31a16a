"""Oracles of labels: what they answer, how often they are wrong, and what they count."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import OracleError
from pal_plugin.oracle import Account, Grid, LabelOracle, NoisyOracle, Pairs, first_of_each_class

LABELS = np.random.default_rng(0).integers(0, 4, 200)


def all_pairs(size=LABELS.size):
    return np.triu_indices(size, k=1)


def test_labels_answer():
    i, j = all_pairs()
    answers = LabelOracle(LABELS).answer(i, j)
    assert answers.dtype == np.int8
    assert answers.tolist() == [1 if LABELS[a] == LABELS[b] else -1 for a, b in zip(i, j, strict=True)]
    assert LabelOracle(LABELS).select(3, np.arange(10, 30)).tolist() == (LABELS[10:30] == LABELS[3]).tolist()


def test_every_question_counts():
    oracle = LabelOracle([0, 0, 1, 1])
    assert oracle.account == Account(0, 0, 0)
    Pairs(np.array([0, 1]), np.array([2, 3])).ask(oracle)
    assert oracle.account == Account(questions=2, grids=0, clicks=2)
    assert Grid(0, np.array([1, 2, 3])).ask(oracle).tolist() == [True, False, False]
    assert oracle.account == Account(questions=5, grids=1, clicks=3)
    noisy = NoisyOracle(oracle, 0.5)
    noisy.select(0, [1, 2, 3])
    assert (noisy.account.questions, noisy.account.grids) == (3, 1)
    assert oracle.account == Account(questions=5, grids=1, clicks=3)  # its opinion was no question to it


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_the_rate_is_the_share_of_wrong_answers(rate):
    i, j = all_pairs()
    wrong = NoisyOracle(LABELS, rate, seed=1).answer(i, j) != LabelOracle(LABELS).answer(i, j)
    assert abs(wrong.mean() - rate) <= 5 * np.sqrt(rate * (1 - rate) / i.size)


def test_the_same_question_gets_the_same_answer():
    i, j = all_pairs()
    oracle = NoisyOracle(LabelOracle(LABELS), 0.3, seed=2)
    first = oracle.answer(i, j)
    order = np.random.default_rng(5).permutation(i.size)
    assert np.array_equal(NoisyOracle(LABELS, 0.3, seed=2).answer(j[order], i[order]), first[order])
    assert np.array_equal(oracle.select(0, np.arange(1, 200)), first[:199] == 1)
    other = NoisyOracle(LABELS, 0.3, seed=3).answer(i, j)
    truth = LabelOracle(LABELS).answer(i, j)
    both = ((first != truth) & (other != truth)).mean()
    assert abs(both - 0.09) < 5 * np.sqrt(0.09 * 0.91 / i.size)  # two annotators err independently


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda o: o.answer([0], [3]), r"sample 3, outside \[0, 3\)"),
        (lambda o: o.answer([-1], [1]), "sample -1, outside"),
        (lambda o: o.answer([0, 1], [1]), "2 samples i and 1 samples j"),
        (lambda o: o.answer([0.5], [1]), "float64"),
        (lambda o: o.answer([1], [1]), "sample 1 and itself"),
        (lambda o: o.select(1, [0, 1]), "sample 1 and itself"),
        (lambda o: o.select(0, [1, 2]), "sample 2, which is unlabelled"),
        (lambda o: NoisyOracle(o, 1.5), "rate=1.5"),
        (lambda o: NoisyOracle(o, float("nan")), "rate=nan"),
        (lambda o: NoisyOracle(["a", "b"], 0.1), "labels must be"),
        (lambda o: LabelOracle([[0]]), "labels must be"),
        (lambda o: LabelOracle([0, -1, -2]), "Sample 2 has the label -2, which is no class"),
        (lambda o: first_of_each_class([-2, 0]), "Sample 0 has the label -2"),
    ],
)
def test_bad_questions_are_refused_and_do_not_count(ask, said):
    oracle = LabelOracle([0, 1, -1])
    with pytest.raises(OracleError, match=said):
        ask(oracle)
    assert oracle.account == Account(0, 0, 0)
