"""Arithmetic on the rows of a graph: ranges of edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError


def weighted(
    weights: npt.NDArray[np.float32],
    first: npt.NDArray[np.int64],
    last: npt.NDArray[np.int64],
    u: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """Return, for each range of edges [first, last], the edge at the share u of the range's total weight."""
    owner, edges = spread(last + 1 - first, first)
    values = weights[edges].astype(np.float64)
    shares = np.cumsum(values / np.bincount(owner, values, minlength=first.size)[owner])  # each range adds one
    place = np.searchsorted(shares, np.arange(first.size) + u, side="right")
    begin = np.cumsum(last + 1 - first) - (last + 1 - first)
    return np.asarray(np.clip(first + place - begin, first, last))  # rounding may not lead into another range


def integers(name: str, values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return a vector of integers as int64; anything else is refused by its name.

    Raises:
        GraphError: not a vector, or not of integers.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise GraphError(
            f"{name} must be a vector of integers, found {array.dtype} of shape {array.shape}", "Correct it"
        )
    return array.astype(np.int64)


def spread(
    counts: npt.NDArray[np.int64], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return, for ranges of `counts` numbers from `starts` on, (the range that each number is in, the numbers)."""
    owner = np.repeat(np.arange(counts.size), counts)
    offset = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, starts[owner] + offset
