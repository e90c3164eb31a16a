"""What every selector keeps to, and each one's own rule against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.base import clone

from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.graph import radius_graph
from pal_plugin.selection import (
    CoreSet,
    FacilityLocation,
    KCenterGreedy,
    KMedoids,
    ProbCover,
    RandomSelection,
    TypiClust,
    make_selector,
    probcover,
)
from pal_plugin.testing import SelectorConformance

RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(240, 6)) + 4 * RANDOM.normal(size=(6, 6))[RANDOM.integers(0, 6, 240)]).astype(np.float32)
SELECTORS = [
    KCenterGreedy(),
    RandomSelection(seed=1),
    TypiClust(),
    KMedoids(),
    ProbCover(),
    ProbCover(delta=1.5, metric="euclidean"),
    FacilityLocation(),
    CoreSet(batch=7),
]
every = pytest.mark.parametrize("selector", SELECTORS, ids=lambda selector: str(selector))


@every
class TestConformance(SelectorConformance):
    """What third parties' selectors are asked as well."""

    @pytest.fixture(autouse=True)
    def _selector(self, selector) -> None:
        self.selector = selector
        type(self).reads_features = not isinstance(selector, RandomSelection)

    def make(self):
        return clone(self.selector)


@every
def test_duplicates_and_one_row(selector) -> None:
    same = np.ones((30, 4), dtype=np.float32)
    if not isinstance(selector, (TypiClust, KMedoids)):  # k-means warns of fewer distinct points than clusters
        assert sorted(selector.select(same, 30).indices) == list(range(30))
    assert selector.select(same[:1], 1).indices.tolist() == [0]


def test_probcover_is_the_greedy_of_largest_cover() -> None:
    near = np.linalg.norm(X[:, None].astype(float) - X[None], axis=2) <= 1.5
    left, expected = np.ones(240, dtype=bool), []
    for _ in range(25):
        gain = (near & left).sum(axis=1)
        gain[expected] = -1
        expected.append(int(gain.argmax()))
        left &= ~near[expected[-1]]
    np.testing.assert_array_equal(ProbCover(delta=1.5, metric="euclidean").select(X, 25).indices, expected)


def test_facility_location_is_the_greedy_of_least_squared_distance() -> None:
    squared = np.square(X[:, None].astype(float) - X[None]).sum(axis=2)
    nearest, taken = np.full(240, 1e6), []
    for pick in FacilityLocation().select(X, 40).indices:
        cost = np.minimum(nearest[:, None], squared).sum(axis=0)
        cost[taken] = np.inf
        assert cost[pick] <= cost.min() * (1 + 1e-5)  # float32 decides between two that are as good
        taken.append(pick)
        nearest = np.minimum(nearest, squared[:, pick])


def test_clusters_give_one_pick_each() -> None:
    centres = 30 * np.eye(12, dtype=np.float32)
    group = np.repeat(np.arange(12), 20)
    apart = centres[group] + RANDOM.normal(size=(240, 12)).astype(np.float32) * 0.1
    for selector in (TypiClust(first=12), KMedoids(first=12)):
        picks = selector.select(apart, 12).indices
        assert len(set(group[picks])) >= 11  # k-means may join two
    labelled = np.flatnonzero(group < 6)[::20]
    found = TypiClust(first=6).select(apart, 6, labelled=labelled).indices
    assert len(set(group[found]) & set(range(6))) <= 1


def test_core_set_refits_before_every_round() -> None:
    asked: list[list[int]] = []

    def refit(labelled):
        asked.append(labelled.tolist())
        return X * (1 + np.arange(6) * len(labelled))

    found = CoreSet(refit=refit, batch=10, start=0).select(X, 25).indices
    assert [len(known) for known in asked] == [10, 20]
    np.testing.assert_array_equal(found[:10], KCenterGreedy(start=0).select(X, 10).indices)
    second = KCenterGreedy().select(X * (1 + np.arange(6) * 10), 10, labelled=found[:10]).indices
    np.testing.assert_array_equal(found[10:20], second)
    ends = CoreSet(refit=refit, batch=(10, 13, 40), start=0).select(X, 25).indices
    assert [len(known) for known in asked] == [10, 20, 10, 13]
    np.testing.assert_array_equal(ends[:13], found[:13])
    for batch in (0, (5, 5), (0, 3), -2):
        with pytest.raises(ConfigError, match="no rounds"):
            CoreSet(batch=batch).select(X, 25)
    with pytest.raises(ConfigError, match="3 rows"):
        CoreSet(refit=lambda labelled: X[:3], batch=2).select(X, 5)


def test_random_is_a_permutation_by_seed() -> None:
    orders = [RandomSelection(seed=seed).select(X, 240).indices for seed in range(4)]
    assert all((one != other).any() for one, other in itertools.combinations(orders, 2))


def test_selectors_by_name() -> None:
    names = ("kcenter", "random", "typiclust", "probcover", "kmedoids", "facility", "coreset")
    kinds = (KCenterGreedy, RandomSelection, TypiClust, ProbCover, KMedoids, FacilityLocation, CoreSet)
    for name, kind in zip(names, kinds, strict=True):
        assert type(make_selector(name)) is kind
    assert make_selector("kcenter", metric="cosine").get_params()["metric"] == "cosine"
    with pytest.raises(ConfigError, match="kcenter"):
        make_selector("kcentre")
    with pytest.raises(ConfigError, match="metric"):
        make_selector("kcenter", metrik="cosine")


@every
def test_rows_in_any_layout(selector) -> None:
    padded = np.zeros(60, dtype=[("pad", "u1"), ("row", "f4", 6)])  # steps that are no whole number of floats
    padded["row"] = X[:60]
    for rows in (X[59::-1], X[:60, ::-1], padded["row"]):
        expected = selector.select(np.ascontiguousarray(rows), 12).indices
        np.testing.assert_array_equal(selector.select(rows, 12).indices, expected)


@every
def test_rows_of_different_lengths_are_refused(selector) -> None:
    with pytest.raises(FeatureError, match="same length"):
        selector.select([[1.0, 2.0], [3.0]], 1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("rows", [3, 8, 15, 30])
def test_probcover_on_a_few_rows(rows, metric) -> None:
    for seed in range(20):
        few = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
        assert sorted(ProbCover(metric=metric).select(few, rows).indices) == list(range(rows))


def test_the_radius_of_probcover_far_from_the_origin(monkeypatch) -> None:
    radii = []

    def noted(features, tau, **options):
        radii.append(tau)
        return radius_graph(features, tau, **options)

    monkeypatch.setattr(probcover, "radius_graph", noted)
    near = (np.random.default_rng(0).normal(size=(1000, 64)) / 100).astype(np.float32)
    for rows in (near, near + 1000):
        ProbCover(metric="euclidean").select(rows, 5)
    assert radii[1] == pytest.approx(radii[0], rel=0.05)  # k-means finds other clusters there


def test_probcover_with_balls_that_cover_nothing_else() -> None:
    assert ProbCover(delta=1e-9, metric="euclidean").select(X, 4, candidates=[9, 3, 7, 5]).indices.tolist() == [
        3,
        5,
        7,
        9,
    ]
    with pytest.raises(ConfigError, match=r"no distance.*larger delta"):
        ProbCover(delta=-1.0).select(X, 4)


@pytest.mark.parametrize("far", [1, 100, 1e4, 1e5])
def test_facility_location_with_one_row_far_out_is_the_float64_greedy(far) -> None:
    rows = np.random.default_rng(3).normal(size=(400, 16)).astype(np.float32)
    rows[7] *= far
    squared = np.square(rows[:, None].astype(float) - rows[None]).sum(axis=2)
    nearest, expected = np.full(400, np.inf), []
    for _ in range(4):
        cost = np.minimum(nearest[:, None], squared).sum(axis=0)
        cost[expected] = np.inf
        expected.append(int(cost.argmin()))
        nearest = np.minimum(nearest, squared[:, expected[-1]])
    assert FacilityLocation().select(rows, 4).indices.tolist() == expected
