"""Rows that are the same as an earlier one."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import AnyArray
from pal_plugin.graph.space import Longs

_COLUMNS = 16  # that tell most rows apart


def copies(features: AnyArray, rows: Longs) -> npt.NDArray[np.bool_]:
    """Return which of `rows` are equal, number by number, to one named before.

    A few columns tell most rows apart; whole rows are compared among those that are left.

    Args:
        features: (N, D).
        rows: (n,) row numbers, in order.
    """
    width = features.shape[1]
    columns = np.unique(np.linspace(0, width - 1, min(_COLUMNS, width)).astype(np.int64))
    key = np.zeros(len(rows), dtype=np.uint64)
    for column in columns:
        # A float's bits, with one zero only; the multiplication mixes them and may wrap around.
        bits = (features[rows, column].astype(np.float64) + 0.0).view(np.uint64)
        key = (key ^ bits) * np.uint64(0x9E3779B97F4A7C15)
        key ^= key >> np.uint64(29)
    _, group, counts = np.unique(key, return_inverse=True, return_counts=True)
    found = np.zeros(len(rows), dtype=bool)
    seen: set[bytes] = set()
    for place in np.flatnonzero(counts[group] > 1):
        # 128 bits stand for a row: rows themselves would be a second copy of data of which every row is there twice.
        row = hashlib.blake2b((features[rows[place]] + 0).tobytes(), digest_size=16).digest()
        found[place] = row in seen
        seen.add(row)
    return found
