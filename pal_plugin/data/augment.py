"""Augmentation of a batch of images with draws of their own for every image.

The distribution is that of solo-learn's pipelines (torchvision's transforms on PIL images, one image at a time). The
arithmetic, in float32, is there twice: as compiled code for images in memory (`pal_plugin.data.fused`), and batched on
tensors, of any device, in `pal_plugin.data.pixels`. Images of different sizes are cropped one by one, by PIL.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pal_plugin.data import pixels
from pal_plugin.data.draws import uniforms, view_stream
from pal_plugin.data.policy import Policy

TRIES = 10
"""How often torchvision's RandomResizedCrop tries for a crop that fits before it falls back to the centre."""
_ASPECT = (3 / 4, 4 / 3)
_SIGMA = (0.1, 2.0)  # of the Gaussian blur, in pixels: solo-learn's default


@dataclass(frozen=True)
class Draws:
    """What was drawn for each of B images; independent of the images' size and of the rest of the batch.

    Attributes:
        crop_area: (B, 10) share of the image's area, one a try.
        crop_aspect: (B, 10) width over height, one a try.
        crop_place: (B, 2) where the crop lies, from top (left) 0 to bottom (right) 1.
        flip: (B,) bool, and so are `jitter`, `gray`, `blur`, `solarize` and `equalize`: whether it happens.
        order: (B, 4) the order of brightness (0), contrast (1), saturation (2) and hue (3).
        factors: (B, 4) their factors; hue's is a shift in turns.
        sigma: (B,) of the blur, in pixels.
    """

    crop_area: NDArray[np.float64]
    crop_aspect: NDArray[np.float64]
    crop_place: NDArray[np.float64]
    flip: NDArray[np.bool_]
    jitter: NDArray[np.bool_]
    order: NDArray[np.int64]
    factors: NDArray[np.float64]
    gray: NDArray[np.bool_]
    blur: NDArray[np.bool_]
    sigma: NDArray[np.float64]
    solarize: NDArray[np.bool_]
    equalize: NDArray[np.bool_]

    def take(self, rows: NDArray[np.integer]) -> Draws:
        """Return the draws of the images `rows` of the batch."""
        return Draws(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def draw(
    policy: Policy,
    seed: int,
    epoch: int,
    index: NDArray[np.integer],
    view: int,
    copies: NDArray[np.integer] | None = None,
) -> Draws:
    """Draw the augmentation of view number `view` (from 0) of the samples `index` (B,), or of `copies` (B,) of them.

    Every operation has its own numbers: switching one on or off leaves the others' draws as they were.
    """
    u = uniforms(seed, epoch, index, view_stream(view), 17 + 2 * TRIES, copies)
    jitter = policy.color_jitter
    strength = np.array([jitter.brightness, jitter.contrast, jitter.saturation])
    low = np.maximum(0.0, 1 - strength)
    tries = u[:, 17:].reshape(-1, TRIES, 2)
    return Draws(
        crop_area=_between(policy.rrc.crop_min_scale, policy.rrc.crop_max_scale, tries[..., 0]),
        crop_aspect=np.exp(_between(math.log(_ASPECT[0]), math.log(_ASPECT[1]), tries[..., 1])),
        crop_place=u[:, 0:2],
        flip=u[:, 2] < policy.horizontal_flip.prob,
        jitter=u[:, 3] < jitter.prob,
        order=np.argsort(u[:, 4:8], axis=1),
        factors=np.concatenate([_between(low, 1 + strength, u[:, 8:11]), jitter.hue * (2 * u[:, 11:12] - 1)], axis=1),
        gray=u[:, 12] < policy.grayscale.prob,
        blur=u[:, 13] < policy.gaussian_blur.prob,
        sigma=_between(*_SIGMA, u[:, 14]),
        solarize=u[:, 15] < policy.solarization.prob,
        equalize=u[:, 16] < policy.equalization.prob,
    )


def crop_boxes(draws: Draws, height: int | NDArray[np.integer], width: int | NDArray[np.integer]) -> NDArray[np.int64]:
    """Return (B, 4) crops as top, left, height, width in pixels: torchvision's `RandomResizedCrop.get_params`.

    Args:
        draws: of these B images.
        height: of every image, or (B,) of each.
        width: likewise.
    """
    heights, widths = np.asarray(height), np.asarray(width)
    area = draws.crop_area * (heights * widths)[..., None]
    w = np.rint(np.sqrt(area * draws.crop_aspect)).astype(np.int64)
    h = np.rint(np.sqrt(area / draws.crop_aspect)).astype(np.int64)
    fits = (w > 0) & (w <= widths[..., None]) & (h > 0) & (h <= heights[..., None])
    first = np.arange(len(fits)), np.argmax(fits, axis=1)
    w, h = w[first], h[first]
    top = np.floor(draws.crop_place[:, 0] * (heights - h + 1)).astype(np.int64)
    left = np.floor(draws.crop_place[:, 1] * (widths - w + 1)).astype(np.int64)
    boxes = np.stack([top, left, h, w], axis=1)
    for row in np.flatnonzero(~fits[first]):
        boxes[row] = _centre_box(int(np.broadcast_to(heights, len(h))[row]), int(np.broadcast_to(widths, len(w))[row]))
    return boxes


def apply(
    images: NDArray[np.uint8] | Tensor | Sequence[NDArray[np.uint8]],
    draws: Draws,
    policy: Policy,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    rows: NDArray[np.integer] | None = None,
) -> Tensor:
    """Augment and normalise a batch.

    Without a random crop, the images of an array are resized as a whole, whatever their aspect; images of different
    sizes keep theirs and lose what is outside the central square.

    Args:
        images: (N, H, W, 3) uint8, an array or a tensor on any device; or B arrays (H_i, W_i, 3).
        draws: of the B images, from `draw`.
        policy: says which operations there are and how large the output is.
        mean: of the channels, in [0, 1].
        std: likewise.
        rows: (B,) which images of the array or tensor the batch is made of; None: all, in order.

    Returns:
        (B, 3, S, S) float32 with S = `policy.crop_size`, on the images' device.
    """
    if not isinstance(images, (np.ndarray, Tensor)):
        return colour(cut(images, draws, policy), draws, mean, std)
    height, width = images.shape[1:3]
    boxes = crop_boxes(draws, height, width) if policy.rrc.enabled else _whole(len(draws.flip), height, width)
    return _augment(images, rows, boxes, draws, policy.crop_size, mean, std)


def cut(images: Sequence[NDArray[np.uint8]], draws: Draws, policy: Policy) -> NDArray[np.uint8]:
    """Do the first half of `apply` for images of any sizes: crop and resize.

    Args:
        images: B arrays (H_i, W_i, 3) uint8.
        draws: of these B images.
        policy: says whether to crop at random, and how large the output is.

    Returns:
        (B, S, S, 3) uint8 with S = `policy.crop_size`.
    """
    size = policy.crop_size
    if not policy.rrc.enabled:
        return np.stack([pixels.cut_centre(image, size) for image in images])
    heights, widths = np.array([image.shape[:2] for image in images]).T
    boxes = crop_boxes(draws, heights, widths)
    return np.stack([pixels.cut(image, box, size) for image, box in zip(images, boxes, strict=True)])


def colour(
    crops: NDArray[np.uint8], draws: Draws, mean: tuple[float, float, float], std: tuple[float, float, float]
) -> Tensor:
    """Do the second half of `apply`: flip, change the colours, normalise.

    Args:
        crops: (B, S, S, 3) uint8, from `cut`.
        draws: of these B images.
        mean: of the channels, in [0, 1].
        std: likewise.

    Returns:
        (B, 3, S, S) float32.
    """
    size = crops.shape[1]
    return _augment(crops, None, _whole(len(crops), size, size), draws, size, mean, std)


def _augment(
    images: NDArray[np.uint8] | Tensor,
    rows: NDArray[np.integer] | None,
    boxes: NDArray[np.int64],
    draws: Draws,
    size: int,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> Tensor:
    rows = np.arange(len(images)) if rows is None else rows.astype(np.int64, copy=False)  # what is compiled
    if isinstance(images, np.ndarray):
        fused = _fused()
        if fused is not None:
            return fused.augment(images, rows, boxes, draws, size, mean, std)  # type: ignore[no-any-return]
        x = torch.from_numpy(np.ascontiguousarray(images[rows]))
    else:
        x = images[torch.from_numpy(rows).to(images.device)]
    # A flip commutes with every operation between the crop and the end, so it is done where it is cheapest.
    flip = torch.from_numpy(draws.flip).to(x.device)
    if x.shape[1:3] == (size, size) and (boxes[:, 2:] == size).all():
        x = pixels.to_float(x, flip)
    else:
        x = pixels.resized_crop(x, torch.from_numpy(boxes).to(x.device), size, flip)
    return _colour(x, draws, mean, std)


def prepare() -> None:
    """Compile, or load, what `apply` uses, so that processes that are forked from this one have it."""
    _fused()


@functools.cache
def _fused() -> ModuleType | None:
    """Return the compiled code, or None, said once, where numba does not go with what else is installed."""
    try:
        from pal_plugin.data import fused  # numba takes a second to import, and most commands augment nothing
    except ImportError as error:
        warnings.warn(
            f"Images are augmented several times more slowly than they could be, since numba cannot be imported: "
            f"{error}. Run: pip install --upgrade numba",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return fused


def _colour(x: Tensor, draws: Draws, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    _jitter_(x, draws)
    _where_(x, draws.gray, pixels.grayscale)
    _where_(x, draws.blur, pixels.gaussian_blur, draws.sigma)
    _where_(x, draws.solarize, pixels.solarize)
    _where_(x, draws.equalize, pixels.equalize)
    return pixels.normalise_(x, mean, std)


def _jitter_(x: Tensor, draws: Draws) -> None:
    """Change the colours in place, image by image in the order drawn."""
    operations = (pixels.brightness, pixels.contrast, pixels.saturation, pixels.hue)
    for place in range(len(operations)):
        for number, operation in enumerate(operations):
            _where_(x, draws.jitter & (draws.order[:, place] == number), operation, draws.factors[:, number])


def _where_(
    x: Tensor, chosen: NDArray[np.bool_], operation: Callable[..., Tensor], *parameters: NDArray[np.float64]
) -> None:
    """Replace the chosen images by `operation(images, *their parameters)`, in place."""
    rows = np.flatnonzero(chosen)
    if len(rows):
        theirs = [torch.from_numpy(values[rows].astype(np.float32)).to(x.device) for values in parameters]
        index = torch.from_numpy(rows).to(x.device)
        x[index] = operation(x[index], *theirs)


def _between(
    low: float | NDArray[np.float64], high: float | NDArray[np.float64], u: NDArray[np.float64]
) -> NDArray[np.float64]:
    return low + (high - low) * u


def _whole(count: int, height: int, width: int) -> NDArray[np.int64]:
    return np.tile(np.array([0, 0, height, width]), (count, 1))


def _centre_box(height: int, width: int) -> tuple[int, int, int, int]:
    """Largest centred crop whose aspect is in range: torchvision's fallback."""
    ratio = width / height
    w, h = width, height
    if ratio < _ASPECT[0]:
        h = round(width / _ASPECT[0])
    elif ratio > _ASPECT[1]:
        w = round(height * _ASPECT[1])
    return (height - h) // 2, (width - w) // 2, h, w
