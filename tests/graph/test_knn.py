"""Neighbours against brute force in float64."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pal_plugin.errors import ConfigError, FeatureError, GraphError
from pal_plugin.graph import SimilarityGraph, knn_graph, purity, space
from pal_plugin.graph.knn import faiss_exact
from pal_plugin.registry import engines


def brute(points, k):
    """The k nearest other rows by (float64 distance, index)."""
    points = np.asarray(points, dtype=np.float32).astype(np.float64)
    nearest = np.empty((len(points), k), dtype=int)
    for row, point in enumerate(points):
        order = np.lexsort((np.arange(len(points)), np.square(points - point).sum(axis=1)))
        nearest[row] = order[order != row][:k]
    return nearest


def brute_cosine(points, k):
    """The same by one minus the cosine, in float64; a row of zeros has cosine 1 with its like and 0 with others."""
    points = np.asarray(points, dtype=np.float32).astype(np.float64)
    norms = np.linalg.norm(points, axis=1)
    cosine = (points @ points.T) / np.maximum(np.outer(norms, norms), 1e-300)
    cosine[np.ix_(norms == 0, norms == 0)] = 1
    order = [np.lexsort((np.arange(len(points)), -cosine[row])) for row in range(len(points))]
    return np.array([o[o != row][:k] for row, o in enumerate(order)])


def rows(graph):
    return graph.indices.reshape(graph.num_nodes, -1)


def clusters(size, width, seed=0):
    """Like the features of a network: rectified, in clusters, far from the origin."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((10, width))
    return np.maximum(centres[rng.integers(0, 10, size)] + rng.standard_normal((size, width)), 0).astype(np.float32)


RNG = np.random.default_rng(1)
CASES = {
    "gaussian": RNG.standard_normal((500, 20)),
    "clusters": clusters(500, 64),
    "high-dimensional": clusters(300, 3000),
    "one dimension": RNG.standard_normal((300, 1)),
    "tied integers": RNG.integers(0, 3, (600, 5)),
    "a line": np.arange(200.0)[:, None],
    "bytes": RNG.integers(0, 256, (300, 12), dtype=np.uint8),
    "duplicates": clusters(30, 16)[RNG.integers(0, 30, 400)],
    "all the same": np.full((300, 8), 0.1),
    "all zero": np.zeros((50, 3)),
    "one-hot": np.eye(120),
    "far from the origin": clusters(300, 16) + 1e5,
    "nearly the same": 1 + 1e-6 * RNG.standard_normal((300, 32)),
    "huge": clusters(200, 8) * np.float32(1e37),
    "an outlier": np.concatenate([clusters(200, 8), np.full((1, 8), 1e30)]),
    "tiny": clusters(200, 8) * np.float32(1e-38),
    "subnormal": RNG.integers(0, 9, (100, 3)) * 1e-45,
    "two rows": RNG.standard_normal((2, 3)),
    "float16": clusters(200, 8).astype(np.float16),
}


@pytest.mark.parametrize("k", [1, 4, 11])
@pytest.mark.parametrize("name", CASES)
def test_equal_to_brute_force(name, k):
    points = CASES[name]
    k = min(k, len(points) - 1)
    assert np.array_equal(rows(knn_graph(points, k)), brute(points, k))


@pytest.mark.parametrize("name", ["gaussian", "clusters", "high-dimensional"])
@pytest.mark.parametrize("scale", [1, 1e36, 1e-36])
def test_cosine_equal_to_brute_force(name, scale):
    points = CASES[name] * np.float32(scale)
    assert np.array_equal(rows(knn_graph(points, 4, metric="cosine")), brute_cosine(points, 4))


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 30), st.integers(1, 4)),
        elements=st.sampled_from(np.float32([0, 1, -1, 2, 0.5, 1e-6, 1e6, 0.1, 0.3]).tolist())
        | st.floats(-1e3, 1e3, width=32),
    ),
    st.integers(1, 29),
)
def test_equal_to_brute_force_on_what_hypothesis_finds(points, k):
    k = min(k, len(points) - 1)
    graph = knn_graph(points, k)
    assert np.array_equal(rows(graph), brute(points, k))
    assert (graph.degree == k).all()
    assert (rows(graph) != np.arange(len(points))[:, None]).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["euclidean", "cosine"]), st.booleans())
def test_permuted_rows_have_the_permuted_neighbours(seed, metric, include_self):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((60, 7))  # no ties: those follow the index
    order = rng.permutation(60)
    whole = rows(knn_graph(points, 4, metric=metric, include_self=include_self))
    moved = rows(knn_graph(points[order], 4, metric=metric, include_self=include_self))
    assert np.array_equal(order[moved], whole[order])


@pytest.mark.parametrize("name", ["clusters", "tied integers", "duplicates"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_block_size_and_threads_change_nothing(name, metric):
    points = np.asarray(CASES[name], dtype=np.float32)
    before = faiss.omp_get_max_threads()
    expected = faiss_exact(points, 4, metric)
    try:
        for threads in (1, 2, 3):
            faiss.omp_set_num_threads(threads)
            for block in (1, 7, 128, 10_000):
                assert np.array_equal(faiss_exact(points, 4, metric, block=block), expected)
    finally:
        faiss.omp_set_num_threads(before)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", CASES)
def test_points_that_are_not_kept_in_memory_have_the_same_neighbours(name, metric, monkeypatch):
    points = CASES[name]
    k = min(4, len(points) - 1)
    expected = knn_graph(points, k, metric=metric).digest
    monkeypatch.setattr(space, "HELD_BYTES", 0)
    monkeypatch.setattr(space, "BLOCK_BYTES", 100 * 4 * points.shape[1])
    assert knn_graph(points, k, metric=metric).digest == expected


def test_parallel_rows_are_tied_in_cosine():
    points = np.array([[1, 2], [3, 6], [0, 0], [0.1, 0.2], [-1, -2], [0, 0], [7, 14]], dtype=float)
    nearest = rows(knn_graph(points, 3, metric="cosine"))
    assert nearest.tolist() == [[1, 3, 6], [0, 3, 6], [5, 0, 1], [0, 1, 6], [2, 5, 0], [2, 0, 1], [0, 1, 3]]


def test_zero_rows_are_nobodys_near_neighbours_in_cosine():
    points = np.random.default_rng(0).random((100, 6))
    points[[3, 50, 51]] = 0
    nearest = rows(knn_graph(points, 4, metric="cosine"))
    assert nearest[3].tolist()[:2] == [50, 51]
    others = np.setdiff1d(np.arange(100), [3, 50, 51])
    assert not np.isin(nearest[others], [3, 50, 51]).any()
    assert np.array_equal(nearest[others], brute_cosine(points, 4)[others])


def test_a_duplicate_stays_a_neighbour_and_the_row_itself_never_is():
    points = np.repeat(clusters(5, 3), 4, axis=0)
    nearest = rows(knn_graph(points, 3))
    for row in range(20):
        group = row // 4 * 4
        assert nearest[row].tolist() == [i for i in range(group, group + 4) if i != row]


def test_k_of_all_and_more():
    points = CASES["gaussian"][:10]
    whole = rows(knn_graph(points, 9))
    assert np.array_equal(whole, brute(points, 9))
    for k in (10, 1000):
        with pytest.warns(UserWarning, match="k=9"):
            assert np.array_equal(rows(knn_graph(points, k)), whole)
    knn_graph(points, 10, include_self=True)
    with pytest.warns(UserWarning, match="k=10"):
        assert rows(knn_graph(points, 11, include_self=True)).shape == (10, 10)


def test_include_self_comes_first_even_among_duplicates():
    points = CASES["all the same"]
    nearest = rows(knn_graph(points, 3, include_self=True))
    assert np.array_equal(nearest[:, 0], np.arange(300))
    assert nearest[5].tolist() == [5, 0, 1]
    with pytest.warns(UserWarning, match="plain SSL"):
        graph = knn_graph(points, 1, include_self=True)
    assert graph.indices.tolist() == list(range(300))


@pytest.mark.filterwarnings("error")
def test_what_the_graph_says_of_itself():
    reference = {"name": "x", "split": "train", "size": 500, "digest": "d"}
    graph = knn_graph(CASES["gaussian"], 4, metric="cosine", manifest=reference)
    assert isinstance(graph, SimilarityGraph)
    assert graph.manifest == reference
    assert graph.builder["name"] == "knn"
    assert graph.builder["parameters"] == {"k": 4, "metric": "cosine", "include_self": False, "engine": "faiss"}
    assert graph.builder["cost"] == 0
    assert (graph.weights == 1).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_row_that_is_not_finite_is_named(value, kind):
    points = CASES["gaussian"].astype(kind)
    points[[123, 400], 7] = value
    with pytest.raises(FeatureError, match="Row 123"):
        knn_graph(points, 4)


@pytest.mark.filterwarnings("error")
def test_a_float64_beyond_float32_is_named():
    points = CASES["gaussian"].copy()
    points[9, 0] = 1e300
    with pytest.raises(FeatureError, match="Row 9"):
        knn_graph(points, 4)


@pytest.mark.parametrize(
    ("features", "error"),
    [
        (np.ones(5), FeatureError),
        (np.ones((5, 0)), FeatureError),
        (np.ones((5, 2), dtype=complex), FeatureError),
        (np.array([["a"], ["b"]]), FeatureError),
        (np.ones((1, 4)), GraphError),
        (np.ones((0, 4)), GraphError),
    ],
)
def test_other_shapes_and_types_are_refused(features, error):
    with pytest.raises(error):
        knn_graph(features, 1)


def test_other_choices_are_refused():
    points = CASES["gaussian"]
    for k in (0, -1):
        with pytest.raises(GraphError, match=f"k={k}"):
            knn_graph(points, k)
    with pytest.raises(ConfigError, match="did you mean cosine"):
        knn_graph(points, 3, metric="cosin")
    with pytest.raises(ConfigError, match="no engine called 'fais'"):
        knn_graph(points, 3, engine="fais")


def test_engines_of_others_are_used_and_checked():
    def next_rows(features, k, metric):
        return (np.arange(len(features))[:, None] + 1 + np.arange(k)) % len(features)

    engines.add("test-next-rows", next_rows)
    engines.add("test-itself", lambda features, k, metric: np.zeros((len(features), k), dtype=np.int64))
    engines.add("test-padded", lambda features, k, metric: np.full((len(features), k), -1))
    points = CASES["gaussian"]
    with pytest.warns(UserWarning, match="below 0.95"):
        assert rows(knn_graph(points, 2, engine="test-next-rows"))[499].tolist() == [0, 1]
    for name in ("test-itself", "test-padded"):
        with pytest.raises(GraphError):
            knn_graph(points, 2, engine=name)


def test_purity_counts_positive_edges_between_labelled_nodes():
    graph = SimilarityGraph.from_edges(5, [0, 0, 1, 1, 2, 3, 4], [1, 2, 1, 3, 0, 4, 0], [1, 1, 1, 1, -1, 1, 1])
    # counted: 0-1 same, 0-2 not, 1-3 same, 3-4 unlabelled, 4-0 unlabelled, 1-1 itself, 2-0 negative
    assert purity(graph, [7, 7, 8, 7, -1]) == pytest.approx(2 / 3)
    assert purity(graph, [7, 7, 8, 7, -1], k=1) == 1.0  # 0-1 and 1-3: 1-1 is not one of 1's others
    assert purity(graph, [7, 7, 8, 7, -1], k=2) == pytest.approx(2 / 3)
    with pytest.raises(GraphError, match="k=0"):
        purity(graph, [0] * 5, k=0)
    with pytest.raises(GraphError, match="two labelled ends"):
        purity(graph, [-1] * 5)
    with pytest.raises(GraphError, match="5 nodes"):
        purity(graph, [0] * 4)


def test_the_room_needs_neither_torch_nor_faiss_until_they_are_used():
    heavy = "('torch', 'faiss', 'lightning', 'hydra', 'omegaconf', 'solo', 'pal_plugin.data')"
    code = f"import sys, pal_plugin.graph; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("k", [0, -1, 2.0, "4", None])
def test_a_k_that_is_no_whole_number(k: Any) -> None:
    with pytest.raises(GraphError, match="whole number of 1 or more"):
        knn_graph(np.eye(5), k)


def test_numpys_integers_count() -> None:
    assert knn_graph(np.eye(5), np.int64(2)).digest == knn_graph(np.eye(5), 2).digest


def test_numpys_own_truth_value():
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert knn_graph(points, 3, include_self=np.bool_(True)).digest == knn_graph(points, 3, include_self=True).digest


def test_rows_of_different_lengths_are_refused():
    with pytest.raises(FeatureError, match=r"\(N, D\) array.*same length"):
        knn_graph([[1.0, 2.0], [3.0]], 1)
