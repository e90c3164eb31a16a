"""Where a selection starts that has nothing to start from."""

from __future__ import annotations

import numpy as np

from pal_plugin.errors import ConfigError, SelectionError
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.points import Points, squared_distances

STARTS = ("medoid", "farthest", "random")
_STEP = 1024  # rows at a time


def check_start(start: object) -> None:
    """Refuse a start that is neither one of `STARTS` nor an index.

    Raises:
        ConfigError: it is neither.
    """
    if not isinstance(start, (int, np.integer)) and start not in STARTS:
        raise ConfigError(f"There is no start {start!r}", f"Choose {', '.join(STARTS)} or an index")


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
        return by_mean(points, candidates, candidates, 1 if start == "medoid" else -1)
    if not np.isin(start, candidates):
        raise SelectionError(f"The start {start} is not among the candidates", "Choose one of them")
    return int(start)


def by_mean(points: Points, candidates: Longs, rows: Longs, sign: int) -> int:
    """Return the candidate nearest to the mean of `rows` (sign 1), or furthest from it (-1); ties: the lowest index."""
    mean: Doubles = sum(points.exact(part).sum(axis=0) for part in _parts(rows)) / len(rows)
    distances = np.concatenate([squared_distances(points.exact(part), mean) for part in _parts(candidates)])
    return int(candidates[int(np.argmin(sign * distances))])


def _parts(rows: Longs) -> list[Longs]:
    return [rows[start : start + _STEP] for start in range(0, len(rows), _STEP)]
