"""Engines that other libraries are: candidates from there, put in order by float64 distances here.

Both search the points of the metric's Euclidean space, so that `"cosine"` means here what it means to every engine.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pal_plugin.errors import ConfigError
from pal_plugin.graph.approximate import completed
from pal_plugin.graph.search import Search
from pal_plugin.graph.space import Floats, Longs, Space
from pal_plugin.progress import progress

CUVS_EXACT_ROWS = 1_000_000  # cuVS compares all pairs below; from there on, parts of the points at a time
_DESCENT_LEAST = 30  # neighbours in pynndescent's own graph, its default: fewer, and its descent gets stuck
_PART_ROWS = 2_000_000  # of the points that cuVS holds on the GPU at a time
_BATCH = 4096


def pynndescent(features: Floats, k: int, metric: str) -> Longs:
    """Find neighbours by nearest-neighbour descent (pynndescent), approximately; an `Engine`.

    It holds several copies of the features in memory.

    Args:
        features: (N, D) finite float32.
        k: 1 to N - 1.
        metric: `"euclidean"` or `"cosine"`.

    Returns:
        (N, k) int64, each row in order of (distance, index).

    Raises:
        ConfigError: the library is not installed.
    """
    library = _imported("pynndescent", "pynndescent")
    search = Search.of(Space.of(features, metric))
    count = min(len(features), max(k + 1, _DESCENT_LEAST))
    with _threads_kept():
        index = library.NNDescent(search.scaled(slice(None)), metric="euclidean", n_neighbors=count, random_state=0)
        found = index.neighbor_graph[0]
    return _completed(search, found, k)


def cuvs(features: Floats, k: int, metric: str) -> Longs:
    """Find neighbours on a GPU by cuVS `all_neighbors`; an `Engine`.

    Below a million rows it compares all pairs, in float32. From there on the points stay in the machine's memory,
    overlapping parts of them go to the GPU one after the other, and the answer is approximate.

    Args, returns and raises as `pynndescent`.
    """
    library = _imported("cuvs.neighbors.all_neighbors", "cuvs")
    search = Search.of(Space.of(features, metric))
    size = len(features)
    if size < CUVS_EXACT_ROWS:
        parameters = library.AllNeighborsParams(algo="brute_force", metric="sqeuclidean")
    else:
        parts = max(4, -(-2 * size // _PART_ROWS))  # more than the two that each point is in
        parameters = library.AllNeighborsParams(
            algo="nn_descent", overlap_factor=2, n_clusters=parts, metric="sqeuclidean"
        )
    count = min(size, 2 * k + 8)  # more than k + 1: float32 may order near-ties wrongly
    indices = library.build(np.ascontiguousarray(search.scaled(slice(None))), count, parameters)
    return _completed(search, indices.copy_to_host(), k)


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """Give torch the threads back that it had: numba's parallel loops set OpenMP's number, which is torch's as well."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _imported(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"engine={extra} needs a library that cannot be imported: {error}",
            f"pip install 'pal-plugin[{extra}]', or use another engine",
        ) from error


def _completed(search: Search, candidates: npt.NDArray[np.integer[Any]], k: int) -> Longs:
    found = np.empty((len(candidates), k), dtype=np.int64)
    for part in progress(search.batches(_BATCH), "ordering neighbours (blocks)"):
        rows = np.arange(part.start, part.stop)
        found[rows] = completed(search, rows, candidates[rows], k)
    return found
