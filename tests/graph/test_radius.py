"""Radius graphs against dense loops in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pal_plugin.errors import ConfigError, FeatureError, GraphError
from pal_plugin.graph import knn_graph, radius, radius_graph, space
from pal_plugin.selection import coverage

POINTS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 30), st.integers(1, 4)),
    elements=st.sampled_from(np.float32([0, 1, -1, 2, 0.5, 1e-6, 1e6, 0.1, 0.3]).tolist())
    | st.floats(-1e3, 1e3, width=32),
)


def squared(points):
    points = np.asarray(points, dtype=np.float32).astype(np.float64)
    return np.array([np.square(points - point).sum(axis=1) for point in points])


def within(points, tau, most=None):
    """The others of each row within a distance, by (distance, index)."""
    found = []
    for row, distances in enumerate(squared(points)):
        order = np.lexsort((np.arange(len(distances)), distances))
        found.append([int(i) for i in order if i != row and np.sqrt(distances[i]) <= tau][:most])
    return found


def lists(graph):
    return [graph.positives(node).tolist() for node in range(graph.num_nodes)]


@settings(max_examples=100, deadline=None)
@given(POINTS, st.data())
def test_equal_to_the_loop(points, data):
    distances = np.sqrt(squared(points)).reshape(-1).tolist()
    tau = data.draw(st.sampled_from([*distances, 0.0, 0.7, 1e3, 1e200]))  # often right on a distance
    most = data.draw(st.none() | st.integers(1, 5))
    expected = within(points, tau, most)
    if any(expected):
        assert lists(radius_graph(points, tau, max_neighbours=most)) == expected
    else:
        with pytest.raises(GraphError, match="No two samples are within"):
            radius_graph(points, tau, max_neighbours=most)


@pytest.mark.parametrize("tau", [0.0, 0.01, 0.3, 1.0, 2.0])
def test_cosine_is_one_minus_the_cosine(tau):
    points = np.random.default_rng(0).standard_normal((80, 5)).astype(np.float32)
    points[7] = 0
    points[9] = 0
    norms = np.linalg.norm(points.astype(np.float64), axis=1)
    cosine = points.astype(np.float64) @ points.T / np.maximum(np.outer(norms, norms), 1e-300)
    cosine[np.ix_([7, 9], [7, 9])] = 1
    graph = radius_graph(points, tau, metric="cosine")
    clear = np.abs(1 - cosine - tau) > 1e-6  # directions are rounded to float32
    found = np.zeros((80, 80), dtype=bool)
    found[graph.sources, graph.indices] = True
    expected = (1 - cosine <= tau) & ~np.eye(80, dtype=bool)
    assert np.array_equal(found[clear], expected[clear])
    assert found[7, 9]
    assert found[9, 7]


def test_edges_go_both_ways():
    graph = radius_graph(np.random.default_rng(1).standard_normal((200, 3)), 0.8)
    pairs = set(zip(graph.sources.tolist(), graph.indices.tolist(), strict=True))
    assert pairs == {(b, a) for a, b in pairs}
    assert 0 < graph.num_edges < 200 * 199


@settings(max_examples=60, deadline=None)
@given(POINTS, st.integers(1, 6), st.sampled_from(["euclidean", "cosine"]))
def test_adaptive_is_the_least_tau_that_gives_half_of_them_k_neighbours(points, k, metric):
    k = min(k, len(points) - 1)
    graph = radius_graph(points, "adaptive", k=k, metric=metric)
    parameters = graph.builder["parameters"]
    tau = parameters["tau"]
    assert parameters["rule"] == "adaptive"
    assert parameters["k"] == k
    assert 2 * (graph.degree >= k).sum() >= len(points)
    assert radius_graph(points, tau, metric=metric).digest == graph.digest
    if tau > 0:
        try:
            closer = radius_graph(points, tau * (1 - 1e-9), metric=metric)
        except GraphError as error:
            assert "No two samples" in error.what  # noqa: PT017
        else:
            assert 2 * (closer.degree >= k).sum() < len(points)


def test_adaptive_k_of_more_than_there_are():
    points = np.random.default_rng(5).standard_normal((6, 2))
    with pytest.warns(UserWarning, match="k=5"):
        graph = radius_graph(points, "adaptive", k=100)
    assert graph.builder == radius_graph(points, "adaptive", k=5).builder


def test_the_furthest_within_tau_is_the_last_edge():
    points = np.array([[0.0], [1.0], [3.0], [7.0]])
    graph = radius_graph(points, 3.0)
    assert graph.draw_positive([0, 1, 2, 3], np.zeros(4), how="furthest").tolist() == [2, 2, 0, -1]
    assert graph.draw_positive([0, 1, 2, 3], np.zeros(4), how="nearest").tolist() == [1, 0, 1, -1]


def test_cut_to_k_it_is_the_k_nearest():
    points = np.random.default_rng(2).standard_normal((300, 6))
    assert radius_graph(points, 1e9, max_neighbours=4).digest == knn_graph(points, 4).digest


def test_a_space_that_is_not_kept_in_memory_gives_the_same_graph(monkeypatch):
    points = np.random.default_rng(3).integers(0, 5, (400, 4))
    expected = [
        radius_graph(points, tau, metric=m).digest for tau in (1.5, "adaptive") for m in ("euclidean", "cosine")
    ]
    monkeypatch.setattr(space, "HELD_BYTES", 0)
    monkeypatch.setattr(space, "BLOCK_BYTES", 1 << 10)
    found = [radius_graph(points, tau, metric=m).digest for tau in (1.5, "adaptive") for m in ("euclidean", "cosine")]
    assert found == expected


def test_what_the_graph_says_of_itself():
    points = np.random.default_rng(4).standard_normal((50, 3))
    reference = {"name": "x", "split": "train", "size": 50, "digest": "d"}
    graph = radius_graph(points, 0.5, max_neighbours=3, manifest=reference)
    assert graph.manifest == reference
    assert graph.builder == {
        "name": "radius",
        "parameters": {"tau": 0.5, "rule": "fixed", "metric": "euclidean", "max_neighbours": 3},
        "cost": 0.0,
    }


def test_a_tau_below_every_distance_names_one_that_is_not():
    points = np.arange(10.0)[:, None] * 3
    with pytest.raises(GraphError, match=r"within τ=2 of each other. Choose a larger tau.*within 3"):
        radius_graph(points, 2.0)
    assert radius_graph(points, 3.0).num_edges == 18


def test_a_pair_exactly_tau_apart_has_an_edge():
    points = np.random.default_rng(0).normal(size=(300, 16)).astype(np.float32)
    for row in range(0, 300, 2):
        tau = float(np.sqrt(squared(points[row : row + 2])[0, 1]))
        assert row + 1 in radius_graph(points, tau).neighbours(row)[0]
        assert row + 1 not in radius_graph(points, np.nextafter(tau, 0)).neighbours(row)[0]


def test_the_tau_that_the_message_names_makes_a_graph():
    points = [[0, 0, 0], [1, 1, 1]]
    with pytest.raises(GraphError, match="have another within") as refused:
        radius_graph(points, 1.0)
    assert radius_graph(points, float(refused.value.mend.split()[-1])).num_edges == 2


@pytest.mark.parametrize("tau", [-0.1, np.nan, np.inf])
def test_a_tau_that_is_no_distance_is_refused(tau):
    with pytest.raises(GraphError, match="no distance"):
        radius_graph(np.eye(3), tau)


def test_other_input_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="adaptive"):
        radius_graph(np.eye(3), "adaptiv")
    with pytest.raises(ConfigError, match="did you mean cosine"):
        radius_graph(np.eye(3), 1.0, metric="cosin")
    for name in ("k", "max_neighbours"):
        with pytest.raises(GraphError, match=f"{name}=0"):
            radius_graph(np.eye(3), "adaptive", **{name: 0})
    with pytest.raises(FeatureError, match="Row 1"):
        radius_graph([[0.0], [np.nan]], 1.0)
    monkeypatch.setattr(radius, "MOST_EDGES", 10)
    with pytest.raises(GraphError, match="smaller tau"):
        radius_graph(np.eye(5), 2.0)


@pytest.mark.parametrize("tau", [None, [], [1.0, 2.0], 1 + 2j, 10**400, float("nan")], ids=lambda tau: repr(tau)[:20])
def test_what_is_no_distance(tau):
    with pytest.raises(GraphError, match="is no distance"):
        radius_graph([[0.0], [1.0]], tau)


@pytest.mark.parametrize("name", [None, 3, ["cosine"]], ids=repr)
def test_names_of_another_type(name):
    with pytest.raises(ConfigError, match="There is no metric called"):
        radius_graph([[0.0], [1.0]], 1.0, metric=name)
    with pytest.raises(ConfigError, match="Selectors do not run on the device"):
        coverage([[0.0], [1.0]], [0], device=name)
