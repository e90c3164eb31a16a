"""Times that can be compared: interleaved, so that a busy spell of the machine meets every contestant alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping


def medians(
    contestants: Mapping[str, Callable[[], object]], *, seconds: float, least: int = 5, most: int = 200
) -> dict[str, float]:
    """Call every contestant once a round, and return each one's median time in seconds.

    Args:
        contestants: what to time, by name; each is called once beforehand to warm up.
        seconds: for how long, all together; rounds are whole.
        least: the fewest rounds, however long they take.
        most: the most rounds.
    """
    for call in contestants.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    order, start = random.Random(0), time.perf_counter()
    for done in range(most):
        if done >= least and time.perf_counter() - start > seconds:
            break
        # In a new order each round: what ran just before, and the memory that it gave back, is part of a time.
        for name, call in order.sample(list(contestants.items()), len(contestants)):
            before = time.perf_counter()
            call()
            taken[name].append(time.perf_counter() - before)
    return {name: statistics.median(times) for name, times in taken.items()}
