"""Core-Set: k-centre greedy in rounds, on the features of a network trained on what is labelled so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.graph.space import Longs
from pal_plugin.selection.base import Selector, Task
from pal_plugin.selection.kcenter import KCenterGreedy
from pal_plugin.selection.points import checked_matrix

Refit: TypeAlias = Callable[[Longs], npt.ArrayLike]
"""(labelled so far) → (N, D) features of all samples, for example of a network trained on those."""


class CoreSet(Selector):
    """Pick in rounds, each by k-centre greedy on new features (Sener & Savarese 2018, greedy variant).

    The picks of a budget are a prefix of those of a larger one as long as `refit` is deterministic. Radii of different
    rounds are distances in different spaces, so there are none.

    Args:
        refit: called before every round with the labelled and picked samples; None keeps the features of `select`.
        batch: picks of a round; or the numbers of picks, ascending, at which rounds end.
        metric: see `KCenterGreedy`.
        start: of the first round, where nothing is labelled.
        seed: of a random start.
        device: see `KCenterGreedy`.
    """

    def __init__(
        self,
        *,
        refit: Refit | None = None,
        batch: int | Sequence[int] = 1000,
        metric: str = "euclidean",
        start: str | int = "random",
        seed: int = 0,
        device: str = "auto",
    ) -> None:
        self.refit = refit
        self.batch = batch
        self.metric = metric
        self.start = start
        self.seed = seed
        self.device = device

    def _order(self, task: Task) -> tuple[Longs, None]:
        ends = self._ends(task.budget)
        greedy = KCenterGreedy(metric=self.metric, start=self.start, seed=self.seed, device=self.device)
        picks = np.empty(0, dtype=np.int64)
        features = task.features
        for end in ends:
            known = np.concatenate([task.labelled, picks])
            if self.refit is not None and len(known):
                features = checked_matrix(self.refit(known))
                if len(features) != len(task.features):
                    raise ConfigError(
                        f"refit returned {len(features)} rows for {len(task.features)} samples", "Embed all samples"
                    )
            found = greedy.select(features, end - len(picks), labelled=known, candidates=task.candidates)
            picks = np.concatenate([picks, found.indices])
        return picks, None

    def _ends(self, budget: int) -> list[int]:
        """Return after how many picks each round ends, the last one at the budget."""
        if isinstance(self.batch, (int, np.integer)):
            steps = [int(self.batch)] if self.batch < 1 else list(range(int(self.batch), budget, int(self.batch)))
        else:
            steps = [int(end) for end in self.batch]
        if any(end <= before for before, end in zip([0, *steps], steps, strict=False)):
            raise ConfigError(f"batch={self.batch} makes no rounds", "Choose 1 or more, or ascending numbers of picks")
        return [end for end in steps if end < budget] + ([budget] if budget else [])
