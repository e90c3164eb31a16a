"""Grids about the samples of which the features say least."""

from __future__ import annotations

import numpy as np

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import check_count
from pal_plugin.oracle.questions import Grid
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Strategy, one_each, unit
from pal_plugin.oracle.strategies.parts import apart_between, asked_between, largest, means
from pal_plugin.oracle.strategies.passive import RandomGrids

_POOL = 4096
_PARTS = 64


class Uncertainty(Strategy):
    """Grids of the samples that lie most evenly between the two nearest known components: uncertainty sampling.

    Known components are the (at most 64) largest of two members or more. A sample outside them is the less certain, the
    smaller the margin by which the nearest component's mean direction is nearer than the next one's, of those that are
    open to it. The least certain sample is shown to its nearest component, and with it the least certain of the others
    that are nearest to that one. While no sample has two known components open to it, grids are random.

    Args:
        grid: how many candidates are shown.
        seed: of the at most 4096 samples among which a grid is looked for, and of random grids.

    Raises:
        OracleError: a seed or grid that is none.
    """

    def __init__(self, grid: int = 10, seed: int = 0) -> None:
        super().__init__(seed)
        self.grid = check_count("grid", grid)
        self._random = RandomGrids(grid, seed)

    def next(self, situation: Situation) -> Grid | None:
        """Return the next grid, or None when every pair is known or was asked about.

        Raises:
            OracleError: there are no features.
            FeatureError: features that are not finite.
        """
        if situation.features is None:
            raise OracleError("Without features nothing is uncertain", "Pass features (--features), or ask by merging")
        features, generator = self.directions(situation.features), self.generator(situation)
        order = generator.permutation(situation.samples)
        parts = largest(situation, order, least=2)[:_PARTS]
        pool = one_each(situation, order)
        pool = pool[~np.isin(situation.known.roots(pool), parts)][:_POOL]
        nearness = features[pool] @ unit(means(situation, features, parts, generator)).T
        roots = situation.known.roots(pool)
        settled = apart_between(situation.known, roots, parts) | asked_between(situation, roots, parts)
        nearness[settled] = -np.inf
        two = np.isfinite(nearness).sum(axis=1) >= 2
        if not two.any():
            return self._random.next(situation)
        pool, nearness = pool[two], nearness[two]
        best = np.sort(nearness, axis=1)[:, -2:]
        least = np.argsort(best[:, 1] - best[:, 0], kind="stable")
        nearest = nearness.argmax(axis=1)
        least = least[nearest[least] == nearest[least[0]]]
        members = situation.known.members(int(parts[nearest[least[0]]]))
        anchor = int(generator.choice(members[np.isin(members, situation.samples)]))
        candidates = pool[least]
        candidates = candidates[~situation.asked.has(np.full(candidates.size, anchor), candidates)]
        return Grid(anchor, candidates[: self.grid]) if candidates.size else self._random.next(situation)
