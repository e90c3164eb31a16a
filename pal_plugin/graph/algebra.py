"""Graphs from graphs: mutual edges, both directions, unions, further hops, and mixtures.

Where two graphs, or the two directions of a pair, disagree about a weight, the one of larger magnitude counts, since a
magnitude is a confidence; of +w and −w it is −w: what somebody calls unrelated should not become a positive pair.

Edges that stand for their closure (`SimilarityGraph.transitive`) do so in a union and in both directions; the other
graphs here are about the edges themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError, ManifestError
from pal_plugin.graph.rows import spread
from pal_plugin.graph.similarity import SimilarityGraph
from pal_plugin.graph.space import at_least_one

Longs: TypeAlias = npt.NDArray[np.int64]
Doubles: TypeAlias = npt.NDArray[np.float64]

_BLOCK_WALKS = 1 << 22  # that a hop looks at in one go


def mutual(graph: SimilarityGraph) -> SimilarityGraph:
    """Keep the edges whose reverse is there too, with the same sign: A ∧ Aᵀ.

    Both directions get the weaker of their two weights. Each row keeps its order; a node may lose all its edges.
    """
    keys, reverse = _keys(graph), _keys(graph, reverse=True)
    order = np.argsort(keys)
    place = order[np.minimum(np.searchsorted(keys, reverse, sorter=order), graph.num_edges - 1)]
    back = graph.weights[place]
    keep = (keys[place] == reverse) & (np.sign(back) == np.sign(graph.weights))
    weights = np.where(np.abs(graph.weights) <= np.abs(back), graph.weights, back)
    return _made("mutual", [graph], {}, graph.sources[keep], graph.indices[keep], weights[keep])


def symmetrise(graph: SimilarityGraph) -> SimilarityGraph:
    """Add the reverse of every edge: A ∨ Aᵀ. Both directions get the stronger of their two weights.

    Each row keeps its own edges in order, then come the nodes that lead to it, by the rank that it has with them. In a
    graph of k nearest neighbours none of the latter is nearer than the former; among themselves they are in no order of
    distance, which nobody kept. It is `transitive` if the graph is.
    """
    ranks = _ranks(graph)
    back = np.lexsort((graph.sources, ranks))
    rows = np.concatenate([graph.sources, graph.indices[back]])
    columns = np.concatenate([graph.indices, graph.sources[back]])
    weights = np.concatenate([graph.weights, graph.weights[back]])
    merged = _merged(graph.num_nodes, rows, columns, weights)
    return _made("symmetrise", [graph], {}, *merged, transitive=graph.transitive)


def union(*graphs: SimilarityGraph) -> SimilarityGraph:
    """Return the graph of all edges of all graphs; an edge of several has the strongest weight.

    Each row holds the first edges of the graphs, in the order of the graphs, then their second edges, and so on:
    nearest first, where it was so in each. Another order of the graphs gives the same edges and weights. It is
    `transitive` if all graphs are.

    Raises:
        GraphError: no graph, or graphs of different sizes.
        ManifestError: the graphs index different data sets.
    """
    rows, columns, weights, _ = _together(graphs)
    merged = _merged(graphs[0].num_nodes, rows, columns, weights)
    return _made("union", graphs, {}, *merged, transitive=all(graph.transitive for graph in graphs))


def mix(graphs: Sequence[SimilarityGraph], shares: Sequence[float]) -> SimilarityGraph:
    """Weight the edges of several graphs so that a weighted draw uses each graph in its share of the draws.

    The weight of the edge i → j is the sum, over the graphs, of the share times the edge's part of i's total weight in
    that graph: each row adds up to 1, whatever the graphs' degrees are. Where a graph has no edges from i, the others
    have its share. Draw with `draw_positive(…, how="weighted")`.

    Args:
        graphs: with edges of positive weight only; negative ones have no place among draws (`union` keeps them).
        shares: one a graph, >= 0, divided by their sum.

    Returns:
        A graph with rows in the order that `union` gives them; graphs of share 0 leave no edges.

    Raises:
        GraphError: no graph, different sizes, negative edges, or shares that do not fit.
        ManifestError: the graphs index different data sets.
    """
    parts = np.asarray(shares, dtype=np.float64)
    if parts.shape != (len(graphs),) or not (np.isfinite(parts).all() and (parts >= 0).all() and parts.any()):
        raise GraphError(
            f"The shares {[float(part) for part in parts.reshape(-1)]} do not fit {len(graphs)} graphs",
            "Give one number >= 0 for each graph, not all of them 0",
        )
    rows, columns, weights, owners = _together(graphs)
    if (weights < 0).any():
        raise GraphError("A graph to mix has edges of negative weight", "Join graphs with signs by union")
    size = graphs[0].num_nodes
    used = (weights > 0) & (parts[owners] > 0)
    rows, columns, weights, owners = rows[used], columns[used], weights[used], owners[used]
    cells = owners * size + rows  # the row of one graph
    totals = np.bincount(cells, weights, minlength=len(graphs) * size)
    present = parts @ (totals.reshape(len(graphs), size) > 0)  # of all shares, those of graphs with edges from a node
    values = parts[owners] * weights / totals[cells] / present[rows]
    _, first, inverse = np.unique(rows * size + columns, return_index=True, return_inverse=True)
    order = np.argsort(first)
    summed = np.bincount(inverse.reshape(-1), values)
    parameters = {"shares": [float(part) for part in parts / parts.sum()]}
    return _made("mix", graphs, parameters, rows[first][order], columns[first][order], summed[order])


def hop(graph: SimilarityGraph, n: int = 2) -> SimilarityGraph:
    """Connect every node with those that it reaches in at most n steps along positive edges.

    A node's own edges stay as they are, negative ones too: a walk from i never steps on a node that i has an edge of
    weight <= 0 to, nor back on i. New edges follow in the order of a breadth-first walk (fewest steps first, then
    nearest of the nearest); the weight of one is the product of the weights along the walk that reaches it first.

    Args:
        graph: N nodes.
        n: steps, 1 or more; 1 gives the same edges.

    Raises:
        GraphError: n < 1.
    """
    n = at_least_one("n", n)
    parts = [_walked(graph, nodes, n) for nodes in _blocks(graph, n)]
    edges = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return _made("hop", [graph], {"n": n}, *edges)


def _walked(graph: SimilarityGraph, nodes: Longs, n: int) -> tuple[Longs, Longs, Doubles]:
    """Return the edges of `hop` from some nodes: sources, targets, weights."""
    indptr, indices, weights = graph.positive_rows
    size = graph.num_nodes
    places, edges = spread(graph.degree[nodes], graph.indptr[nodes])
    columns, values = graph.indices[edges].astype(np.int64), graph.weights[edges].astype(np.float64)
    levels = [(places, columns, values)]
    known = np.concatenate([np.arange(nodes.size) * size + nodes, places * size + columns])
    ahead = (values > 0) & (columns != nodes[places])
    places, columns, values = places[ahead], columns[ahead], values[ahead]
    for _ in range(n - 1):
        owner, edges = spread(indptr[columns + 1] - indptr[columns], indptr[columns])
        places, columns, values = places[owner], indices[edges].astype(np.int64), values[owner] * weights[edges]
        keys = places * size + columns
        new = np.flatnonzero(~np.isin(keys, known))
        first = new[np.sort(np.unique(keys[new], return_index=True)[1])]  # in the order of the walk
        places, columns = places[first], columns[first]
        if not first.size:  # whatever n is, there is nothing further away
            break
        values = np.clip(values[first], np.finfo(np.float32).tiny, np.finfo(np.float32).max)  # of many factors
        known = np.concatenate([known, keys[first]])
        levels.append((places, columns, values))
    return (
        nodes[np.concatenate([level[0] for level in levels])],
        np.concatenate([level[1] for level in levels]),
        np.concatenate([level[2] for level in levels]),
    )


def _blocks(graph: SimilarityGraph, n: int) -> list[Longs]:
    """Return all nodes in runs with some millions of walks of n steps each; a node with more is a run of its own."""
    sources = graph.sources
    walks: Doubles = np.ones(graph.num_nodes)
    for _ in range(min(n, graph.num_nodes)):  # `hop` takes fewer steps than there are nodes
        before = walks
        walks = 1 + np.bincount(sources, walks[graph.indices], minlength=graph.num_nodes).astype(np.float64)
        walks = np.minimum(walks, _BLOCK_WALKS)  # they would grow beyond all numbers
        if np.array_equal(walks, before):
            break
    passed = np.cumsum(walks) // _BLOCK_WALKS
    return np.split(np.arange(graph.num_nodes), np.flatnonzero(np.diff(passed)) + 1)


def _keys(graph: SimilarityGraph, *, reverse: bool = False) -> Longs:
    """Return one number for each edge, or for its reverse."""
    rows, columns = graph.sources, graph.indices.astype(np.int64)
    return columns * graph.num_nodes + rows if reverse else rows * graph.num_nodes + columns


def _ranks(graph: SimilarityGraph) -> Longs:
    """Return the place of each edge in its row."""
    return np.arange(graph.num_edges) - np.repeat(graph.indptr[:-1], graph.degree)


def _together(graphs: Sequence[SimilarityGraph]) -> tuple[Longs, Longs, Doubles, Longs]:
    """Return all edges of all graphs (sources, targets, weights, graph) by (source, rank in its row, graph)."""
    if not graphs:
        raise GraphError("There is no graph to join", "Name one graph or more")
    for graph in graphs[1:]:
        _same_data(graphs[0], graph)
    owners = np.repeat(np.arange(len(graphs)), [graph.num_edges for graph in graphs])
    rows = np.concatenate([graph.sources for graph in graphs])
    columns = np.concatenate([graph.indices.astype(np.int64) for graph in graphs])
    weights = np.concatenate([graph.weights.astype(np.float64) for graph in graphs])
    order = np.lexsort((owners, np.concatenate([_ranks(graph) for graph in graphs]), rows))
    return rows[order], columns[order], weights[order], owners[order]


def _same_data(left: SimilarityGraph, right: SimilarityGraph) -> None:
    if left.num_nodes != right.num_nodes:
        raise GraphError(
            f"One graph has {left.num_nodes} nodes and another {right.num_nodes}", "Build them from one data set"
        )
    if left.manifest and right.manifest and left.manifest.get("digest") != right.manifest.get("digest"):
        names = [
            f"{m.get('name')}/{m.get('split')} ({str(m.get('digest'))[:12]})" for m in (left.manifest, right.manifest)
        ]
        raise ManifestError(
            f"One graph indexes {names[0]} and another {names[1]}",
            "Build both from the same data set, split, subset and seed",
        )


def _merged(size: int, rows: Longs, columns: Longs, weights: npt.NDArray[Any]) -> tuple[Longs, Longs, Doubles]:
    """Return one edge for each pair: where its first stands, with the strongest weight."""
    _, first, inverse = np.unique(rows * size + columns, return_index=True, return_inverse=True)
    pair = inverse.reshape(-1)
    strongest = np.lexsort((weights, -np.abs(weights), pair))
    chosen = weights[strongest[np.searchsorted(pair[strongest], np.arange(first.size))]]
    order = np.argsort(first)
    return rows[first][order], columns[first][order], chosen[order]


def _made(
    name: str,
    graphs: Sequence[SimilarityGraph],
    parameters: Mapping[str, Any],
    rows: Longs,
    columns: npt.NDArray[Any],
    weights: npt.NDArray[Any],
    *,
    transitive: bool = False,
) -> SimilarityGraph:
    """Make the graph, with the data set of its parents, how they were built, and what they cost together."""
    return SimilarityGraph.from_edges(
        graphs[0].num_nodes,
        rows,
        columns,
        weights,
        manifest=next((graph.manifest for graph in graphs if graph.manifest is not None), None),
        builder={
            "name": name,
            "parameters": dict(parameters),
            "parents": [dict(graph.builder) for graph in graphs],
            "cost": float(sum(graph.builder.get("cost", 0.0) for graph in graphs)),
            **({"transitive": True} if transitive else {}),
        },
    )
