"""Approximate engines against the exact one, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import GraphError
from pal_plugin.graph import SimilarityGraph, knn, knn_graph, recall, space
from pal_plugin.registry import engines

ENGINES = ("faiss_ivf", "faiss_hnsw")


def clusters(size, width, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, width))
    return (centres[rng.integers(0, 20, size)] + 0.7 * rng.standard_normal((size, width))).astype(np.float32)


def rows(graph):
    return graph.indices.reshape(graph.num_nodes, -1)


def brute_recall(graph, points, nodes):
    """Share of positives to others that are no further than the d-th nearest of them, by loops."""
    points = np.asarray(points, dtype=np.float32).astype(np.float64)
    near = total = 0
    for node in nodes:
        distances = np.square(points - points[node]).sum(axis=1)
        positives = [other for other in graph.positives(node) if other != node]
        exact = np.sort(np.delete(distances, node))[: len(positives)]
        near += sum(distances[other] <= exact[-1] for other in positives)
        total += len(positives)
    return near / total


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_recall_is_high_and_written_down(engine, metric, capsys):
    points = clusters(3000, 24)
    graph = knn_graph(points, 5, metric=metric, engine=engine)
    exact = rows(knn_graph(points, 5, metric=metric))
    share = np.mean([np.isin(a, b).mean() for a, b in zip(rows(graph), exact, strict=True)])
    parameters = graph.builder["parameters"]
    assert share > 0.97
    assert parameters["engine"] == engine
    assert parameters["recall_rows"] == 256
    assert parameters["recall"] == recall(graph, points, metric=metric)
    assert abs(parameters["recall"] - share) < 0.03
    assert f"{engine}: recall {parameters['recall']:.4f} on 256" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ENGINES)
def test_lists_are_in_order_without_self_and_keep_duplicates(engine):
    points = np.repeat(clusters(200, 8), 4, axis=0)
    nearest = rows(knn_graph(points, 3, engine=engine))
    wrong = [
        row
        for row in range(800)
        if nearest[row].tolist() != [i for i in range(row // 4 * 4, row // 4 * 4 + 4) if i != row]
    ]
    assert len(wrong) < 8
    graph = knn_graph(clusters(1000, 8), 4, engine=engine, include_self=True)
    assert (rows(graph)[:, 0] == np.arange(1000)).all()
    points = clusters(1000, 8).astype(np.float64)
    distances = np.square(points[rows(graph)[:, 1:]] - points[:, None]).sum(axis=-1)
    assert (np.diff(distances, axis=1) >= 0).all()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [2, 3, 50])
def test_of_few_rows_all_neighbours_are_found(engine, size):
    points = clusters(size, 3)
    assert np.array_equal(rows(knn_graph(points, size - 1, engine=engine)), rows(knn_graph(points, size - 1)))


def test_inverted_lists_give_the_same_graph_again():
    points = clusters(3000, 24)
    assert knn_graph(points, 5, engine="faiss_ivf").digest == knn_graph(points, 5, engine="faiss_ivf").digest


def test_a_space_that_is_not_kept_in_memory_gives_the_same_graph(monkeypatch):
    points = clusters(3000, 24)
    expected = knn_graph(points, 5, engine="faiss_ivf", metric="cosine").digest
    monkeypatch.setattr(space, "HELD_BYTES", 0)
    monkeypatch.setattr(space, "BLOCK_BYTES", 1 << 14)
    assert knn_graph(points, 5, engine="faiss_ivf", metric="cosine").digest == expected


@pytest.mark.parametrize(("rows_", "engine"), [(999, "faiss"), (1000, "faiss_ivf")])
def test_auto_is_exact_for_few_rows_and_approximate_for_many(monkeypatch, rows_, engine):
    monkeypatch.setattr(knn, "EXACT_ROWS", 1000)
    assert knn_graph(clusters(rows_, 4), 2).builder["parameters"]["engine"] == engine
    assert knn_graph(clusters(rows_, 4), 2, engine="faiss").builder["parameters"]["engine"] == "faiss"


def test_the_limit_of_auto_is_100_000_rows():
    assert knn.EXACT_ROWS == 100_000


def test_a_poor_engine_is_warned_of():
    def half_right(features, k, metric):
        found = knn.faiss_exact(features, k, metric)
        found[::2] = (np.arange(len(features))[::2, None] + 1 + np.arange(k)) % len(features)
        return found

    engines.add("test-half-right", half_right)
    points = clusters(400, 16)
    with pytest.warns(UserWarning, match=r"recall 0\.\d+ on 256 sampled rows, below 0\.95.*engine=faiss is exact"):
        graph = knn_graph(points, 3, engine="test-half-right")
    assert 0.4 < graph.builder["parameters"]["recall"] < 0.6


@pytest.mark.filterwarnings("error")
def test_a_good_engine_is_not_warned_of():
    knn_graph(clusters(1000, 8), 3, engine="faiss_ivf")


def test_recall_equals_the_loop():
    rng = np.random.default_rng(3)
    points = rng.integers(0, 4, (60, 3)).astype(np.float32)  # ties
    dense = rng.random((60, 60)) < 0.1
    dense[:5] = False
    dense[7, 7] = True
    sources, targets = np.nonzero(dense)
    weights = np.where(rng.random(sources.size) < 0.8, 1.0, -1.0)
    graph = SimilarityGraph.from_edges(60, sources, targets, weights)
    assert recall(graph, points, sample=1000) == pytest.approx(brute_recall(graph, points, range(60)), abs=1e-12)
    assert recall(knn_graph(points, 4), points) == 1


def test_recall_of_nothing_is_refused():
    points = clusters(20, 3)
    with pytest.raises(GraphError, match="No sampled node"):
        recall(SimilarityGraph.from_edges(20, [0], [0]), points)
    with pytest.raises(GraphError, match="20 nodes"):
        recall(knn_graph(points, 2), points[:10])
