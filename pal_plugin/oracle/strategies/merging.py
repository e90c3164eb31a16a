"""Grids that join the most components per click."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Mask, Nodes, check_count
from pal_plugin.oracle.questions import Grid
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Strategy
from pal_plugin.oracle.strategies.parts import largest, means, open_between

STOP = 0.1
_ANCHORS = 32
_POOL = 4096
_KAPPA = 10.0

Doubles = npt.NDArray[np.float64]


class Merging(Strategy):
    """Grids that join the most components per click, each weighted by the pairs that become known.

    Args:
        grid: how many candidates are shown at most.
        seed: of the components that are looked at.
        stop: nothing is asked where a grid is expected to join fewer components than this.

    Raises:
        OracleError: a seed, grid or stop that is none.
    """

    def __init__(self, grid: int = 10, seed: int = 0, *, stop: float = STOP) -> None:
        super().__init__(seed)
        self.grid = check_count("grid", grid)
        if not 0 <= stop < np.inf:
            raise OracleError(f"stop={stop} is no number of joins", "Pass a number of 0 or more (--stop)")
        self.stop = stop

    def next(self, situation: Situation) -> Grid | None:
        """Return the next grid, or None where none is expected to join `stop` components.

        Raises:
            FeatureError: features that are not finite.
        """
        generator = self.generator(situation)
        order = generator.permutation(situation.samples)
        pool = largest(situation, order.size, order)
        anchors = pool[:_ANCHORS]
        pool = pool[:_POOL]
        is_open = open_between(situation, pool, anchors)
        sizes = situation.known.size(pool).astype(np.float64)
        chance = self._chance(situation, pool, anchors, is_open, generator)
        gain = pairs_gained(situation, pool, anchors, sizes)
        found = best_grid(chance, gain, self.grid, self.stop)
        if found is None:
            return None
        column, rows = found
        return self._grid(situation, int(anchors[column]), pool[rows], generator)

    def _chance(
        self, situation: Situation, pool: Nodes, anchors: Nodes, is_open: Mask, generator: np.random.Generator
    ) -> Doubles:
        """Return (m, k) the probability that each component of the pool is related to each anchor."""
        sizes = situation.known.size(anchors).astype(np.float64)
        score = np.tile(np.log(sizes), (pool.size, 1))
        if situation.features is not None:
            rows = means(situation, self.directions(situation.features), pool, generator)
            score += _KAPPA * (rows @ rows[: anchors.size].T)
        weight = np.where(is_open, np.exp(score - score.max(axis=1, keepdims=True)), 0)
        rest = np.exp(-score.max(axis=1, keepdims=True))
        return np.asarray(weight / (weight.sum(axis=1, keepdims=True) + rest))

    def _grid(self, situation: Situation, anchor: int, parts: Nodes, generator: np.random.Generator) -> Grid | None:
        shown = [member(situation, part, generator) for part in (anchor, *parts.tolist())]
        candidates = np.array(shown[1:], dtype=np.int64)
        candidates = candidates[~situation.asked.has(np.full(candidates.size, shown[0]), candidates)]
        return Grid(shown[0], candidates)


def member(situation: Situation, part: int, generator: np.random.Generator) -> int:
    """Return some member of a component that may be asked about."""
    members = situation.known.members(part)
    if situation.among is not None:
        members = members[np.isin(members, situation.among)]
    return int(generator.choice(members))


def pairs_gained(situation: Situation, pool: Nodes, anchors: Nodes, sizes: Doubles) -> Doubles:
    """Return (m, k) how many pairs become known where a component of the pool is related to an anchor.

    Of the pairs that become known as unrelated, those with the anchors count.
    """
    apart = np.zeros((pool.size, anchors.size))
    where = np.zeros(situation.num_samples, dtype=np.bool_)
    for column, anchor in enumerate(anchors.tolist()):
        where[:] = False
        where[situation.known.apart(anchor)] = True
        apart[:, column] = where[pool]
    of_anchors, large = apart[: anchors.size], sizes[: anchors.size]
    both = (apart * large) @ of_anchors.T  # apart from the component and from the anchor
    by_pool, by_anchor = (apart @ large)[:, None] - both, (of_anchors @ large)[None] - both
    return np.asarray(sizes[:, None] * large + sizes[:, None] * by_anchor + large * by_pool)


def best_grid(chance: Doubles, gain: Doubles, grid: int, stop: float) -> tuple[int, Nodes] | None:
    """Return the anchor (column) and candidates (rows) that make the most pairs known per click, by expectation.

    A grid costs a click for each join and one to be sent. Dinkelbach: of the sets of at most `grid` rows, the one with
    the largest Σ p·gain / (1 + Σ p) is the one with the largest Σ p·(gain − λ) at the λ that is that ratio.
    """
    ratio = np.zeros(chance.shape[1])
    count = min(grid, chance.shape[0])
    for _ in range(4):
        worth = chance * (gain - ratio)
        rows = np.argpartition(-worth, count - 1, axis=0)[:count]
        kept = np.take_along_axis(worth, rows, axis=0) > 0
        joins = np.where(kept, np.take_along_axis(chance, rows, axis=0), 0)
        ratio = (joins * np.take_along_axis(gain, rows, axis=0)).sum(axis=0) / (1 + joins.sum(axis=0))
    enough = joins.sum(axis=0) >= max(stop, np.finfo(np.float64).tiny)
    if not enough.any():
        return None
    column = int(np.argmax(np.where(enough, ratio, -1)))
    chosen = rows[kept[:, column], column]
    return column, chosen[np.argsort(-worth[chosen, column], kind="stable")]
