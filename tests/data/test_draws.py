from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from pal_plugin.data.draws import ORDER, POSITIVE, permutation, uniforms, view_stream

INDEX = np.arange(20_000)


@pytest.mark.parametrize("seed", [0, 1, -5, 2**63, 10**30])
@pytest.mark.parametrize("stream", [POSITIVE, view_stream(0), view_stream(1)])
def test_uniform(seed, stream):
    u = uniforms(seed, 3, INDEX, stream, 4)
    assert u.min() >= 0
    assert u.max() < 1
    for column in u.T:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    assert stats.kstest(u[:2000].ravel(), "uniform").pvalue > 1e-4


def test_independent_over_columns_streams_epochs_seeds_and_neighbouring_samples():
    columns = [
        *uniforms(0, 0, INDEX, POSITIVE, 3).T,
        *uniforms(0, 0, INDEX, view_stream(0), 3).T,
        *uniforms(0, 0, INDEX, view_stream(1), 3).T,
        *uniforms(0, 1, INDEX, POSITIVE, 3).T,
        *uniforms(1, 0, INDEX, POSITIVE, 3).T,
        *uniforms(0, 0, INDEX + len(INDEX), POSITIVE, 3).T,
        *uniforms(0, 0, INDEX + 1, ORDER, 3).T,
    ]
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    assert np.abs(correlation).max() < 5 / np.sqrt(len(INDEX))
    lag = np.corrcoef(columns[0][1:], columns[0][:-1])[0, 1]
    assert abs(lag) < 5 / np.sqrt(len(INDEX))
    # pairs fill the unit square evenly, not only uncorrelated
    counts = np.histogram2d(columns[0], columns[3], bins=20)[0]
    assert stats.chisquare(counts.ravel()).pvalue > 1e-4


def test_a_row_depends_on_its_own_sample_only():
    whole = uniforms(7, 2, INDEX, POSITIVE, 5)
    some = np.array([9, 3, 19_999, 3])
    np.testing.assert_array_equal(uniforms(7, 2, some, POSITIVE, 5), whole[some])
    np.testing.assert_array_equal(uniforms(7, 2, some, POSITIVE, 2), whole[some, :2])
    np.testing.assert_array_equal(uniforms(7, 2, some.astype(np.int32), POSITIVE, 5), whole[some])


def test_the_numbers_are_frozen():
    """Another value would change every run that was ever made."""
    got = uniforms(1, 2, np.array([3, 4]), view_stream(0), 2)
    np.testing.assert_allclose(
        got, [[0.188941284760467, 0.6923491535137491], [0.8056451783316358, 0.21003380834179342]], rtol=0, atol=1e-16
    )


def test_copies_draw_numbers_of_their_own():
    first = uniforms(0, 0, INDEX, view_stream(0), 3)
    np.testing.assert_array_equal(uniforms(0, 0, INDEX, view_stream(0), 3, 0 * INDEX), first)
    columns = [
        *first.T,
        *uniforms(0, 0, INDEX, view_stream(0), 3, 0 * INDEX + 1).T,
        *uniforms(0, 0, INDEX, view_stream(0), 3, 0 * INDEX + 2).T,
        *uniforms(0, 0, INDEX, view_stream(0), 3, INDEX + 1).T,
        *uniforms(0, 0, 0 * INDEX, view_stream(0), 3, INDEX + 1).T,
        *uniforms(0, 0, INDEX + 1, view_stream(0), 3, 0 * INDEX).T,
    ]
    for column in columns:
        assert stats.kstest(column, "uniform").pvalue > 1e-4
    correlation = np.corrcoef(columns) - np.eye(len(columns))
    correlation[:3, -3:] = correlation[-3:, :3] = 0  # the last ones are the first's, a sample later
    assert np.abs(correlation).max() < 5 / np.sqrt(len(INDEX))
    mixed = uniforms(0, 0, np.array([5, 5, 9]), view_stream(0), 2, np.array([0, 7, 0]))
    np.testing.assert_array_equal(mixed[[0, 2]], first[[5, 9], :2])
    np.testing.assert_allclose(mixed[1], [0.35124362200656456, 0.3062467190998831], rtol=0, atol=1e-16)


def test_permutation():
    order = permutation(0, 0, 1000)
    assert sorted(order) == list(range(1000))
    assert (order != permutation(0, 1, 1000)).any()
    assert (order != permutation(1, 0, 1000)).any()
    np.testing.assert_array_equal(order, permutation(0, 0, 1000))
