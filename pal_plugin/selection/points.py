"""Features as points: float64 rows that decide, and float32 rows, centred and scaled, that matrix products take."""

from __future__ import annotations

import functools
import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pal_plugin.arrays import AnyArray, first_bad_row
from pal_plugin.errors import FeatureError
from pal_plugin.graph.space import Doubles, Longs, as_array, check_metric

Rows: TypeAlias = Longs | slice

ROUNDING = 2.0**-24  # the relative error of one float32 operation
WIDEST = 1 << 17  # the bounds of bounds.py hold up to here
_SAMPLE = 4096  # rows that the centre is the mean of; any centre is right, a good one makes the bounds tight
_STEP = 1024  # rows at a time: with 512 coordinates, what a core's cache holds
_MODERATE = 30  # largest norms between 2^-30 and 2^30 are left as they are
_LARGEST = 2.0**500
_EXACT_IN_FLOAT32 = (np.float32, np.float16, np.int8, np.uint8, np.int16, np.uint16, np.bool_)


def checked_matrix(features: npt.ArrayLike) -> AnyArray:
    """Return the features as an (N, D) array; one that is an array or memory map already is not copied.

    Raises:
        FeatureError: not two-dimensional, not of real numbers, without rows or columns, or wider than 131,072.
    """
    array = as_array(features)
    if array.ndim != 2 or array.dtype.kind not in "fiub" or 0 in array.shape:
        raise FeatureError(
            f"Features must be an (N, D) array of real numbers, found {array.dtype} of shape {array.shape}",
            "Pass one row of features for each sample",
        )
    if array.shape[1] > WIDEST:
        raise FeatureError(
            f"Features of {array.shape[1]} coordinates are wider than {WIDEST}", "Project them (pal embed --prior pca)"
        )
    return array


class Points:
    """N points whose Euclidean distances are those of a metric.

    Args:
        features: (N, D) real numbers of any type; float32 and the types that it holds exactly are taken as they are,
            others through float64. Rows are read by tiles, so a memory map may be larger than memory.
        metric: `"euclidean"`, or `"cosine"`: the points are the rows' directions, in float64. A row of zeros has none;
            all such rows share one more direction, at right angles to every other, as in `knn_graph`.
        device: where the float32 rows go.
        exponent: all coordinates are multiplied by 2 to this power, which changes no rounding; None: 0, unless norms
            are so large or small that their squares leave float32.

    Raises:
        FeatureError: a row holds a NaN or infinity.
        ConfigError: unknown metric.
    """

    def __init__(self, features: AnyArray, metric: str, device: torch.device, exponent: int | None = None) -> None:
        check_metric(metric)
        self.features, self.metric, self.device = features, metric, device
        self._float32 = features.dtype.type in _EXACT_IN_FLOAT32
        self.exponent = 0
        self._inverse: npt.NDArray[np.float64] | None = None
        self._zero: npt.NDArray[np.bool_] | None = None
        if metric == "cosine":
            self._find_directions()
        sample = self.exact(np.arange(0, len(self), max(1, len(self) // _SAMPLE)))
        if not np.isfinite(sample).all():
            self._refuse()
        self._mean = sample.mean(axis=0)
        self._fit(0 if exponent is None else exponent)
        if exponent is None and not 2.0**-_MODERATE <= self.norms.max() <= 2.0**_MODERATE:
            self._fit(self._moderating_exponent())

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        """The coordinates of a point."""
        return int(self.features.shape[1]) + (self._zero is not None)

    @property
    def representation_error(self) -> float:
        """How far a float32 row may lie from its point, beyond the rounding of its own coordinates."""
        return 0.0 if self.metric == "euclidean" else 4 * ROUNDING

    def exact(self, rows: Rows) -> Doubles:
        """Return the points of some rows, (m, D) float64, scaled and not centred."""
        part = self.features[rows].astype(np.float64)
        if self.metric == "cosine":
            length = np.sqrt(np.square(part).sum(axis=1, keepdims=True))
            part /= np.where(length == 0, 1, length)
            if self._zero is not None:
                part = np.concatenate([part, self._zero[rows][:, None].astype(np.float64)], axis=1)
        return part if self.exponent == 0 else np.ldexp(part, self.exponent)

    def centred(self, exact: Doubles) -> Tensor:
        """Return points, as `exact` gives them, as the float32 rows that products take."""
        with np.errstate(over="ignore"):  # see `_fit`
            rows = (exact - self._centre).astype(np.float32)
        return torch.from_numpy(rows).to(self.device)

    def products(self, rows: Rows) -> Tensor:
        """Return the points of some rows centred, scaled and rounded to float32, (m, D) on the device."""
        if not self._float32 or self.exponent or self._zero is not None:
            return self.centred(self.exact(rows))
        part = self._take(rows)
        if self._inverse is not None:
            part *= torch.from_numpy(self._inverse[rows].astype(np.float32)).to(self.device)[:, None]
        return part.sub_(self._centre32)

    @functools.cached_property
    def _resident(self) -> Tensor | None:
        """The float32 features as a tensor where they lie (no copy), or on a GPU with room for them."""
        # torch's tensors have steps of whole numbers, forwards
        steps = all(step >= 0 and step % self.features.itemsize == 0 for step in self.features.strides)
        if self.features.dtype != np.float32 or not steps:
            return None
        if self.device.type == "cuda" and self.features.nbytes > torch.cuda.mem_get_info(self.device)[0] // 2:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a read-only memory map; nothing here writes to it
            return torch.from_numpy(self.features).to(self.device)

    def _take(self, rows: Rows) -> Tensor:
        """Return a float32 copy of some rows of the features."""
        if self._resident is None:
            return torch.from_numpy(np.array(self.features[rows], dtype=np.float32)).to(self.device)
        if isinstance(rows, slice):
            return self._resident[rows].clone()
        return self._resident.index_select(0, torch.from_numpy(rows).to(self.device))

    def _find_directions(self) -> None:
        """Find 1 / |x| for every row, and the rows of zeros."""
        inverse = np.empty(len(self))
        for start in range(0, len(self), _STEP):
            rows = slice(start, start + _STEP)
            inverse[rows] = np.sqrt(np.square(self.features[rows].astype(np.float64)).sum(axis=1))
        if not np.isfinite(inverse).all():
            self._refuse()
        zero = inverse == 0
        inverse[zero] = 1
        self._inverse = np.reciprocal(inverse)
        if zero.any():
            warnings.warn(
                f"Row {int(np.argmax(zero))} of the features is zero and has no direction: it counts as being at right "
                "angles to all rows but those of zeros",
                stacklevel=2,
            )
            self._zero = zero

    def _fit(self, exponent: int) -> None:
        """Set the scale, the centre, and the (N,) norms of the float32 rows."""
        self.exponent = exponent
        with np.errstate(over="ignore"):  # then the scale is chosen again
            centre = np.ldexp(self._mean, exponent).astype(np.float32)
        self._centre32 = torch.from_numpy(centre).to(self.device)
        self._centre = self._centre32.cpu().numpy().astype(np.float64)
        self.norms = np.empty(len(self), dtype=np.float32)
        for start in range(0, len(self), _STEP):
            rows = slice(start, start + _STEP)
            self.norms[rows] = torch.linalg.vector_norm(self.products(rows), dim=1).cpu().numpy()
        if not np.isfinite(self.norms).all():
            self._refuse()  # otherwise the squares are too large for float32, and the scale is chosen again

    def _moderating_exponent(self) -> int:
        """Return the power of two that brings the largest norm to about 1."""
        largest = 0.0
        for start in range(0, len(self), _STEP):
            largest = max(largest, float(np.abs(self.exact(slice(start, start + _STEP)) - self._mean).max()))
        if largest > _LARGEST:
            raise FeatureError(f"The features go up to {largest:g}, whose squares leave float64", "Scale them down")
        return -int(np.ceil(np.log2(largest * np.sqrt(self.width)))) if largest > 0 else 0

    def _refuse(self) -> None:
        """Raise if a row holds a NaN or infinity."""
        bad = first_bad_row(self.features)
        if bad is not None:
            raise FeatureError(
                f"Row {bad} of the features holds a NaN or infinity", "Embed that sample again (pal embed --help)"
            )


def squared_distances(left: Doubles, right: Doubles) -> Doubles:
    """Return squared distances of rows, summed in float64 over squared differences: what decides every pick."""
    difference = left - right
    squared: Any = np.square(difference, out=difference).sum(axis=-1)
    return np.asarray(squared)
