"""Exact nearest-neighbour graphs.

Neighbours are those of a float64 computation, in order of (distance, index), although a float32 matrix product finds
the candidates: every row comes with a bound on the product's error, and where that bound leaves a doubt the distances
are computed again in float64. The result therefore depends neither on the block size nor on the number of threads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import AnyArray, first_bad_row
from pal_plugin.errors import ConfigError, FeatureError, GraphError
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.progress import progress
from pal_plugin.registry import engines, near_matches

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Longs: TypeAlias = npt.NDArray[np.int64]
Engine: TypeAlias = Callable[[Floats, int, str], Longs]
"""(features (N, D), k < N, metric) → (N, k) neighbours of each row, the row itself excluded, nearest first.

What the entry-point group `pal_plugin.engines` holds.
"""

METRICS = ("euclidean", "cosine")
_SPARE = 4  # candidates beyond k + 1, so that a near-tie at the end of the list seldom needs the full scan
_RANK_BYTES = 1 << 21  # of float64 differences at a time: within a core's cache, five times as fast as 64 MiB
_SCAN_BYTES = 1 << 24  # of the full scan's distances at a time


def knn_graph(
    features: npt.ArrayLike,
    k: int,
    *,
    metric: str = "euclidean",
    include_self: bool = False,
    engine: str = "auto",
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Connect every sample with its k nearest neighbours (GPS-SSL, section 3: view 2 comes from one of them).

    A sample is excluded from its own neighbours by its index, so a duplicate of it stays. Equal distances are ordered
    by index. With `include_self` the sample itself is the first of its k neighbours.

    Args:
        features: (N, D) real numbers; used as float32.
        k: neighbours of each sample; more than there are is cut to N - 1 (N with `include_self`) with a warning.
        metric: `"euclidean"`, un-normalised as in GPS-SSL, or `"cosine"`, which is the Euclidean distance of the rows
            scaled to unit length (in float64, rounded to float32). A row of zeros has no direction: its cosine is 1
            with other rows of zeros and 0 with all else.
        include_self: count the sample as its own first neighbour.
        engine: an entry of the group `pal_plugin.engines`; `"auto"` is exact (`"faiss"`).
        manifest: the data set of the rows, as a manifest or its reference; kept in the graph.

    Returns:
        A graph with N·k edges of weight 1; each row's in order of (distance, index).

    Raises:
        FeatureError: the features are no (N, D) array of numbers, or row i holds a NaN or infinity.
        GraphError: k < 1, fewer than two rows, or an engine's answer is malformed.
        ConfigError: unknown metric or engine.
    """
    if metric not in METRICS:
        raise ConfigError(
            f"There is no metric called {metric!r}", f"Choose another name: {near_matches(metric, METRICS)}"
        )
    rows = _checked(features)
    k = _clamped(k, len(rows), include_self)
    name = "faiss" if engine == "auto" else engine
    find: Engine = engines.get(name)
    others = k - include_self
    neighbours = find(rows, others, metric) if others else np.empty((len(rows), 0), dtype=np.int64)
    own = np.arange(len(rows))[:, None]
    if neighbours.shape != (len(rows), others) or (neighbours == own).any():
        raise GraphError(
            f"The engine {name!r} gave an array of shape {neighbours.shape} or a row among its own neighbours",
            "Use engine=faiss and report this to the engine's author",
        )
    if include_self:
        neighbours = np.concatenate([own, neighbours], axis=1)
    parameters = {"k": k, "metric": metric, "include_self": include_self, "engine": name}
    return SimilarityGraph.from_edges(
        len(rows),
        np.repeat(own, k),
        neighbours.reshape(-1),
        manifest=reference_of(manifest),
        builder={"name": "knn", "parameters": parameters, "cost": 0.0},
    )


def purity(graph: SimilarityGraph, labels: npt.ArrayLike) -> float:
    """Return the share of positive edges whose two ends have the same label.

    Self edges and edges with an unlabelled end (-1) do not count. Labels serve this diagnostic only, never the graph.

    Args:
        graph: N nodes.
        labels: (N,) integers.

    Raises:
        GraphError: another number of labels, or no edge that counts.
    """
    classes = np.asarray(labels)
    if classes.shape != (graph.num_nodes,):
        raise GraphError(
            f"The graph has {graph.num_nodes} nodes and the labels the shape {classes.shape}",
            "Pass the labels of the graph's own data set",
        )
    rows = np.repeat(np.arange(graph.num_nodes), graph.degree)
    left, right = classes[rows], classes[graph.indices]
    counted = (graph.weights > 0) & (rows != graph.indices) & (left != -1) & (right != -1)
    if not counted.any():
        raise GraphError(
            "No positive edge of the graph has two labelled ends", "Pass labels, or build a graph with edges"
        )
    return float((left == right)[counted].mean())


def faiss_exact(features: Floats, k: int, metric: str, *, block: int = 4096) -> Longs:
    """Find the k exact neighbours of every row by a blocked matrix product of faiss; an `Engine`.

    Args:
        features: (N, D) finite float32.
        k: 1 to N - 1.
        metric: `"euclidean"` or `"cosine"`.
        block: queries at a time; it changes memory and progress, never the result.

    Returns:
        (N, k) int64.
    """
    search = _Search.prepare(_directions(features) if metric == "cosine" else features, k)
    found = np.empty((len(features), k), dtype=np.int64)
    for start in progress(range(0, len(features), block), "neighbours (blocks)"):
        rows = np.arange(start, min(start + block, len(features)))
        found[rows] = _without_self(search.nearest(rows), rows)
    return found


@dataclass(frozen=True)
class _Search:
    """The k + 1 nearest rows of given rows, each row itself among them.

    Attributes:
        points: (N, D) as given; float64 distances are taken between these.
        scaled: (N, D) centred and scaled by a power of two to norms of at most about 1, which keeps the order of
            distances, loses few digits to cancellation and cannot overflow; the float32 product works on these.
        norms: (N,) squared norms of `scaled`.
        scale: what squared distances of `points` are multiplied by to be those of `scaled`.
        count: k + 1.
    """

    points: Floats
    scaled: Floats
    norms: Floats
    scale: float
    count: int

    @classmethod
    def prepare(cls, points: Floats, k: int) -> _Search:
        centre = points.mean(axis=0, dtype=np.float64)
        largest = max(
            float(np.abs(points.max(axis=0) - centre).max()), float(np.abs(points.min(axis=0) - centre).max())
        )
        exponent = -int(np.frexp(largest * np.sqrt(points.shape[1]))[1])
        scaled = np.empty(points.shape, dtype=np.float32)
        step = max(1, _RANK_BYTES // (8 * points.shape[1]))
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            scaled[rows] = np.ldexp(points[rows] - centre, exponent)
        norms = np.einsum("nd,nd->n", scaled, scaled)
        return cls(points, scaled, norms, float(np.ldexp(1.0, 2 * exponent)), k + 1)

    def nearest(self, rows: Longs) -> Longs:
        """Return the (B, k + 1) nearest rows of `rows` in order of (float64 distance, index)."""
        from pal_plugin.graph._faiss import knn

        wanted = min(len(self.points), self.count + _SPARE)
        products, candidates = knn(self.scaled[rows], self.scaled, wanted)
        distances = np.asarray(products, dtype=np.float64)
        error = self._error(rows, distances[:, self.count - 1])
        gaps = np.diff(distances[:, : self.count + 1], axis=1)
        doubt = np.flatnonzero((gaps <= 2 * error[:, None]).any(axis=1))
        nearest = candidates[:, : self.count].astype(np.int64)
        if doubt.size:
            nearest[doubt] = self._settle(rows[doubt], candidates[doubt], distances[doubt, -1], error[doubt])
        return nearest

    def _error(self, rows: Longs, furthest: Doubles) -> Doubles:
        """Bound |float32 − true| of the squared distances from `rows` to any point not beyond `furthest`.

        |x|² + |y|² − 2x·y in float32 is off by at most (D + 8)·2⁻²⁴·(|x| + |y|)² (the standard bound of a dot product,
        any summation order), |y| ≤ |x| + distance, and the factor 2 covers that `furthest` is itself a float32 result.
        """
        size = self.scaled.shape[1]
        reach = 2 * np.sqrt(self.norms[rows].astype(np.float64)) + np.sqrt(np.maximum(furthest, 0))
        return np.asarray(2 * (size + 8) * (2.0**-24 * reach**2 + 2.0**-140))  # the last term is for underflow

    def _settle(self, rows: Longs, candidates: Longs, last: Doubles, error: Doubles) -> Longs:
        """Order candidates by float64 distances; scan all points for the rows whose list may lack a neighbour."""
        order, distances = self._ranked(rows, candidates)
        nearest = np.take_along_axis(candidates, order[:, : self.count], axis=1)
        bound = distances[:, self.count - 1] * self.scale
        if candidates.shape[1] < len(self.points):
            open_ = np.flatnonzero(last <= bound + error)  # a point outside the list could still belong in it
            if open_.size:
                nearest[open_] = self._scan(rows[open_], (bound + error)[open_])
        return nearest

    def _ranked(self, rows: Longs, candidates: Longs) -> tuple[Longs, Doubles]:
        """Return the order of each row's candidates by (distance, index), and their sorted squared distances."""
        distances = np.empty(candidates.shape, dtype=np.float64)
        step = max(1, _RANK_BYTES // (8 * candidates.shape[1] * self.points.shape[1]))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            difference = self.points[candidates[part]].astype(np.float64)
            difference -= self.points[rows[part], None]
            distances[part] = np.square(difference, out=difference).sum(axis=-1)
        order = np.lexsort((candidates, distances), axis=-1)
        return order, np.take_along_axis(distances, order, axis=1)

    def _scan(self, rows: Longs, limit: Doubles) -> Longs:
        """Find the neighbours of `rows` among all points within the float32 distance `limit` of each.

        Identical rows have identical answers (the row itself counts as a point here), so each is looked up once.
        """
        keys = np.ascontiguousarray(self.points[rows]).view(np.dtype((np.void, 4 * self.points.shape[1]))).reshape(-1)
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        nearest = np.empty((first.size, self.count), dtype=np.int64)
        step = max(1, _SCAN_BYTES // (4 * len(self.points)))
        for start in range(0, first.size, step):
            some = first[start : start + step]
            products = self.scaled[rows[some]] @ self.scaled.T
            distances = self.norms[rows[some], None] + self.norms - 2 * products
            for place, which in enumerate(some):
                near = np.flatnonzero(distances[place] <= limit[which])
                nearest[start + place] = self._first_of(int(rows[which]), near)
        return nearest[inverse.reshape(-1)]

    def _first_of(self, row: int, candidates: Longs) -> Longs:
        step = max(1, _RANK_BYTES // (8 * self.points.shape[1]))
        distances = np.concatenate(
            [
                np.square(self.points[candidates[start : start + step]].astype(np.float64) - self.points[row]).sum(
                    axis=-1
                )
                for start in range(0, candidates.size, step)
            ]
        )
        return candidates[np.lexsort((candidates, distances))[: self.count]]


def _checked(features: npt.ArrayLike) -> Floats:
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[1] == 0:
        raise FeatureError(
            f"Features must be an (N, D) array of real numbers, found {array.dtype} of shape {array.shape}",
            "Pass one row of features for each sample",
        )
    if len(array) < 2:
        raise GraphError(
            f"A neighbour graph needs two rows of features, found {len(array)}", "Embed the data set first"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is named below
        rows: Floats = np.ascontiguousarray(array, dtype=np.float32)
    bad = first_bad_row(rows)
    if bad is not None:
        raise FeatureError(
            f"Row {bad} of the features holds a NaN or infinity", "Embed that sample again (pal embed --help)"
        )
    return rows


def _clamped(k: int, size: int, include_self: bool) -> int:
    if k < 1:
        raise GraphError(f"k={k} asks for no neighbours", "Choose k >= 1")
    most = size - (not include_self)
    if k > most:
        warnings.warn(f"k={k} is more than the {most} neighbours that {size} samples have: k={most}", stacklevel=3)
        k = most
    if include_self and k == 1:
        warnings.warn("k=1 with include_self pairs every sample with itself: this is plain SSL", stacklevel=3)
    return k


def _directions(features: Floats) -> Floats:
    """Scale rows to unit length; rows of zeros share one direction that is at right angles to all others."""
    norms = np.sqrt(np.einsum("nd,nd->n", features, features, dtype=np.float64))
    zero = norms == 0
    units = np.empty(features.shape, dtype=np.float32)
    np.divide(features, np.where(zero, 1, norms)[:, None], out=units, dtype=np.float64, casting="same_kind")
    if not zero.any():
        return units
    return np.concatenate([units, zero[:, None].astype(np.float32)], axis=1)


def _without_self(nearest: Longs, rows: Longs) -> Longs:
    """Drop each row from its own list by index; where more than k duplicates come before it, drop the last entry."""
    own = nearest == rows[:, None]
    own[~own.any(axis=1), -1] = True
    kept: AnyArray = nearest[~own]
    return kept.reshape(len(rows), nearest.shape[1] - 1)
