"""The probe against a second way to the same optimum, and its bad inputs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.datasets import load_digits

from pal_plugin.errors import ConfigError, DataError, FeatureError
from pal_plugin.evaluation.linear import linear_probe


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return (x[:1000].astype(np.float32), y[:1000]), (x[1000:].astype(np.float32), y[1000:])


def test_equals_the_same_problem_written_out():
    """Objective and gradient by hand, another solver: the predictions agree."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 6))
    train_y, test_y = rng.integers(0, 4, 300), rng.integers(0, 4, 400)
    train_x = centres[train_y] + 1.5 * rng.normal(size=(300, 6))
    test_x = centres[test_y] + 1.5 * rng.normal(size=(400, 6))
    mean, deviation = train_x.mean(0), train_x.std(0)
    z = (train_x - mean) / deviation

    def objective(flat):
        weights = flat.reshape(4, 7)
        logits = z @ weights[:, :6].T + weights[:, 6]
        return -log_softmax(logits, axis=1)[np.arange(300), train_y].sum() + 0.5 * (weights[:, :6] ** 2).sum()

    best = minimize(objective, np.zeros(28), method="BFGS", options={"gtol": 1e-4}).x.reshape(4, 7)
    guesses = ((test_x - mean) / deviation @ best[:, :6].T + best[:, 6]).argmax(1)
    got = linear_probe(train_x, train_y, test_x, test_y)
    assert got["top1"] == pytest.approx(100 * (guesses == test_y).mean(), abs=0.26)  # one row of 400
    assert got["top5"] == 100
    assert got["converged"]


def test_digits(digits):
    got = linear_probe(*digits[0], *digits[1])
    assert 90 < got["top1"] < got["top5"] < 100
    assert got["converged"] is True
    assert got["iterations"] > 1
    assert linear_probe(*digits[0], *digits[1]) == got


def test_test_rows_do_not_reach_the_fit(digits):
    """Each test row is judged alone: its neighbours in the test set, however wild, change nothing."""
    train, (x, y) = digits
    alone = linear_probe(*train, x[:50], y[:50])
    wild = linear_probe(
        *train, np.concatenate([x[:50], 1e6 * np.ones((50, 64), np.float32)]), np.r_[y[:50], -(y[:50] - 99)]
    )
    assert wild["top1"] * 2 == pytest.approx(alone["top1"])


def test_scale_of_a_feature_does_not_matter(digits):
    scale = np.logspace(-3, 3, 64).astype(np.float32)
    (a, ya), (b, yb) = digits
    plain, scaled = linear_probe(a, ya, b, yb), linear_probe(a * scale, ya, b * scale, yb)
    assert scaled["top1"] == pytest.approx(plain["top1"], abs=0.3)


def test_too_few_iterations_are_said(digits, recwarn):
    got = linear_probe(*digits[0], *digits[1], max_iterations=2)
    assert got["converged"] is False
    assert got["iterations"] == 2
    assert not recwarn.list  # a field, not a warning in the middle of a table


def test_two_classes_and_a_constant_feature():
    rng = np.random.default_rng(1)
    y = np.arange(80) % 2
    x = np.c_[np.ones(80), y + 0.01 * rng.normal(size=80)]
    assert linear_probe(x[:40], y[:40], x[40:], y[40:])["top1"] == 100


def test_bad_input_is_named(digits):
    (x, y), test = digits
    with pytest.raises(DataError, match="All 1000 train rows are of class 3"):
        linear_probe(x, np.full(1000, 3), *test)
    with pytest.raises(FeatureError, match="columns"):
        linear_probe(x[:, :9], y, *test)
    broken = x.copy()
    broken[5, 0] = np.inf
    with pytest.raises(FeatureError, match="Row 5 of the test"):
        linear_probe(x, y, broken, y)
    with pytest.raises(DataError, match="no label"):
        linear_probe(x, np.where(y == 0, -1, y), *test)
    for penalty in (0.0, float("nan")):
        with pytest.raises(ConfigError, match="inverse penalty"):
            linear_probe(x, y, *test, inverse_penalty=penalty)
