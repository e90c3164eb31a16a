"""How densely samples lie, by the distances to their nearest neighbours."""

from __future__ import annotations

import math

import numpy as np

from pal_plugin.arrays import AnyArray
from pal_plugin.graph.search import Search
from pal_plugin.graph.space import Doubles, Longs, Space, checked_features
from pal_plugin.progress import progress

_ROWS = 4096  # at a time


def mean_distances(features: AnyArray, metric: str, k: int) -> Doubles:
    """Return (N,) mean distances of every row to its k nearest others (all of them where there are fewer)."""
    if len(features) < 2:
        return np.zeros(len(features))
    space = Space.of(checked_features(features), metric)
    search = Search.of(space)
    k = min(k, len(space) - 1)
    found = np.empty(len(space))
    for part in progress(search.batches(_ROWS), "density (blocks)"):
        rows = np.arange(part.start, part.stop)
        nearest = search.nearest(rows, k + 1)
        squared = space.distances(np.repeat(rows, k + 1), nearest.reshape(-1)).reshape(nearest.shape)
        found[rows] = np.sqrt(squared).sum(axis=1) / k  # the row itself is among its neighbours, at distance 0
    return found


def densest(features: AnyArray, candidates: Longs, metric: str, trim: float, k: int) -> Longs:
    """Return the candidates, ascending, without the share `trim` of the least dense; ties: the lowest index stays."""
    keep = len(candidates) - math.floor(trim * len(candidates))
    distances = mean_distances(features[candidates], metric, k)
    return np.sort(candidates[np.argsort(distances, kind="stable")[:keep]])
