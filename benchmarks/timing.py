"""Times that can be compared: interleaved, so that a busy spell of the machine meets every contestant alike."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The seconds of several calls of one contestant."""

    least: float
    median: float
    most: float

    def __str__(self) -> str:
        return f"{self.median:.4g} s ({self.least:.4g} to {self.most:.4g})"


def medians(
    contestants: Mapping[str, Callable[[], object]], *, seconds: float, least: int = 5, most: int = 200
) -> dict[str, float]:
    """Return each contestant's median time in seconds; see `spreads`."""
    return {name: found.median for name, found in spreads(contestants, seconds=seconds, least=least, most=most).items()}


def spreads(
    contestants: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    least: int = 5,
    most: int = 200,
    warm_up: bool = True,
) -> dict[str, Spread]:
    """Call every contestant once a round, and return the spread of each one's times.

    Args:
        contestants: what to time, by name.
        seconds: for how long, all together; rounds are whole.
        least: the fewest rounds, however long they take.
        most: the most rounds.
        warm_up: call each once beforehand, untimed.
    """
    for call in contestants.values() if warm_up else ():
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
    return {name: Spread(min(times), statistics.median(times), max(times)) for name, times in taken.items()}
