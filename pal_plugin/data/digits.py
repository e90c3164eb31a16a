"""The 1797 handwritten digits that scikit-learn carries: 8×8, no download, for tests and `profile=debug`."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.dataset import ImageDataset

TEST_SIZE = 360
_SPLIT_SEED = 0  # fixed for good: another value would change every manifest
_LEVELS = 16  # scikit-learn's pixels run from 0 to 16


def load_digits(split: str) -> ImageDataset:
    """Return the 1437 training or 360 test digits as 8×8 RGB; the split is stratified and always the same."""
    from sklearn.datasets import load_digits as read  # slow to import, and only this data set needs it

    bunch = read()
    gray = np.rint(bunch.images * (255 / _LEVELS)).astype(np.uint8)
    everything = ImageDataset(
        name="digits",
        split="all",
        images=np.repeat(gray[..., None], 3, axis=3),
        labels=bunch.target.astype(np.int64),
        ids=tuple(f"digits/{row:04d}" for row in range(len(gray))),
        class_names=tuple(str(digit) for digit in range(10)),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    test_ids = set(everything.subset(TEST_SIZE, _SPLIT_SEED).ids)
    in_test = np.array([name in test_ids for name in everything.ids])
    rows = np.flatnonzero(in_test if split == "test" else ~in_test)
    train = gray[~in_test] / 255
    part = everything.take(rows, split)
    return dataclasses.replace(part, mean=_triple(train.mean()), std=_triple(train.std()))


def _triple(value: np.floating | NDArray[np.float64]) -> tuple[float, float, float]:
    return (float(value),) * 3
