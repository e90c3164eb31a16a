"""Samples at random: what every other selector has to beat."""

from __future__ import annotations

import numpy as np

from pal_plugin.graph.space import Longs
from pal_plugin.selection.base import Selector, Task


class RandomSelection(Selector):
    """Pick uniformly at random, without replacement.

    Args:
        seed: samples are ordered by a random permutation of all N, so other candidates leave the order as it is.
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def _order(self, task: Task) -> tuple[Longs, None]:
        order = np.random.default_rng(self.seed).permutation(len(task.features))
        return order[np.isin(order, task.candidates)][: task.budget].astype(np.int64), None
