"""Graphs of all samples within a distance τ of each other."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.graph.space import Doubles, Longs, Space, at_least_one, check_metric, checked_features
from pal_plugin.progress import progress

MOST_EDGES = 1 << 27  # half a gigabyte of indices; beyond it τ says little more than "everything"
_SAMPLE = 4096  # rows that the adaptive τ is read from


class NoEdgesError(GraphError):
    """No two samples are within τ of each other."""


def radius_graph(
    features: npt.ArrayLike,
    tau: float | str,
    *,
    metric: str = "euclidean",
    k: int = 4,
    max_neighbours: int | None = None,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Connect every sample with all others within the distance τ.

    A draw of the *furthest* positive of such a graph is GPS-SSL's choice of "the furthest within τ" (equation 3, which
    we know by summary only). The adaptive τ is ours, for spaces whose scale nobody knows: the distance within which
    half of the samples have at least k others, that is the (lower) median over samples of the distance to the k-th
    nearest other; of more than 4096 samples, 4096 drawn at random with seed 0 are read. Samples in sparse regions are
    then left without an edge, those in dense regions have many.

    Args:
        features: (N, D), as for `knn_graph`; a memory map of float32 may be larger than memory.
        tau: the largest distance that makes an edge, itself included, or `"adaptive"`. Euclidean distance; for
            `metric="cosine"` one minus the cosine.
        metric: `"euclidean"` or `"cosine"`.
        k: of the adaptive τ, cut to N - 1 with a warning; of no meaning beside a number.
        max_neighbours: keep only so many edges of each sample, its nearest; None keeps all.
        manifest: the data set of the rows, as a manifest or its reference; kept in the graph.

    Returns:
        A graph with edges of weight 1 in both directions (unless cut), each row's in order of (float64 distance,
        index); its builder parameters hold the τ that was used.

    Raises:
        FeatureError: as `knn_graph`.
        NoEdgesError: no two samples are within τ; a GraphError.
        GraphError: as `knn_graph`; τ is negative or not finite, k or max_neighbours is no whole number of 1 or more, or
            there are more than 134 million edges.
        ConfigError: unknown metric, or a word for τ that is not "adaptive".
    """
    check_metric(metric)
    points = checked_features(features)
    _check_tau(tau)
    k = at_least_one("k", k)
    most = None if max_neighbours is None else at_least_one("max_neighbours", max_neighbours)
    if isinstance(tau, str) and k >= len(points):
        warnings.warn(
            f"k={k} is more than the others that {len(points)} samples have: k={len(points) - 1}", stacklevel=2
        )
        k = len(points) - 1
    search = Search.of(Space.of(points, metric))
    value = _adaptive(search, k, metric) if isinstance(tau, str) else float(tau)
    rows, columns = _edges(search, value, metric, most)
    if not rows.size:
        raise NoEdgesError(
            f"No two samples are within τ={value:g} of each other",
            f"Choose a larger tau, or adaptive; half of them have another within {_adaptive(search, 1, metric)!r}",
        )
    parameters = {"tau": value, "rule": "adaptive" if isinstance(tau, str) else "fixed", "metric": metric}
    if isinstance(tau, str):
        parameters["k"] = k
    return SimilarityGraph.from_edges(
        len(points),
        rows,
        columns,
        manifest=reference_of(manifest),
        builder={"name": "radius", "parameters": {**parameters, "max_neighbours": most}, "cost": 0.0},
    )


def _check_tau(tau: float | str) -> None:
    if isinstance(tau, str):
        if tau != "adaptive":
            raise ConfigError(f"There is no τ called {tau!r}", "Give a number, or adaptive")
        return
    try:
        fits = 0 <= float(tau) < np.inf
    except (TypeError, ValueError, OverflowError):  # a whole number may be larger than any float
        fits = False
    if not fits:
        raise GraphError(f"τ={tau} is no distance", "Give a number from 0 on, or adaptive")


def _limit(tau: float, metric: str) -> float:
    """Return the squared Euclidean distance that τ reaches: |u − v|² = 2 (1 − cos) for directions u and v.

    Where τ is the rounded root of a squared distance, that one may be a single step of float64 above the rounded τ².
    """
    return 2 * tau if metric == "cosine" else float(np.nextafter(tau * tau, np.inf))


def _reached(squared: Doubles, tau: float, metric: str) -> npt.NDArray[np.bool_]:
    """Return which squared distances, none above `_limit`, are within τ."""
    return np.ones(squared.shape, dtype=np.bool_) if metric == "cosine" else np.sqrt(squared) <= tau


def _adaptive(search: Search, k: int, metric: str) -> float:
    """Return the smallest τ within which half of the sampled points have k others."""
    rows = np.sort(np.random.default_rng(0).permutation(len(search.space))[:_SAMPLE])
    squared = []
    for part in np.array_split(rows, np.arange(search.space.block_rows, rows.size, search.space.block_rows)):
        others = without_self(search.nearest(part, k + 1), part)
        squared.append(search.space.distances(part, others[:, -1]))
    ordered = np.sort(np.concatenate(squared))
    median = float(ordered[(ordered.size - 1) // 2])
    tau = median / 2 if metric == "cosine" else float(np.sqrt(median))
    while _limit(tau, metric) < median:  # the root is rounded; the median's own pair is within τ
        tau = float(np.nextafter(tau, np.inf))
    return tau


def _edges(search: Search, tau: float, metric: str, most: int | None) -> tuple[Longs, Longs]:
    rows, columns = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    total = 0
    for part in progress(search.batches(search.scan_rows), "radius (blocks)"):
        nodes = np.arange(part.start, part.stop)
        place, points, squared = search.within(nodes, _limit(tau, metric))
        other = (nodes[place] != points) & _reached(squared, tau, metric)
        place, points = place[other], points[other]
        if most is not None:
            rank = np.arange(place.size) - np.searchsorted(place, place)
            place, points = place[rank < most], points[rank < most]
        rows.append(nodes[place])
        columns.append(points)
        total += points.size
        if total > MOST_EDGES:
            raise GraphError(
                f"More than {MOST_EDGES} pairs of samples are within this τ, after {part.stop} of {len(search.space)}",
                "Choose a smaller tau, or max_neighbours",
            )
    return np.concatenate(rows), np.concatenate(columns)
