"""Which rows are copies, against Python's own comparison, and what finding them takes."""

from __future__ import annotations

import tracemalloc

import numpy as np

from pal_plugin.selection.copies import copies


def test_copies_by_brute_force() -> None:
    X = np.random.default_rng(0).integers(0, 2, size=(300, 20)).astype(np.float32)
    X[:, 3:] = 0
    X[5] *= -1  # −0.0 is 0.0
    rows = np.random.default_rng(1).permutation(300)[:200]
    expected = [any((X[row] == X[other]).all() for other in rows[:place]) for place, row in enumerate(rows)]
    assert copies(X, rows).tolist() == expected


def test_memory_does_not_grow_with_the_width() -> None:
    once = np.random.default_rng(0).normal(size=(4000, 2048)).astype(np.float32)
    X = np.concatenate([once, once])
    tracemalloc.start()
    found = copies(X, np.arange(8000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.sum() == 4000
    assert most < X.nbytes / 16
