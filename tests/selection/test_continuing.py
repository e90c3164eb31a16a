"""Going on from earlier picks: whose radii are kept, what they certify, and the order that comes out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pal_plugin.errors import ManifestError
from pal_plugin.selection import KCenterGreedy, KMedoids, RandomSelection, Selection, TypiClust

X = np.random.default_rng(0).normal(size=(200, 8)) * 10
MINE = {"name": "a", "split": "train", "size": 200, "digest": "x"}


def radii_of(indices, labelled=()):
    """The covering radius of every prefix, over all samples."""
    distances = np.sqrt(np.square(X[:, None] - X[[*labelled, *indices]]).sum(axis=2))
    return np.array([distances[:, : len(labelled) + budget].min(axis=1).max() for budget in range(1, len(indices) + 1)])


EARLIER = {
    "another metric": KCenterGreedy(metric="cosine").select(X, 5),
    "another start": KCenterGreedy(start=3).select(X, 5),
    "labelled": KCenterGreedy().select(X, 5, labelled=np.arange(100)),
    "candidates": KCenterGreedy().select(X, 5, candidates=np.arange(100)),
    "another selector": RandomSelection().select(X, 5),
    "nothing known": Selection(np.arange(5), np.ones(5), samples=200),
}


@pytest.mark.parametrize("name", EARLIER)
def test_radii_of_another_task_are_not_kept(name) -> None:
    found = KCenterGreedy().select(X, 8, after=EARLIER[name])
    assert np.isnan(found.radii[:5]).all()
    np.testing.assert_allclose(found.radii[5:], radii_of(found.indices)[5:])
    assert np.isnan(found.lower_bounds).all()


def test_radii_of_the_same_task_are_kept(tmp_path) -> None:
    given = {"labelled": [7, 3, 9], "candidates": np.arange(150)}
    whole = KCenterGreedy().select(X, 20, **given)
    first = KCenterGreedy().select(X, 8, **given)
    first.save(tmp_path / "picks.csv")
    again = {"labelled": [9, 7, 3], "candidates": np.arange(200) < 150}
    for earlier in (first, Selection.load(tmp_path / "picks.csv")):
        np.testing.assert_array_equal(KCenterGreedy().select(X, 20, after=earlier, **again).radii, whole.radii)
    other = KCenterGreedy().select(X, 20, after=first, labelled=[7, 3, 8], candidates=np.arange(150))
    assert np.isnan(other.radii[:8]).all()
    assert not np.isnan(other.radii[8:]).any()


def test_candidates_that_are_all_samples_are_the_same_task_as_none() -> None:
    earlier = KCenterGreedy().select(X, 5, candidates=np.arange(200))
    assert "pool" not in earlier.selector
    assert not np.isnan(KCenterGreedy().select(X, 8, after=earlier).radii).any()


def test_balanced_picks_certify_nothing() -> None:
    near = np.random.default_rng(1).uniform(0, 1, 100) + 5000
    rows = np.concatenate([np.arange(9) * 100.0, near])[:, None]
    found = KCenterGreedy(balanced=True).select(rows, 10, labels=np.repeat([0, 1], [9, 100]))
    other = np.abs(rows - rows[:10].T).min(axis=1).max()  # ten samples that cover better than half the radius
    assert other < found.radii[-1] / 2
    assert np.isnan(found.lower_bounds).all()


def test_bounds_hold_where_trimmed_picks_go_on() -> None:
    for seed in range(20):
        rows = np.random.default_rng(seed).standard_t(2, size=(12, 2))
        earlier = KCenterGreedy(trim=0.3).select(rows, 3)
        found = KCenterGreedy(trim=0.3).select(rows, 4, after=earlier)
        distances = np.sqrt(np.square(rows[:, None] - rows[None]).sum(axis=2))
        best = min(distances[:, list(some)].min(axis=1).max() for some in itertools.combinations(range(12), 4))
        assert found.lower_bounds[-1] <= best


@pytest.mark.parametrize(("name", "split"), [("b", "train"), ("a", "test")])
def test_a_smaller_data_set_of_another_name_or_split_is_refused(name, split) -> None:
    earlier = KCenterGreedy().select(X[:100], 5, manifest={"name": name, "split": split, "size": 100, "digest": "y"})
    with pytest.raises(ManifestError, match=f"after indexes {name}/{split}"):
        KCenterGreedy().select(X, 9, after=earlier, manifest=MINE)


def test_rows_that_were_appended_are_gone_on_with() -> None:
    earlier = KCenterGreedy().select(X[:100], 5, manifest={**MINE, "size": 100, "digest": "y"})
    assert KCenterGreedy().select(X, 9, after=earlier, manifest=MINE).manifest == MINE


@pytest.mark.parametrize("selector", [TypiClust(), KMedoids(), TypiClust(first=7)], ids=str)
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_after_a_whole_round_the_order_is_that_of_all_at_once(selector, rounds) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 16)).astype(np.float32)
    labelled = np.arange(3)
    end = selector.first * 2 ** (rounds - 1)
    whole = selector.select(rows, 60, labelled=labelled).indices
    earlier = selector.select(rows, end, labelled=labelled)
    np.testing.assert_array_equal(selector.select(rows, 60, labelled=labelled, after=earlier).indices, whole)
