"""Passive strategies: pairs and grids at random."""

from __future__ import annotations

import numpy as np

from pal_plugin.oracle.checks import Nodes, check_count
from pal_plugin.oracle.questions import Grid, Pairs
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Strategy, one_each
from pal_plugin.oracle.strategies.parts import open_counts

_THROWS, _DARTS = 16, 1024
_ANCHORS = 16
Found = dict[tuple[int, int], tuple[int, int]]  # pairs of samples by those of their components


class RandomPairs(Strategy):
    """Pairs drawn uniformly from those that are open: the passive strategy of PAL, with closure.

    Args:
        seed: which ones.
        pairs: how many a question asks about, if so many are open; no two of them between the same components.

    Raises:
        OracleError: a seed or number of pairs that is none.
    """

    def __init__(self, seed: int = 0, *, pairs: int = 1) -> None:
        super().__init__(seed)
        self.pairs = check_count("pairs", pairs)

    def next(self, situation: Situation) -> Pairs | None:
        """Return the next pairs, or None when every pair is known or was asked about."""
        generator, samples = self.generator(situation), situation.samples
        found: Found = {}
        for _ in range(_THROWS):
            self._keep(situation, found, samples[generator.integers(samples.size, size=(_DARTS, 2))])
            if len(found) >= self.pairs:
                break
        else:
            self._count_and_keep(situation, found, generator)
        ends = np.array(list(found.values()), dtype=np.int64)
        return Pairs(ends[:, 0], ends[:, 1]) if ends.size else None

    def _count_and_keep(self, situation: Situation, found: Found, generator: np.random.Generator) -> None:
        """Draw where so few pairs are open that throwing darts does not find them: count them, a sample at a time."""
        counts = open_counts(situation)
        if not counts.any():
            return
        anchors = generator.choice(
            situation.samples, int((counts > 0).sum()), replace=False, p=counts / counts.sum(), shuffle=False
        )
        for anchor in anchors.tolist():
            if len(found) >= self.pairs:
                break
            other = generator.choice(situation.open_to(anchor))
            self._keep(situation, found, np.array([[anchor, other]]))

    def _keep(self, situation: Situation, found: Found, ends: Nodes) -> None:
        """Add those of the pairs `ends` (m, 2) that are open and between components that `found` does not have."""
        ends = ends[situation.known.relation(ends[:, 0], ends[:, 1]) == 0]
        ends = ends[~situation.asked.has(ends[:, 0], ends[:, 1])]
        parts = np.sort(situation.known.roots(ends.reshape(-1)).reshape(-1, 2), axis=1)
        for (i, j), (first, second) in zip(ends.tolist(), parts.tolist(), strict=True):
            if len(found) < self.pairs:
                found.setdefault((first, second), (i, j))


class RandomGrids(Strategy):
    """Grids about a random sample, of random candidates that are open to it.

    Args:
        grid: how many candidates are shown, if there are so many.
        seed: which ones.

    Raises:
        OracleError: a seed or grid that is none.
    """

    def __init__(self, grid: int = 10, seed: int = 0) -> None:
        super().__init__(seed)
        self.grid = check_count("grid", grid)

    def next(self, situation: Situation) -> Grid | None:
        """Return the next grid, or None when every pair is known or was asked about."""
        generator, samples = self.generator(situation), situation.samples
        for anchor in samples[generator.integers(samples.size, size=_ANCHORS)].tolist():
            candidates = situation.open_to(anchor)
            if candidates.size:
                break
        else:
            counts = open_counts(situation)
            if not counts.any():
                return None
            anchor = int(generator.choice(samples, p=counts / counts.sum()))
            candidates = situation.open_to(anchor)
        return Grid(anchor, one_each(situation, generator.permutation(candidates))[: self.grid])
