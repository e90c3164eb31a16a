"""Taking turns between classes."""

from __future__ import annotations

import heapq

import numpy as np

from pal_plugin.errors import SelectionError
from pal_plugin.graph.space import Longs


def turns(held: Longs, available: Longs, budget: int) -> Longs:
    """Return (budget,) which class has each turn: the one that holds the fewest and has some left, ties the lowest.

    Args:
        held: (C,) how many samples of each class are labelled.
        available: (C,) how many can be picked.
        budget: turns.

    Raises:
        SelectionError: fewer turns than classes.
    """
    classes = int(np.count_nonzero(available))
    if 0 < budget < classes:
        raise SelectionError(
            f"A budget of {budget} is less than the {classes} classes", "Choose a larger one, or balanced=False"
        )
    left = available.copy()
    heap = [(int(count), group) for group, count in enumerate(held) if left[group]]
    heapq.heapify(heap)
    order = np.empty(budget, dtype=np.int64)
    for turn in range(budget):
        count, group = heapq.heappop(heap)
        order[turn] = group
        left[group] -= 1
        if left[group]:
            heapq.heappush(heap, (count + 1, group))
    return order
