"""Attributes read by linear probes, against scikit-learn; and labels of two levels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from pal_plugin.errors import DataError, FeatureError
from pal_plugin.evaluation import attribute_probes, minority_f1

NAMES = ("often", "seldom", "half")


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(400, 5) and (200, 5) features, and attributes that depend on them with noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    logits = x @ rng.normal(size=(5, 3)) + [2, -2, 0] + rng.logistic(size=(600, 3))
    a = (logits > 0).astype(np.int8)
    return x[:400], a[:400], x[400:], a[400:]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.7, 1])
def test_minority_f1_is_scikit_learns(share):
    rng = np.random.default_rng(1)
    truth = (np.arange(40) < 40 * share).astype(np.int8)
    for guess in (rng.integers(0, 2, 40), np.zeros(40, int), np.ones(40, int), truth):
        expected = f1_score(truth, guess, pos_label=int(share < 0.5), zero_division=0)
        assert minority_f1(truth, guess) == pytest.approx(expected)


def test_the_probes_are_scikit_learns(data):
    train_x, train_a, test_x, test_a = data
    found = attribute_probes(*data, names=NAMES, inverse_penalty=0.1)
    scaler = StandardScaler().fit(train_x)
    for column, name in enumerate(NAMES):
        model = LogisticRegression(C=0.1, max_iter=1000, tol=1e-3).fit(scaler.transform(train_x), train_a[:, column])
        guess, truth = model.predict(scaler.transform(test_x)), test_a[:, column]
        assert found["per_attribute_accuracy"][name] == pytest.approx(100 * (guess == truth).mean())
        rarer = int(truth.mean() < 0.5)
        assert found["per_attribute_f1"][name] == pytest.approx(100 * f1_score(truth, guess, pos_label=rarer))
    assert found["accuracy"] == pytest.approx(np.mean(list(found["per_attribute_accuracy"].values())))
    assert found["minority_f1"] == pytest.approx(np.mean(list(found["per_attribute_f1"].values())))
    assert found["minority_f1"] < found["accuracy"]
    assert (found["left_out"], found["converged"]) == ([], True)


def test_attributes_that_all_or_none_have_are_left_out(data):
    train_x, train_a, test_x, test_a = (array.copy() for array in data)
    train_a[:, 0], test_a[:, 2] = 1, 0
    found = attribute_probes(train_x, train_a, test_x, test_a, names=NAMES)
    assert found["left_out"] == ["often", "half"]
    assert list(found["per_attribute_f1"]) == ["seldom"]
    train_a[:, 1] = 0
    with pytest.raises(DataError, match="None of the 3 attributes"):
        attribute_probes(train_x, train_a, test_x, test_a, names=NAMES)


def test_bad_input(data):
    train_x, train_a, test_x, test_a = data
    with pytest.raises(DataError, match=r"train attributes have shape \(399, 3\) beside 400 rows"):
        attribute_probes(train_x, train_a[1:], test_x, test_a, names=NAMES)
    with pytest.raises(DataError, match="2 names"):
        attribute_probes(train_x, train_a, test_x, test_a, names=NAMES[:2])
    bad = test_x.copy()
    bad[7, 2] = np.inf
    with pytest.raises(FeatureError, match="Row 7 of the test features is not finite"):
        attribute_probes(train_x, train_a, bad, test_a, names=NAMES)
