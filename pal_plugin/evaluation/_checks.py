"""What every measure of a representation asks of its features and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import DataError, FeatureError

Floats = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """How well each of C classes fits each of M samples.

    Attributes:
        values: (M, C), larger is better; ties go to the class that comes first.
        classes: (C,) the class of each column.
    """

    values: Floats
    classes: Labels

    def hits(self, truth: Labels, top: int) -> NDArray[np.bool_]:
        """Return (M,): whether the true class is among the `top` best; one that has no column can only be missed."""
        best = np.argsort(-self.values, axis=1, kind="stable")[:, :top]
        found: NDArray[np.bool_] = (self.classes[best] == truth[:, None]).any(axis=1)
        return found

    def accuracy(self, truth: Labels, top: int) -> float:
        """Return the share of `hits`, in percent."""
        return float(self.hits(truth, top).mean() * 100)


def checked_rows(x: NDArray[Any], *, name: str) -> Floats:
    """Return features `x` (N, D), or say why they cannot be evaluated.

    Args:
        x: features, one row a sample.
        name: `"train"` or `"test"`, for the message.

    Raises:
        FeatureError: wrong shape, no rows, or a value that is not finite (the row is named).
    """
    x = np.asarray(x)
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
    return x


def checked_pair(x: NDArray[Any], y: NDArray[Any], *, name: str) -> tuple[Floats, Labels]:
    """Return features `x` (N, D) and labels `y` (N,), or say which of them cannot be evaluated.

    Args:
        x: features, one row a sample.
        y: class of each row, 0 or more.
        name: `"train"` or `"test"`, for the message.

    Raises:
        FeatureError: see `checked_rows`.
        DataError: labels of another length or type, or unlabelled samples (-1) among them.
    """
    x, y = checked_rows(x, name=name), np.asarray(y)
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
