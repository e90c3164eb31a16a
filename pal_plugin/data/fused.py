"""The augmentation of a batch on the CPU by compiled code, from the pool of images to the batch in one pass.

A batch is made by the thread that asks for it. Compiled code does not hold the interpreter's lock, so several batches
can be made side by side (`pal_plugin.data.ahead`), and the instructions are the same in any thread or process. Numba's
parallel loops would not do: one of its thread pools ends the process when two threads use it at a time, another when a
process that used it is forked, as data workers are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch
from numba import types
from numpy.typing import NDArray
from torch import Tensor

from pal_plugin.data import kernel
from pal_plugin.errors import DataError

if TYPE_CHECKING:
    from pal_plugin.data.augment import Draws

_FLAGS = types.boolean[::1]
_FLOATS = types.float32[::1]
# One signature, so that there is one thing to compile, and that before the first call.
_SIGNATURE = types.void(
    types.Array(types.uint8, 4, "C", readonly=True),
    types.int64[::1],  # rows
    types.int64[:, ::1],  # boxes
    _FLAGS,  # flip
    _FLAGS,  # jitter
    types.int64[:, ::1],  # order
    types.float32[:, ::1],  # factors
    _FLAGS,  # gray
    _FLAGS,  # blur
    types.float64[::1],  # sigma
    _FLAGS,  # solarize
    _FLAGS,  # equalize
    _FLOATS,  # mean
    _FLOATS,  # std
    types.float32[:, :, :, ::1],  # out
)


def augment(
    pool: NDArray[np.uint8],
    rows: NDArray[np.int64],
    boxes: NDArray[np.int64],
    draws: Draws,
    size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Tensor:
    """Crop, resize, flip, change the colours of, and normalise the images `rows` of `pool`.

    Args:
        pool: (N, H, W, 3) uint8.
        rows: (B,) the images of the batch.
        boxes: (B, 4) top, left, height, width of what is cut out, in pixels; resized unless it is of the output's size.
        draws: of these B images; its crops are not looked at.
        size: S, side of the output.
        mean: of the channels, in [0, 1].
        std: likewise.

    Returns:
        (B, 3, S, S) float32; as `augment.apply` on tensors but for rounding.

    Raises:
        DataError: there is no such row, a box is empty or not within the image, a blur is larger than
            `kernel.MOST_SIGMA`, or there is not one box and one draw of each kind for each row.
    """
    _check(pool, rows, boxes, draws)
    if not pool.flags.c_contiguous:  # a copy of the batch, not of the pool
        pool, rows = np.ascontiguousarray(pool[rows]), np.arange(len(rows))
    pool = pool.view()
    pool.flags.writeable = False  # as those that are mapped from a file are: it is part of the type
    out = torch.empty(len(rows), 3, size, size, dtype=torch.float32)  # whatever the default is
    _kernel(
        pool,
        rows,
        boxes,
        draws.flip,
        draws.jitter,
        draws.order,
        draws.factors.astype(np.float32),
        draws.gray,
        draws.blur,
        draws.sigma,
        draws.solarize,
        draws.equalize,
        np.array(mean, np.float32),
        np.array(std, np.float32),
        out.numpy(),
    )
    return out


def _check(pool: NDArray[np.uint8], rows: NDArray[np.int64], boxes: NDArray[np.int64], draws: Draws) -> None:
    """Refuse what would make compiled code read, or write, outside its arrays."""
    if not len(rows) == len(boxes) == len(draws.flip):
        raise DataError(
            f"There are {len(rows)} images, {len(boxes)} boxes and {len(draws.flip)} draws",
            "Pass the draws of these images",
        )
    if not len(rows):
        return
    if not 0 <= rows.min() <= rows.max() < len(pool):
        raise DataError(
            f"Rows {rows.min()} to {rows.max()} were asked for, but there are {len(pool)} images",
            "Use the graph and the sampler of this data set",
        )
    starts, sides = boxes[:, :2], boxes[:, 2:]
    if starts.min() < 0 or sides.min() < 1 or (starts + sides > pool.shape[1:3]).any():
        raise DataError(
            f"Of images of {pool.shape[1]} × {pool.shape[2]} pixels, a box is not within the image",
            "Use `crop_boxes` with the size of the images",
        )
    if draws.sigma.max() > kernel.MOST_SIGMA:
        raise DataError(
            f"A blur of {draws.sigma.max():g} pixels was drawn; the compiled one is exact up to {kernel.MOST_SIGMA}",
            "Pass the images as a tensor",
        )


def _compiled() -> Callable[..., None]:
    """Return the compiled kernel: from numba's cache on disk, or compiled now, in some seconds."""
    options: dict[str, Any] = {"nogil": True, "fastmath": kernel.MATH, "error_model": "numpy"}
    try:
        return numba.njit(_SIGNATURE, cache=True, **options)(kernel.augment)  # type: ignore[no-any-return]
    except (RuntimeError, OSError) as error:
        warnings.warn(
            f"The compiled augmentation cannot be kept ({error}): every process compiles it anew, which takes some "
            "seconds. Set NUMBA_CACHE_DIR to a folder that can be written to.",
            RuntimeWarning,
            stacklevel=2,
        )
        return numba.njit(_SIGNATURE, **options)(kernel.augment)  # type: ignore[no-any-return]


_kernel = _compiled()  # under the lock of the import, so that threads that come at a time compile it once
