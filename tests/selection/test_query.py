"""The query strategy keeps to what scikit-activeml's template test asks of one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from pal_plugin.selection import KCenterGreedy

pytest.importorskip("skactiveml", reason="scikit-activeml is not installed: pip install 'pal-plugin[skactiveml]'")
from pal_plugin.selection.query import KCenterQuery

X = np.random.default_rng(0).normal(size=(80, 5))
Y = np.full(80, np.nan)
Y[[3, 50]] = 0, 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("y", [Y, np.full(80, np.nan)], ids=["two labelled", "cold start"])
@pytest.mark.parametrize("candidates", [None, [5, 9, 40, 41, 42, 60, 79]])
def test_picks_are_the_largest_utilities(metric, y, candidates) -> None:
    picks, utilities = KCenterQuery(metric).query(X, y, candidates, batch_size=6, return_utilities=True)
    assert utilities.shape == (6, 80)
    np.testing.assert_array_equal(picks, np.nanargmax(utilities, axis=1))
    can = np.isin(np.arange(80), np.flatnonzero(np.isnan(y)) if candidates is None else candidates)
    for turn, row in enumerate(utilities):
        np.testing.assert_array_equal(np.isnan(row), ~can | np.isin(np.arange(80), picks[:turn]))
    labelled = np.flatnonzero(~np.isnan(y))
    one = KCenterGreedy(metric=metric).select(X, 6, labelled=labelled, candidates=candidates)
    np.testing.assert_array_equal(picks, one.indices)


def test_candidates_that_are_samples() -> None:
    new = np.random.default_rng(1).normal(size=(9, 5))
    picks, utilities = KCenterQuery().query(X, Y, new, batch_size=4, return_utilities=True)
    assert utilities.shape == (4, 9)
    np.testing.assert_array_equal(picks, np.nanargmax(utilities, axis=1))


def test_its_parameters_and_its_checks() -> None:
    strategy = KCenterQuery("cosine", missing_label=-1, random_state=3)
    assert clone(strategy).get_params() == strategy.get_params()
    y = np.where(np.isnan(Y), -1, Y).astype(int)
    first, second = (clone(strategy).query(X, y, batch_size=3) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    with pytest.warns(UserWarning, match="batch_size"):
        assert len(KCenterQuery().query(X, Y, batch_size=100)) == 78
    for wrong in ({"batch_size": 0}, {"candidates": [99]}, {"return_utilities": None}):
        with pytest.raises((ValueError, TypeError)):
            KCenterQuery().query(X, Y, **wrong)


def test_utilities_of_a_row_of_zeros() -> None:
    rows = X.copy()
    rows[[7, 9]] = 0
    with pytest.warns(UserWarning, match="no direction"):
        picks, utilities = KCenterQuery("cosine").query(rows, Y, batch_size=10, return_utilities=True)
    np.testing.assert_array_equal(picks, np.nanargmax(utilities, axis=1))
    assert utilities[0, 7] == pytest.approx(np.sqrt(2))
