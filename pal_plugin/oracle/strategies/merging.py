"""Grids that join the most components per click."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Mask, Nodes, check_count
from pal_plugin.oracle.questions import Grid
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Strategy, unit
from pal_plugin.oracle.strategies.chances import Chances
from pal_plugin.oracle.strategies.parts import apart_between, asked_between, largest, means, open_counts

Doubles = npt.NDArray[np.float64]

STOP = 0.1
_LARGE = 24  # anchors for their size
_NEAR = 8  # anchors for what is known of them
_POOL = 4096
_AS_GOOD = 0.7  # of the best grid's gain per click: then the smallest anchor is taken
_PLENTY = 0.2  # of a grid's candidates: only where so many joins are expected
_ITERATIONS = 4


class Merging(Strategy):
    """Grids that join the most components per click, each weighted by the pairs that become known. Ours.

    A grid is looked for among at most 4096 components and 32 anchors: the 24 largest components, and the 8 others that
    are known apart from the most samples. Of the candidates, each of another component, those are shown that make the
    most pairs known per click by expectation, where a selected candidate costs a click and sending the grid another
    one; how likely they are related to the anchor says `Chances`, from features where there are some. What is known
    apart from the anchor is never shown.

    Two things keep this from being greedy. Of the anchors whose grid is at least 70 % as good as the best one's, the
    smallest is taken that is expected to be joined by a fifth of its candidates, so that all classes grow; where joins
    are rarer than that with all of them, the largest, since a join is worth most there. And the last place of a grid
    explores: it goes to the single sample that is least likely to be of any anchor's kind. It is seldom selected, so
    that it costs nothing; it is known apart from the anchor then, and what joins it makes as many pairs known.

    Args:
        grid: how many candidates are shown at most.
        seed: of the components that are looked at, and of the members that stand for them.
        stop: nothing is asked where no grid is expected to join so many components; 0 goes on while any could be. With
            0.1, data of which no two samples are related are given up after about five grids without features, and
            forty with features in which some look alike. So may be more than some thirty classes without features.

    Raises:
        OracleError: a seed, grid or stop that is none.
    """

    def __init__(self, grid: int = 10, seed: int = 0, *, stop: float = STOP) -> None:
        super().__init__(seed)
        self.grid = check_count("grid", grid)
        if not 0 <= stop < np.inf:
            raise OracleError(f"stop={stop} is no number of joins", "Pass a finite number of 0 or more (--stop)")
        self.stop = stop

    def next(self, situation: Situation) -> Grid | None:
        """Return the next grid, or None where none is expected to join `stop` components.

        Raises:
            FeatureError: features that are not finite.
        """
        grid = self._best(situation)
        if grid is not None:
            return grid
        left = open_counts(situation) > 0  # the largest components may be settled, and others not
        return self._best(replace(situation, among=situation.samples[left])) if left.any() else None

    def _best(self, situation: Situation) -> Grid | None:
        generator = self.generator(situation)
        pool, anchors = components(situation, generator.permutation(situation.samples))
        sizes = situation.known.size(pool).astype(np.float64)
        apart = apart_between(situation.known, pool, anchors)
        is_open = ~apart & ~asked_between(situation, pool, anchors) & (pool[:, None] != anchors)
        chance, new = self._chances(situation, pool, anchors.size, sizes, is_open, generator)
        gain = pairs_gained(apart, sizes)
        found = best_grid(chance, gain, sizes[: anchors.size], self.grid, self.stop)
        if found is None:
            return None
        column, rows = found
        new = np.where(is_open[:, column] & (sizes == 1), new, -1.0)
        new[rows] = -1.0
        if self.grid > 1 and new.max() >= 0:
            rows = np.append(rows[: self.grid - 1], new.argmax())
        return shown(situation, int(anchors[column]), pool[rows], generator)

    def _chances(
        self,
        situation: Situation,
        pool: Nodes,
        count: int,
        sizes: Doubles,
        is_open: Mask,
        generator: np.random.Generator,
    ) -> tuple[Doubles, Doubles]:
        """Return the chances that the pool's components are related to its first `count`, and to none of them."""
        features, rows = None, None
        if situation.features is not None:
            features = self.directions(situation.features)
            rows = means(situation, features, pool, generator)
            rows[sizes > 1] = unit(rows[sizes > 1])
        chances = Chances(situation, pool[:count], sizes[:count], features, generator)
        return chances.related(pool, rows, is_open)


def components(situation: Situation, order: Nodes) -> tuple[Nodes, Nodes]:
    """Return the roots of the components to look at, (m,), and of those of them that are anchors, (k,): the first.

    Args:
        situation: whose components.
        order: the samples that may be asked about, in the order in which they are preferred where they are alike.
    """
    known, every = situation.known, largest(situation, order)
    large, others = every[:_LARGE], every[_LARGE:]
    reach = np.zeros(situation.num_samples, dtype=np.int64)
    for root, size in zip(large.tolist(), known.size(large).tolist(), strict=True):
        reach[known.apart(root)] += size
    by_reach = np.argsort(-reach[others], kind="stable")
    near, rest = others[by_reach[:_NEAR]], others[np.sort(by_reach[_NEAR:])]
    anchors = np.concatenate([large, near])
    return np.concatenate([anchors, rest])[:_POOL], anchors


def pairs_gained(apart: Mask, sizes: Doubles) -> Doubles:
    """Return (m, k) how many pairs become known where a component is related to an anchor.

    Of the pairs that become known as unrelated, those with anchors count.

    Args:
        apart: (m, k) whether m components, the first k of which are the anchors, are known apart from the anchors.
        sizes: (m,) of the components.
    """
    count = apart.shape[1]
    far = apart.astype(np.float64)
    of_anchors, large = far[:count], sizes[:count]
    both = (far * large) @ of_anchors.T  # samples known apart from the component and from the anchor
    by_pool, by_anchor = (far @ large)[:, None] - both, (of_anchors @ large)[None] - both
    return np.asarray(sizes[:, None] * (large + by_anchor) + large * by_pool)


def best_grid(chance: Doubles, gain: Doubles, sizes: Doubles, grid: int, stop: float) -> tuple[int, Nodes] | None:
    """Return the anchor (column) and the candidates (rows), the best first, of the grid to show.

    A grid costs a click for each join, and one to be sent. Of the sets of at most `grid` rows, the one with the largest
    ratio Σ p·gain / (1 + Σ p) has the largest Σ p·(gain − λ) where λ is that ratio (Dinkelbach, "On nonlinear
    fractional programming", Management Science 1967): a few rounds from λ = 0 find it.

    Args:
        chance: (m, k) that m components are related to k anchors; 0 where it is not to be asked.
        gain: (m, k) pairs that become known if they are.
        sizes: (k,) of the anchors, which decide among those whose ratio is at least 70 % of the best one.
        grid: how many rows.
        stop: how many joins a grid has to promise.

    Returns:
        None where none does.
    """
    count = min(grid, chance.shape[0])
    ratio = np.zeros(chance.shape[1])
    for _ in range(_ITERATIONS):
        worth = chance * (gain - ratio)
        rows = np.argpartition(-worth, count - 1, axis=0)[:count]
        kept = np.take_along_axis(worth, rows, axis=0) > 0
        joins = np.where(kept, np.take_along_axis(chance, rows, axis=0), 0.0)
        ratio = (joins * np.take_along_axis(gain, rows, axis=0)).sum(axis=0) / (1 + joins.sum(axis=0))
    ratio = np.where(kept.any(axis=0) & (joins.sum(axis=0) >= stop), ratio, 0.0)
    if not ratio.any():
        return None
    good = np.flatnonzero(ratio >= _AS_GOOD * ratio.max())
    plenty = good[joins.sum(axis=0)[good] >= _PLENTY * grid]
    column = int(plenty[sizes[plenty].argmin()] if plenty.size else good[sizes[good].argmax()])
    chosen = rows[kept[:, column], column]
    return column, chosen[np.argsort(-worth[chosen, column], kind="stable")]


def shown(situation: Situation, anchor: int, parts: Nodes, generator: np.random.Generator) -> Grid | None:
    """Return the grid in which members of components stand for them; None where all such pairs were asked about."""
    first = int(generator.choice(_members(situation, anchor)))
    candidates = []
    for part in parts.tolist():
        members = _members(situation, part)
        members = members[~situation.asked.has(np.full(members.size, first), members)]
        candidates += [generator.choice(members)] if members.size else []
    return Grid(first, np.array(candidates, dtype=np.int64)) if candidates else None


def _members(situation: Situation, part: int) -> Nodes:
    members = situation.known.members(part)
    return members if situation.among is None else members[np.isin(members, situation.among)]
