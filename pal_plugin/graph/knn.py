"""Graphs of the k nearest neighbours, and the exact engine that finds them."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph.measures import recall
from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.graph.space import Floats, Longs, Space, at_least_one, check_metric, checked_features
from pal_plugin.progress import progress
from pal_plugin.registry import engines

Engine: TypeAlias = Callable[[Floats, int, str], Longs]
"""(features (N, D), k < N, metric) → (N, k) neighbours of each row, the row itself excluded, nearest first.

What the entry-point group `pal_plugin.engines` holds.
"""

EXACT = "faiss"
APPROXIMATE = "faiss_ivf"
EXACT_ROWS = 100_000  # "auto" is exact below: on two cores minutes there, hours at a million
RECALL_FLOOR = 0.95  # an engine that finds less of a sample's neighbours is warned of


def knn_graph(
    features: npt.ArrayLike,
    k: int,
    *,
    metric: str = "euclidean",
    include_self: bool = False,
    engine: str = "auto",
    min_recall: float | None = None,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Connect every sample with its k nearest neighbours (GPS-SSL, section 3: view 2 comes from one of them).

    A sample is excluded from its own neighbours by its index, so a duplicate of it stays. Equal distances are ordered
    by index. With `include_self` the sample itself is the first of its k neighbours.

    The recall of every engine but the exact one is measured on sampled rows (see `recall`), printed on standard error
    and kept in the graph's builder parameters; below 0.95 it is warned of, below `min_recall` the graph is refused.

    Args:
        features: (N, D) real numbers, used as float32. A memory map of float32 may be larger than memory; any other
            type is converted in memory.
        k: neighbours of each sample; more than there are is cut to N - 1 (N with `include_self`) with a warning.
        metric: `"euclidean"`, un-normalised as in GPS-SSL, or `"cosine"`, which is the Euclidean distance of the rows
            scaled to unit length (in float64, rounded to float32). A row of zeros has no direction: its cosine is 1
            with other rows of zeros and 0 with all else.
        include_self: count the sample as its own first neighbour.
        engine: an entry of the group `pal_plugin.engines`; `"auto"` is exact (`"faiss"`) below 100,000 rows and
            approximate (`"faiss_ivf"`) from there on.
        min_recall: the least share of neighbours, 0 to 1, that an engine has to find on the sampled rows.
        manifest: the data set of the rows, as a manifest or its reference; kept in the graph.

    Returns:
        A graph with N·k edges of weight 1; each row's in order of (distance, index).

    Raises:
        FeatureError: the features are no (N, D) array of numbers, or row i holds a NaN or infinity.
        GraphError: k < 1, fewer than two rows, or an engine's answer is malformed or below `min_recall`.
        ConfigError: unknown metric or engine, or a `min_recall` outside 0 to 1.

    Example:
        >>> graph = knn_graph([[0.0], [1.0], [3.0], [7.0]], k=1)
        >>> graph.neighbours(3)
        (array([2], dtype=int32), array([1.], dtype=float32))
    """
    check_metric(metric)
    if min_recall is not None and not 0 <= min_recall <= 1:
        raise ConfigError(f"min_recall={min_recall} is no share of the neighbours", "Choose 0 to 1, such as 0.98")
    include_self = bool(include_self)  # NumPy's own cannot be subtracted from
    rows = checked_features(features)
    k = _clamped(k, len(rows), include_self)
    name = engine if engine != "auto" else EXACT if len(rows) < EXACT_ROWS else APPROXIMATE
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
    graph = SimilarityGraph.from_edges(
        len(rows),
        np.repeat(own, k),
        neighbours.reshape(-1),
        manifest=reference_of(manifest),
        builder={"name": "knn", "parameters": parameters, "cost": 0.0},
    )
    return graph if name == EXACT or not others else _with_recall(graph, rows, metric, min_recall)


def faiss_exact(features: Floats, k: int, metric: str, *, block: int = 4096) -> Longs:
    """Find the k exact neighbours of every row by a blocked matrix product of faiss; an `Engine`.

    Neighbours are those of a float64 computation, in order of (distance, index), see `Search`.

    Args:
        features: (N, D) finite float32; a memory map is read block by block.
        k: 1 to N - 1.
        metric: `"euclidean"` or `"cosine"`.
        block: queries at a time; it changes memory and progress, never the result.

    Returns:
        (N, k) int64.
    """
    search = Search.of(Space.of(features, metric))
    found = np.empty((len(features), k), dtype=np.int64)
    for part in progress(search.batches(block), "neighbours (blocks)"):
        rows = np.arange(part.start, part.stop)
        found[rows] = without_self(search.nearest(rows, k + 1), rows)
    return found


def _with_recall(graph: SimilarityGraph, features: Floats, metric: str, least: float | None) -> SimilarityGraph:
    """Measure the recall of the graph's engine, say it, refuse less than `least`, and keep it in the parameters."""
    parameters = graph.builder["parameters"]
    sample = min(256, graph.num_nodes)
    found = recall(graph, features, metric=metric, sample=sample)
    said = f"neighbours by {parameters['engine']}: recall {found:.4f} on {sample} sampled rows"
    print(said, file=sys.stderr, flush=True)
    if least is not None and found < least:
        raise GraphError(f"{said}, below min_recall={least}", f"Use engine={EXACT}, which is exact, or ask for less")
    if found < RECALL_FLOOR:
        warnings.warn(
            f"{said}, below {RECALL_FLOOR}: more than one neighbour in twenty is not among the nearest; "
            f"engine={EXACT} is exact",
            stacklevel=3,
        )
    measured = {"recall": found, "recall_rows": sample}
    return dataclasses.replace(graph, builder={**graph.builder, "parameters": {**parameters, **measured}})


def _clamped(k: int, size: int, include_self: bool) -> int:
    k = at_least_one("k", k)
    most = size - (not include_self)
    if k > most:
        warnings.warn(f"k={k} is more than the {most} neighbours that {size} samples have: k={most}", stacklevel=3)
        k = most
    if include_self and k == 1:
        warnings.warn("k=1 with include_self pairs every sample with itself: this is plain SSL", stacklevel=3)
    return k
