"""How good a graph is: purity against labels, recall against exact neighbours."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.similarity import SimilarityGraph
from pal_plugin.graph.space import Space, check_metric, checked_features


def purity(graph: SimilarityGraph, labels: npt.ArrayLike, k: int | None = None) -> float:
    """Return the share of positive edges whose two ends have the same label.

    Self edges and edges with an unlabelled end (-1) do not count. Labels serve this diagnostic only, never the graph.

    Args:
        graph: N nodes.
        labels: (N,) integers.
        k: read only the first k such edges of each node, its nearest; None reads all.

    Raises:
        GraphError: another number of labels, k < 1, or no edge that counts.
    """
    classes = np.asarray(labels)
    if classes.shape != (graph.num_nodes,):
        raise GraphError(
            f"The graph has {graph.num_nodes} nodes and the labels the shape {classes.shape}",
            "Pass the labels of the graph's own data set",
        )
    if k is not None and k < 1:
        raise GraphError(f"k={k} reads no neighbours", "Choose k >= 1")
    rows = graph.sources
    positive = (graph.weights > 0) & (rows != graph.indices)
    if k is not None:
        passed = np.concatenate([[0], np.cumsum(positive)])
        positive &= passed[1:] - passed[graph.indptr[:-1]][rows] <= k
    left, right = classes[rows], classes[graph.indices]
    counted = positive & (left != -1) & (right != -1)
    if not counted.any():
        raise GraphError(
            "No positive edge of the graph has two labelled ends", "Pass labels, or build a graph with edges"
        )
    return float((left == right)[counted].mean())


def recall(
    graph: SimilarityGraph, features: npt.ArrayLike, *, metric: str = "euclidean", sample: int = 256, seed: int = 0
) -> float:
    """Return the share of the graph's neighbours that are among the nearest ones, on sampled nodes.

    A node with d positive edges to others is compared with its d nearest others: an edge counts that is no longer than
    the d-th shortest distance (in float64), so that of equally near ones any will do. Nodes without edges do not count.

    Args:
        graph: N nodes.
        features: (N, D), as for `knn_graph`.
        metric: as for `knn_graph`.
        sample: how many nodes, drawn without replacement; more than there are means all.
        seed: which ones.

    Raises:
        GraphError: another number of rows, or no sampled node has a neighbour.
        FeatureError, ConfigError: as `knn_graph`.
    """
    check_metric(metric)
    points = checked_features(features)
    if len(points) != graph.num_nodes:
        raise GraphError(
            f"The graph has {graph.num_nodes} nodes and there are {len(points)} rows of features",
            "Pass the features that the graph was built from",
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(len(points))[:sample])
    lists = [found[found != node] for node, found in ((node, graph.positives(node)) for node in chosen)]
    degree = np.array([found.size for found in lists])
    if not degree.any():
        raise GraphError("No sampled node has a neighbour", "Build the graph with edges, or sample more nodes")
    space = Space.of(points, metric)
    chosen, lists, degree = chosen[degree > 0], [found for found in lists if found.size], degree[degree > 0]
    exact = without_self(Search.of(space).nearest(chosen, int(degree.max()) + 1), chosen)
    limits = space.distances(chosen, exact[np.arange(chosen.size), degree - 1])
    found = space.distances(np.repeat(chosen, degree), np.concatenate(lists).astype(np.int64))
    return float((found <= np.repeat(limits, degree)).mean())
