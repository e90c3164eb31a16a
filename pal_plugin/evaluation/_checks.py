"""What every measure of a representation asks of its features and labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import DataError, FeatureError

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


def checked_pair(x: NDArray[Any], y: NDArray[Any], *, name: str) -> tuple[Floats, Labels]:
    """Return features `x` (N, D) and labels `y` (N,), or say which of them cannot be evaluated.

    Args:
        x: features, one row a sample.
        y: class of each row, 0 or more.
        name: `"train"` or `"test"`, for the message.

    Raises:
        FeatureError: wrong shape, no rows, or a value that is not finite (the row is named).
        DataError: labels of another length or type, or unlabelled samples (-1) among them.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or not np.issubdtype(x.dtype, np.floating) or x.size == 0:
        raise FeatureError(
            f"The {name} features have shape {x.shape} and type {x.dtype}", "Pass a non-empty float array (N, D)"
        )
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise FeatureError(
            f"Row {bad[0]} of the {name} features is not finite ({len(bad)} such rows)",
            "Encode again from a checkpoint whose training did not diverge",
        )
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise DataError(
            f"The {name} labels have shape {y.shape} and type {y.dtype} beside {len(x)} rows of features",
            "Pass one integer label a row",
        )
    if y.min() < 0:
        raise DataError(
            f"{int((y < 0).sum())} of the {len(y)} {name} samples have no label",
            "Evaluate on the labelled samples only",
        )
    return x, y.astype(np.int64)


def same_width(train_x: Floats, test_x: Floats) -> None:
    """Refuse features of two different networks.

    Raises:
        FeatureError: the widths differ.
    """
    if train_x.shape[1] != test_x.shape[1]:
        raise FeatureError(
            f"The train features have {train_x.shape[1]} columns, the test features {test_x.shape[1]}",
            "Encode both splits with the same checkpoint",
        )


def accuracy(scores: Floats, classes: Labels, truth: Labels, top: int) -> float:
    """Return the share, in percent, of rows whose true class is among the `top` best-scored ones.

    Args:
        scores: (N, C); ties go to the class that comes first.
        classes: (C,) the class of each column.
        truth: (N,) the true classes; one that is not in `classes` can only be missed.
        top: how many guesses a row has.
    """
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return float((classes[best] == truth[:, None]).any(axis=1).mean() * 100)
