"""The greedy that every pick is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

Array = npt.NDArray


def float64_greedy(X: Array, budget: int, first: list[int]) -> tuple[Array, Array]:
    """Return (budget,) picks after `first` and the covering radius after each; ties go to the lowest index."""
    rows = X.astype(np.float64)
    nearest = np.full(len(rows), np.inf)
    for index in first:
        nearest = np.minimum(nearest, np.square(rows - rows[index]).sum(axis=1))
    taken = np.zeros(len(rows), dtype=bool)
    taken[first] = True
    picks, radii = [], []
    for _ in range(budget):
        pick = int(np.where(taken, -1, nearest).argmax())
        picks.append(pick)
        taken[pick] = True
        nearest = np.minimum(nearest, np.square(rows - rows[pick]).sum(axis=1))
        radii.append(np.sqrt(np.where(taken, 0, nearest).max()))
    return np.array(picks, dtype=np.int64), np.array(radii)


@pytest.fixture
def greedy() -> Callable[[Array, int, list[int]], tuple[Array, Array]]:
    return float64_greedy
