"""What a similarity graph looks like in figures: size, degree, components, hubs, and how often neighbours agree.

All of it is about the *positive* edges to *other* samples, those that give an image another one for its second view;
self edges and negative edges are counted, and otherwise left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph.similarity import SimilarityGraph
from pal_plugin.registry import near_matches

UNLABELLED = -1
PICKS = ("random", "worst", "hubs")
Longs = npt.NDArray[np.int64]


def inspect(
    graph: SimilarityGraph, labels: npt.ArrayLike | None = None, *, ks: Sequence[int] = (1, 4, 16)
) -> dict[str, Any]:
    """Describe a graph in figures that fit into JSON.

    Args:
        graph: N nodes.
        labels: (N,) integers, -1 where a sample has none. They serve this diagnosis only.
        ks: for how many of the nearest neighbours to read the purity; a k beyond the largest degree is cut to it.

    Returns:
        `nodes`; `edges` (all), of them `self_edges`, `negative_edges` and `positive_edges` (to other nodes, as in all
        that follows); `degree` min, median, mean, max; `without_edges` (nodes); `components` (weakly connected) and
        the nodes of the `largest_component`; `reciprocity`, the share of edges whose reverse is an edge (None without
        edges); `hubness`: the `skewness` of the in-degree (N_k in Radovanović et al., JMLR 2010; 0 where it is
        constant), `max_in_degree` and `orphans`, the nodes that are nobody's neighbour.
        With labels: `labelled` (nodes); `chance`, the share of pairs of labelled nodes that agree; `purity@k`, the
        share of edges to the k first neighbours that lead to the same class, where both ends are labelled (None where
        there is no such edge); with negative edges `negatives_right`, the share of them between different classes.

    Raises:
        GraphError: a graph without nodes, another number of labels, or labels that are no integers.
        ConfigError: a k below 1.
    """
    if graph.num_nodes == 0:
        raise GraphError("The graph has no nodes", "Build it from a data set (pal graph knn --help)")
    if any(k < 1 for k in ks):
        raise ConfigError(f"The purity was asked for at k={min(ks)}", "Choose numbers of neighbours from 1 on")
    edges = _edges(graph)
    figures = {
        "nodes": graph.num_nodes,
        "edges": graph.num_edges,
        "positive_edges": edges.rows.size,
        "negative_edges": int((graph.weights < 0).sum()),
        "self_edges": int((graph.sources == graph.indices).sum()),
        **_degrees(edges),
        **_components(edges),
        "hubness": _hubness(in_degree(graph)),
    }
    return figures if labels is None else figures | _agreement(graph, edges, _classes(graph, labels), ks)


def in_degree(graph: SimilarityGraph) -> Longs:
    """Return the (N,) number of other nodes that have each node as a positive neighbour."""
    return np.bincount(_edges(graph).cols, minlength=graph.num_nodes)


def out_degree(graph: SimilarityGraph) -> Longs:
    """Return the (N,) number of other nodes that each node has as a positive neighbour."""
    return np.bincount(_edges(graph).rows, minlength=graph.num_nodes)


def node_purity(graph: SimilarityGraph, labels: npt.ArrayLike, k: int | None = None) -> npt.NDArray[np.float64]:
    """Return, for each node, the share of its k first labelled positive neighbours that are of its class.

    Args:
        graph: N nodes.
        labels: (N,) integers, -1 where a sample has none.
        k: how many of the neighbours count; all of them if None.

    Returns:
        (N,) in [0, 1]; NaN where the node or all of those neighbours are unlabelled.

    Raises:
        GraphError: another number of labels, or labels that are no integers.
    """
    rows, right = _counted(_edges(graph), _classes(graph, labels), k)
    counted = np.bincount(rows, minlength=graph.num_nodes)
    agreeing = np.bincount(rows, weights=right, minlength=graph.num_nodes)
    purity = np.full(graph.num_nodes, np.nan)
    np.divide(agreeing, counted, out=purity, where=counted > 0)
    return purity


def inspect_classes(graph: SimilarityGraph, labels: npt.ArrayLike) -> list[dict[str, Any]]:
    """Describe the neighbours of each class.

    Args:
        graph: N nodes.
        labels: (N,) integers, -1 where a sample has none.

    Returns:
        For each class that has a node, in order: `label`, `nodes`, `in_degree` (mean), `purity` (None where no edge
        counts), and the other class that its edges lead to most often: `mistaken_for` and `mistaken_share` (None where
        there is none).

    Raises:
        GraphError: another number of labels, or labels that are no integers.
    """
    classes, edges = _classes(graph, labels), _edges(graph)
    found = np.unique(classes[classes != UNLABELLED])
    rows, right = _counted(edges, classes, None)
    cols = edges.cols[_both_labelled(edges, classes)]
    popularity = in_degree(graph)
    described = []
    for label in found.tolist():
        own = classes[rows] == label
        named, counts = np.unique(classes[cols[own & ~right]], return_counts=True)
        described.append(
            {
                "label": label,
                "nodes": int((classes == label).sum()),
                "in_degree": float(popularity[classes == label].mean()),
                "purity": _share(right[own]),
                "mistaken_for": int(named[np.argmax(counts)]) if named.size else None,
                "mistaken_share": float(counts.max() / own.sum()) if named.size else None,
            }
        )
    return described


def choose_anchors(
    graph: SimilarityGraph, count: int, *, labels: npt.ArrayLike | None = None, pick: str = "random", seed: int = 0
) -> Longs:
    """Choose nodes to look at, among those that have a positive neighbour.

    Args:
        graph: N nodes.
        count: how many; where fewer have a neighbour, all of these.
        labels: (N,) integers, -1 where a sample has none.
        pick: `"random"`: the classes take turns (the unlabelled are one), sorted by class; `"worst"`: the lowest
            `node_purity` first, ties in random order; `"hubs"`: the highest in-degree first, ties by number.
        seed: of the random choices.

    Returns:
        (≤ count,) distinct node numbers.

    Raises:
        ConfigError: no such pick, a count below 1, or the worst of a graph without labels.
        GraphError: another number of labels, or labels that are no integers.
    """
    if pick not in PICKS:
        raise ConfigError(f"There is no way to pick anchors called {pick!r}", f"Choose {near_matches(pick, PICKS)}")
    if count < 1:
        raise ConfigError(f"{count} anchors were asked for", "Choose 1 or more")
    order = np.random.default_rng(seed).permutation(graph.num_nodes)
    order = order[np.isin(order, _edges(graph).rows)]
    if pick == "hubs":
        order = np.sort(order)
        return order[np.argsort(-in_degree(graph)[order], kind="stable")][:count]
    classes = np.full(graph.num_nodes, UNLABELLED) if labels is None else _classes(graph, labels)
    if pick == "worst":
        return _worst(graph, classes, order)[:count]
    turns = _turns(classes[order])
    chosen = order[np.argsort(turns, kind="stable")][:count]
    return chosen[np.lexsort((chosen, classes[chosen], classes[chosen] == UNLABELLED))]


@dataclass(frozen=True)
class _Edges:
    """Positive edges to other nodes: (E,) where each starts, where it leads, and its rank in the row, from 0 on."""

    num_nodes: int
    rows: Longs
    cols: Longs
    rank: Longs


def _edges(graph: SimilarityGraph) -> _Edges:
    rows = graph.sources
    keep = (graph.weights > 0) & (rows != graph.indices)
    rows = rows[keep]
    first = np.searchsorted(rows, rows)  # the rows are sorted
    return _Edges(graph.num_nodes, rows, graph.indices[keep].astype(np.int64), np.arange(rows.size) - first)


def _degrees(edges: _Edges) -> dict[str, Any]:
    degree = np.bincount(edges.rows, minlength=edges.num_nodes)
    summary = {
        "min": int(degree.min()),
        "median": float(np.median(degree)),
        "mean": float(degree.mean()),
        "max": int(degree.max()),
    }
    return {"degree": summary, "without_edges": int((degree == 0).sum())}


def _components(edges: _Edges) -> dict[str, Any]:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    shape = (edges.num_nodes, edges.num_nodes)
    matrix = csr_matrix((np.ones(edges.rows.size, dtype=np.int8), (edges.rows, edges.cols)), shape=shape)
    count, member = connected_components(matrix, directed=True, connection="weak")
    mutual = matrix.multiply(matrix.T).nnz
    return {
        "components": int(count),
        "largest_component": int(np.bincount(member).max()),
        "reciprocity": mutual / edges.rows.size if edges.rows.size else None,
    }


def _hubness(popularity: Longs) -> dict[str, Any]:
    centred = popularity - popularity.mean()
    spread = float(np.mean(centred**2))
    return {
        "skewness": float(np.mean(centred**3)) / spread**1.5 if spread > 0 else 0.0,
        "max_in_degree": int(popularity.max()),
        "orphans": int((popularity == 0).sum()),
    }


def _agreement(graph: SimilarityGraph, edges: _Edges, classes: Longs, ks: Sequence[int]) -> dict[str, Any]:
    sizes = np.unique(classes[classes != UNLABELLED], return_counts=True)[1]
    labelled = int(sizes.sum())
    pairs = labelled * (labelled - 1)
    figures: dict[str, Any] = {
        "labelled": labelled,
        "chance": float((sizes * (sizes - 1)).sum() / pairs) if pairs else None,
    }
    most = int(edges.rank.max()) + 1 if edges.rank.size else 0
    for k in sorted({min(k, most) for k in ks} - {0}):
        figures[f"purity@{k}"] = _share(_counted(edges, classes, k)[1])
    negative = graph.weights < 0
    if negative.any():
        left, right = classes[graph.sources[negative]], classes[graph.indices[negative]]
        known = (left != UNLABELLED) & (right != UNLABELLED)
        figures["negatives_right"] = _share((left != right)[known])
    return figures


def _both_labelled(edges: _Edges, classes: Longs) -> npt.NDArray[np.bool_]:
    both: npt.NDArray[np.bool_] = (classes[edges.rows] != UNLABELLED) & (classes[edges.cols] != UNLABELLED)
    return both


def _counted(edges: _Edges, classes: Longs, k: int | None) -> tuple[Longs, npt.NDArray[np.bool_]]:
    """Return, for the edges to the k first neighbours with two labelled ends, the source and whether classes agree."""
    keep = _both_labelled(edges, classes)
    if k is not None:
        keep &= edges.rank < k
    rows = edges.rows[keep]
    return rows, classes[rows] == classes[edges.cols[keep]]


def _share(of: npt.NDArray[np.bool_]) -> float | None:
    return float(of.mean()) if of.size else None


def _classes(graph: SimilarityGraph, labels: npt.ArrayLike) -> Longs:
    classes = np.asarray(labels)
    if classes.shape != (graph.num_nodes,) or classes.dtype.kind not in "iu":
        raise GraphError(
            f"The graph has {graph.num_nodes} nodes, and the labels are {classes.dtype} of shape {classes.shape}",
            "Pass the integer labels of the graph's own data set",
        )
    return classes.astype(np.int64)


def _worst(graph: SimilarityGraph, classes: Longs, order: Longs) -> Longs:
    scores = node_purity(graph, classes)[order]
    order, scores = order[~np.isnan(scores)], scores[~np.isnan(scores)]
    if not order.size:
        raise ConfigError(
            "The worst anchors are those with neighbours of other classes, and no edge has two labelled ends",
            "Pass a data set with labels, or pick random or hubs",
        )
    return order[np.argsort(scores, kind="stable")]


def _turns(classes: Longs) -> Longs:
    """Return how many earlier entries have the class of each entry."""
    order = np.argsort(classes, kind="stable")
    ordered = classes[order]
    turns = np.empty(classes.size, dtype=np.int64)
    turns[order] = np.arange(classes.size) - np.searchsorted(ordered, ordered)
    return turns
