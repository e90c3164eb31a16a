"""Features as points of a Euclidean space, read block by block: a memory map larger than memory stays on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import AnyArray, first_bad_row
from pal_plugin.errors import ConfigError, FeatureError, GraphError
from pal_plugin.registry import near_matches

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Longs: TypeAlias = npt.NDArray[np.int64]

METRICS = ("euclidean", "cosine")
HELD_BYTES = 1 << 28  # a copy of the points up to this size is kept in memory; beyond it, blocks are made as needed
BLOCK_BYTES = 1 << 25  # of points at a time, where they are not kept
PAIR_BYTES = 1 << 21  # of float64 differences at a time: within a core's cache, five times as fast as 64 MiB


def check_metric(metric: str) -> None:
    """Refuse a metric that does not exist.

    Raises:
        ConfigError: with the near matches.
    """
    if metric not in METRICS:
        raise ConfigError(
            f"There is no metric called {metric!r}", f"Choose another name: {near_matches(metric, METRICS)}"
        )


def at_least_one(name: str, value: object) -> int:
    """Return `value` as an int, from any whole number, numpy's too.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        GraphError: it is no whole number, or below 1.
    """
    if not isinstance(value, (int, np.integer)) or value < 1:
        raise GraphError(f"{name}={value!r} is no whole number of 1 or more", f"Choose {name} >= 1")
    return int(value)


def as_array(features: npt.ArrayLike) -> AnyArray:
    """Return the features as an array of whatever type and shape; one that is an array already is not copied.

    Raises:
        FeatureError: they are lists of different lengths.
    """
    try:
        return np.asarray(features)
    except ValueError as error:
        raise FeatureError(
            f"Features must be an (N, D) array of real numbers: {error}", "Pass rows of the same length"
        ) from error


def checked_features(features: npt.ArrayLike) -> Floats:
    """Return the features as C-ordered float32; a float32 array or memory map that is so already is not copied.

    Raises:
        FeatureError: they are no (N, D) array of numbers, or row i holds a NaN or infinity.
        GraphError: fewer than two rows.
    """
    array = as_array(features)
    if array.ndim != 2 or array.dtype.kind not in "fiu" or array.shape[1] == 0:
        raise FeatureError(
            f"Features must be an (N, D) array of real numbers, found {array.dtype} of shape {array.shape}",
            "Pass one row of features for each sample",
        )
    if len(array) < 2:
        raise GraphError(
            f"A neighbour graph needs two rows of features, found {len(array)}", "Embed the data set first"
        )
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is named below
        rows: Floats = np.ascontiguousarray(array, dtype=np.float32)
    bad = first_bad_row(rows)
    if bad is not None:
        raise FeatureError(
            f"Row {bad} of the features holds a NaN or infinity", "Embed that sample again (pal embed --help)"
        )
    return rows


@dataclass(frozen=True)
class Space:
    """Points whose Euclidean distances are those of a metric: the features, or for cosine their directions.

    Attributes:
        features: (N, D) finite float32.
        norms: (N,) what each row is divided by; None where the features are the points.
        zero: (N,) rows of zeros, where there are any: they share one more direction, at right angles to all others.
    """

    features: Floats
    norms: Doubles | None = None
    zero: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, features: Floats, metric: str) -> Space:
        """Return the space of a metric; directions of up to `HELD_BYTES` are computed once and kept."""
        if metric != "cosine":
            return cls(features)
        norms = np.sqrt(np.einsum("nd,nd->n", features, features, dtype=np.float64))
        zero = norms == 0
        space = cls(features, np.where(zero, 1, norms), zero if zero.any() else None)
        return cls(space.take(slice(None))) if space.held else space

    @property
    def width(self) -> int:
        """D, the coordinates of a point."""
        return int(self.features.shape[1]) + (self.zero is not None)

    @property
    def held(self) -> bool:
        """Whether a copy of all points may be kept in memory."""
        return 4 * len(self) * self.width <= HELD_BYTES

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: slice | Longs) -> Floats:
        """Return the points of some rows, (…, D) float32."""
        part = self.features[rows]
        if self.norms is None:
            return part
        units = np.empty(part.shape, dtype=np.float32)
        np.divide(part, self.norms[rows][..., None], out=units, dtype=np.float64, casting="same_kind")
        if self.zero is None:
            return units
        return np.concatenate([units, self.zero[rows][..., None].astype(np.float32)], axis=-1)

    @property
    def block_rows(self) -> int:
        """How many points make a block."""
        return max(1, min(len(self), BLOCK_BYTES // (4 * self.width)))

    def blocks(self) -> Iterator[slice]:
        """Yield ranges of rows, together all of them."""
        for start in range(0, len(self), self.block_rows):
            yield slice(start, min(start + self.block_rows, len(self)))

    def distances(self, left: Longs, right: Longs) -> Doubles:
        """Return the (P,) squared distances, in float64, of the pairs of rows (left[i], right[i])."""
        found = np.empty(left.size, dtype=np.float64)
        step = max(1, PAIR_BYTES // (8 * self.width))
        for start in range(0, left.size, step):
            part = slice(start, start + step)
            difference = self.take(right[part]).astype(np.float64)
            difference -= self.take(left[part])
            found[part] = np.square(difference, out=difference).sum(axis=-1)
        return found

    def ranked(self, rows: Longs, candidates: Longs) -> tuple[Longs, Doubles]:
        """Sort the (B, C) candidates of each row by (distance, index).

        Returns:
            The (B, C) sorted candidates, and their squared distances in float64.
        """
        pairs = np.repeat(rows, candidates.shape[1]), candidates.reshape(-1)
        distances = self.distances(*pairs).reshape(candidates.shape)
        order = np.lexsort((candidates, distances), axis=-1)
        return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)
