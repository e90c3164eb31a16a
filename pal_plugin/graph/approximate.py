"""Approximate nearest neighbours for more rows than an exact search has time for.

An index of faiss proposes candidates, which are put in order by their float64 distances. How hard the index looks is
not for the user to guess: its effort is doubled until the candidates of sampled rows hold 99 % of their exact
neighbours. What `knn_graph` says of the recall is measured afterwards, on other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.space import Floats, Longs, Space
from pal_plugin.progress import progress

TARGET = 0.99  # of the sampled rows' neighbours, at which the effort is enough
_SAMPLE, _SEED = 256, 1  # not the rows that `recall` draws with its own seed
_BATCH = 4096


def faiss_ivf(features: Floats, k: int, metric: str) -> Longs:
    """Find neighbours by inverted lists (faiss IndexIVFScalarQuantizer: 2·√N cells, 8 bits a number); an `Engine`.

    It holds a quarter of the features' bytes in memory and reads a memory map block by block; the same features give
    the same neighbours. Effort: the number of cells that are looked at.

    Args:
        features: (N, D) finite float32.
        k: 1 to N - 1.
        metric: `"euclidean"` or `"cosine"`.

    Returns:
        (N, k) int64, each row in order of (distance, index).
    """
    from pal_plugin.graph._faiss import ivf

    search = Search.of(Space.of(features, metric))
    size = len(features)
    cells = max(1, min(int(2 * np.sqrt(size)), size // 39))  # faiss asks for at least 39 points a cell
    index = ivf(search.space.width, cells)
    picked = np.sort(np.random.default_rng(_SEED).permutation(size)[: 64 * cells])
    index.train(search.scaled(picked))
    return _neighbours(_Approximate(search, index, "nprobe", _doubled(8, cells)), k)


def faiss_hnsw(features: Floats, k: int, metric: str) -> Longs:
    """Find neighbours by a navigable small-world graph (faiss IndexHNSWFlat, 32 links); an `Engine`.

    It holds a copy of the features in memory. Built by more than one thread, it may give slightly other neighbours
    each time; set OMP_NUM_THREADS=1 where that matters. Effort: the length of the list of candidates while searching.

    Args and returns as `faiss_ivf`.
    """
    from pal_plugin.graph._faiss import hnsw

    search = Search.of(Space.of(features, metric))
    index = hnsw(search.space.width, 32)
    return _neighbours(_Approximate(search, index, "efSearch", _doubled(4 * k + 16, 64 * k + 4096)), k)


@dataclass(frozen=True)
class _Approximate:
    """An index over the scaled points of a search.

    Attributes:
        search: the exact search of the same points.
        index: trained, and empty until `fill`.
        effort: the name of the index's parameter.
        efforts: its values, rising.
    """

    search: Search
    index: Any
    effort: str
    efforts: tuple[int, ...]

    def fill(self) -> None:
        """Add all points."""
        for part in progress(self.search.batches(_BATCH), "index (blocks)"):
            self.index.add(np.ascontiguousarray(self.search.scaled(slice(part.start, part.stop))))

    def nearest(self, rows: Longs, k: int) -> Longs:
        """Return (B, k) others of `rows` in order of (distance, index); the exact ones where the index has too few."""
        wanted = min(len(self.search.space), 2 * k + 8)  # more than k + 1: an index's own distances may be coarse
        _, found = self.index.search(np.ascontiguousarray(self.search.scaled(rows)), wanted)
        return completed(self.search, rows, found, k)

    def tune(self, k: int) -> int:
        """Set the least effort whose candidates are good enough, and return it."""
        from pal_plugin.graph._faiss import set_effort

        space = self.search.space
        rows = np.sort(np.random.default_rng(_SEED).permutation(len(space))[:_SAMPLE])
        exact = without_self(self.search.nearest(rows, k + 1), rows)
        limits = space.distances(rows, exact[:, -1])[:, None]
        sources = np.repeat(rows, k)
        for effort in self.efforts:
            set_effort(self.index, self.effort, effort)
            found = space.distances(sources, self.nearest(rows, k).reshape(-1)).reshape(-1, k)
            if (found <= limits).mean() >= TARGET:
                break
        return effort


def completed(search: Search, rows: Longs, found: npt.NDArray[np.integer[Any]], k: int) -> Longs:
    """Return (B, k) others of `rows` in order of (distance, index), from the candidates that a library found.

    Args:
        search: the exact search of the same points, which answers for rows with too few candidates.
        rows: (B,).
        found: (B, C) candidates, C ≥ k + 1, the row itself among them or not; -1 where there are fewer.
        k: 1 to N - 1.
    """
    whole = (found >= 0).all(axis=1)
    nearest = np.empty((rows.size, k), dtype=np.int64)
    ranked, _ = search.space.ranked(rows[whole], found[whole].astype(np.int64))
    nearest[whole] = without_self(ranked, rows[whole])[:, :k]
    if not whole.all():
        nearest[~whole] = without_self(search.nearest(rows[~whole], k + 1), rows[~whole])
    return nearest


def _neighbours(engine: _Approximate, k: int) -> Longs:
    engine.fill()
    effort = engine.tune(k)
    found = np.empty((len(engine.search.space), k), dtype=np.int64)
    for part in progress(engine.search.batches(_BATCH), f"neighbours at {engine.effort} {effort} (blocks)"):
        rows = np.arange(part.start, part.stop)
        found[rows] = engine.nearest(rows, k)
    return found


def _doubled(first: int, last: int) -> tuple[int, ...]:
    """Return first, 2·first, 4·first, …, last."""
    values = [first]
    while 2 * values[-1] < last:
        values.append(2 * values[-1])
    return (*values, last) if last > first else (first,)
