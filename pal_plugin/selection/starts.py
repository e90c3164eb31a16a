"""Where a selection starts that has nothing to start from."""

from __future__ import annotations

import numpy as np

from pal_plugin.errors import SelectionError
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.points import Points, squared_distances

STARTS = ("medoid", "farthest", "random")
_STEP = 1024  # rows at a time


def start_at(start: str | int, points: Points, candidates: Longs, seed: int) -> int:
    """Return the first pick.

    Args:
        start: one of `STARTS`, or an index.
        points: all points.
        candidates: (n,) those that can be picked, ascending.
        seed: of the random start.

    Raises:
        SelectionError: the index is no candidate.
    """
    if start == "random":
        return int(candidates[np.random.default_rng(seed).integers(len(candidates))])
    if isinstance(start, str):
        return _by_mean(points, candidates, 1 if start == "medoid" else -1)
    if not np.isin(start, candidates):
        raise SelectionError(f"The start {start} is not among the candidates", "Choose one of them")
    return int(start)


def _by_mean(points: Points, candidates: Longs, sign: int) -> int:
    """Return the candidate nearest to the mean of all (sign 1), or furthest from it (-1); ties: the lowest index."""
    parts = [candidates[start : start + _STEP] for start in range(0, len(candidates), _STEP)]
    mean: Doubles = sum(points.exact(part).sum(axis=0) for part in parts) / len(candidates)
    distances = np.concatenate([squared_distances(points.exact(part), mean) for part in parts])
    return int(candidates[int(np.argmin(sign * distances))])
