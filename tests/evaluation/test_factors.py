"""Linear R² and DCI against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from pal_plugin.errors import DataError, FeatureError
from pal_plugin.evaluation import dci, linear_r2
from pal_plugin.evaluation.factors import _certainty


@pytest.fixture
def factors() -> tuple[np.ndarray, np.ndarray]:
    """(600, 4) and (300, 4) independent factors, on the unit sphere so that scaling to unit length changes nothing."""
    rows = np.random.default_rng(0).normal(size=(900, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows[:600], rows[600:]


def test_r2_by_hand(factors):
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(4, 3))
    train_f, test_f = (x @ weights + 0.5 * rng.normal(size=(len(x), 3)) + 2 for x in factors)
    found = linear_r2(3 * factors[0], train_f, 7 * factors[1], test_f)  # lengths are taken away
    design, read = (np.column_stack([x, np.ones(len(x))]) for x in factors)
    guess = read @ np.linalg.lstsq(design, train_f, rcond=None)[0]
    errors, spread = ((test_f - guess) ** 2).sum(axis=0), ((test_f - test_f.mean(axis=0)) ** 2).sum(axis=0)
    np.testing.assert_allclose(list(found["per_factor"].values()), 1 - errors / spread, rtol=1e-9)
    assert found["r2"] == pytest.approx(np.mean(1 - errors / spread))
    assert list(found["per_factor"]) == ["0", "1", "2"]


def test_linear_features_have_an_r2_of_one_and_others_none(factors):
    train, test = factors
    assert linear_r2(train, train @ np.ones((4, 2)), test, test @ np.ones((4, 2)))["r2"] == pytest.approx(1)
    noise = np.random.default_rng(2).normal(size=(900, 4))
    assert abs(linear_r2(noise[:600], train, noise[600:], test)["r2"]) < 0.05


def test_a_permutation_is_disentangled_and_complete(factors):
    train, test = (x[:, [2, 0, 3, 1]] * [1, -1, 1, -1] for x in factors)
    found = dci(train, factors[0], test, factors[1])
    assert found["disentanglement"] > 0.99
    assert found["completeness"] > 0.99
    assert found["nrmse"] < 0.01
    assert (found["unused_dimensions"], found["left_out"]) == (0, [])


def test_a_rotation_tells_as_much_and_is_not_disentangled(factors):
    rotation = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    found = dci(factors[0] @ rotation, factors[0], factors[1] @ rotation, factors[1])
    exact = np.abs(rotation).T  # what the coefficients are of features that have one variance
    expected = {
        "disentanglement": float(exact.sum(axis=1) / exact.sum() @ (1 - entropy(exact, base=4, axis=1))),
        "completeness": float((1 - entropy(exact, base=4, axis=0)).mean()),
    }
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, abs=0.03)
    assert found["disentanglement"] < 0.6
    assert found["nrmse"] < 0.01


def test_the_order_of_the_rows_hardly_matters(factors):
    """Data sets of factors are often stored sorted by them, and folds of neighbouring rows would not be alike."""
    mixing = np.random.default_rng(3).normal(size=(4, 12))
    train, test = (np.tanh(2 * x @ mixing) for x in factors)
    order = np.lexsort(factors[0].T)
    found = [dci(train[rows], factors[0][rows], test, factors[1]) for rows in (order, np.arange(600))]
    assert found[0]["disentanglement"] == pytest.approx(found[1]["disentanglement"], abs=0.01)


def test_a_factor_in_two_dimensions_is_disentangled_and_not_complete():
    rng = np.random.default_rng(3)
    factors = rng.normal(size=(900, 2))
    here = rng.integers(0, 2, 900)
    parts = (factors[:, 0] * here, factors[:, 0] * (1 - here), factors[:, 1])
    features = np.column_stack([*parts, np.full(900, 5.0)])  # the last keeps lengths nearly equal
    found = dci(features[:600], factors[:600], features[600:], factors[600:])
    assert found["disentanglement"] > 0.9
    assert found["completeness"] < 0.85
    assert found["unused_dimensions"] <= 1


def test_certainty_by_hand():
    importance = np.array([[1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], float)
    np.testing.assert_allclose(_certainty(importance), [1, 0, 0.5, 0], atol=1e-12)


def test_features_that_tell_nothing(factors):
    found = dci(np.ones((600, 3)), factors[0], np.ones((300, 3)), factors[1])
    assert (found["disentanglement"], found["completeness"], found["unused_dimensions"]) == (0, 0, 3)
    assert found["nrmse"] == pytest.approx(1, abs=0.01)


def test_constant_factors_are_left_out(factors):
    train, test = (np.column_stack([x, np.full(len(x), 4.0)]) for x in factors)
    assert linear_r2(factors[0], train, factors[1], test)["left_out"] == [4]
    assert dci(factors[0], train, factors[1], test)["left_out"] == [4]
    with pytest.raises(DataError, match="No factor varies"):
        linear_r2(factors[0], train[:, 4:], factors[1], test[:, 4:])
    with pytest.raises(DataError, match="4 dimensions and 1 factors"):
        dci(factors[0], train[:, 3:], factors[1], test[:, 3:])


@pytest.mark.parametrize("measure", [linear_r2, dci])
def test_bad_input(measure, factors):
    train, test = factors
    with pytest.raises(FeatureError, match="Row 0 of the train features is not finite"):
        measure(np.full((600, 4), np.nan), train, test, test)
    with pytest.raises(DataError, match=r"test factors, float64 of shape \(300, 4\), do not fit 299 rows"):
        measure(train, train, test[:299], test)
    with pytest.raises(DataError, match="train factors"):
        measure(train, np.where(train > 0.9, np.inf, train), test, test)
    with pytest.raises(FeatureError, match="4 columns, the test features 3"):
        measure(train, train, test[:, :3], test)
