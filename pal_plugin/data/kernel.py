"""A batch's augmentation as compiled code: an image passes through all operations while it is in the cache.

The operations, and what they are told, are those of `pal_plugin.data.pixels`, in the order of `augment.apply`, but on
one image at a time and in place. All of it is in this file, because numba's cache on disk is renewed when the file of
the function that is called changes, not when that of another one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numba
import numpy as np
from numpy.typing import NDArray

Bytes: TypeAlias = NDArray[np.uint8]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]
Floats: TypeAlias = NDArray[Any]  # float32; only sigma is float64
Float: TypeAlias = Any  # of the same kinds

# Not "arcp": a product with 1 / 255 is not always a quotient by 255, and where only pixels are moved the result is
# that of the evaluation to the last bit. No NaN or infinity can arise.
MATH = {"reassoc", "contract", "nnan", "ninf", "nsz"}
_RED, _GREEN, _BLUE = (np.float32(share) for share in (0.299, 0.587, 0.114))  # ITU-R 601, as PIL's mode "L"
_ZERO, _ONE = np.float32(0), np.float32(1)
MOST_SIGMA = 2.4
"""The largest blur, in pixels, that the filter with five taps is exact for."""

_part: Callable[..., Any] = numba.njit(nogil=True, fastmath=MATH, error_model="numpy")


@_part
def _taps(length: int, target: int) -> int:
    """Return how many samples of a line of `length` one of `target` is made from, at most."""
    return min(length, int(np.ceil(4 * max(length / target, 1.0))))


@_part
def _resize_weights(length: int, target: int, taps: int, first: Ints, weights: Floats) -> None:
    """Fill first (target,) and weights (target, taps): target[i] = Σ weights[i, t] · source[first[i] + t]."""
    scale = length / target
    shrink = 1 / max(scale, 1.0)
    for i in range(target):
        centre = (i + 0.5) * scale
        first[i] = min(max(int(centre - 2 / shrink + 0.5), 0), length - taps)
        total = 0.0
        for t in range(taps):
            d = abs(first[i] + t + 0.5 - centre) * shrink
            near = (1.5 * d - 2.5) * d * d + 1  # the cubic kernel with a = -1/2, PIL's
            far = ((2.5 - 0.5 * d) * d - 4) * d + 2
            weight = near if d < 1 else (far if d < 2 else 0.0)
            weights[i, t] = weight
            total += weight
        for t in range(taps):
            weights[i, t] /= total


@_part
def _resize(part: Bytes, planes: Floats, first: Ints, weights: Floats, wide: Floats, line: Floats) -> None:
    """Resize part (h, w, 3) to planes (3, S, S), columns first, then rows; the others are memory to work in."""
    height, width, size = part.shape[0], part.shape[1], planes.shape[1]
    taps = _taps(width, size)
    _resize_weights(width, size, taps, first, weights)
    for y in range(height):
        for x in range(size):
            red, green, blue = _ZERO, _ZERO, _ZERO
            for t in range(taps):
                weight, source = weights[x, t], first[x] + t
                red += weight * part[y, source, 0]
                green += weight * part[y, source, 1]
                blue += weight * part[y, source, 2]
            wide[y, x], wide[y, size + x], wide[y, 2 * size + x] = red, green, blue
    taps = _taps(height, size)
    _resize_weights(height, size, taps, first, weights)
    for y in range(size):
        for x in range(3 * size):
            line[x] = _ZERO
        for t in range(taps):
            weight, source = weights[y, t], first[y] + t
            for x in range(3 * size):
                line[x] += weight * wide[source, x]
        for c in range(3):
            for x in range(size):
                planes[c, y, x] = min(max(np.rint(line[c * size + x]), _ZERO), np.float32(255))


@_part
def _crop(
    image: Bytes, box: Ints, flip: bool, planes: Floats, first: Ints, weights: Floats, wide: Floats, line: Floats
) -> None:
    """Fill planes (3, S, S) with what is in the box of image (H, W, 3), in [0, 1]."""
    top, left, height, width = box
    size = planes.shape[1]
    part = image[top : top + height, left : left + width]
    if height == size and width == size:
        for c in range(3):
            for y in range(size):
                for x in range(size):
                    planes[c, y, x] = part[y, x, c]
    else:
        _resize(part, planes, first, weights, wide, line)
    for c in range(3):
        for y in range(size):
            if flip:
                for x in range(size // 2):
                    planes[c, y, x], planes[c, y, size - 1 - x] = planes[c, y, size - 1 - x], planes[c, y, x]
            for x in range(size):
                planes[c, y, x] /= np.float32(255)


@_part
def _clamp(x: Float) -> Float:
    return min(max(x, _ZERO), _ONE)


@_part
def _luma(red: Float, green: Float, blue: Float) -> Float:
    return _RED * red + _GREEN * green + _BLUE * blue


@_part
def _brightness(pixels: Floats, factor: Float) -> None:
    for c in range(3):
        for i in range(pixels.shape[1]):
            pixels[c, i] = min(pixels[c, i] * factor, _ONE)


@_part
def _contrast(pixels: Floats, factor: Float) -> None:
    total = _ZERO
    for i in range(pixels.shape[1]):
        total += _luma(pixels[0, i], pixels[1, i], pixels[2, i])
    grey = total / np.float32(pixels.shape[1]) * (_ONE - factor)
    for c in range(3):
        for i in range(pixels.shape[1]):
            pixels[c, i] = _clamp(pixels[c, i] * factor + grey)


@_part
def _saturation(pixels: Floats, factor: Float) -> None:
    for i in range(pixels.shape[1]):
        grey = _luma(pixels[0, i], pixels[1, i], pixels[2, i]) * (_ONE - factor)
        for c in range(3):
            pixels[c, i] = _clamp(pixels[c, i] * factor + grey)


@_part
def _hue(pixels: Floats, shift: Float) -> None:
    turn = np.float32(6) * shift
    for i in range(pixels.shape[1]):
        red, green, blue = pixels[0, i], pixels[1, i], pixels[2, i]
        value = max(red, max(green, blue))
        chroma = value - min(red, min(green, blue))
        per = _ONE / (chroma if chroma > _ZERO else _ONE)
        sixths = np.float32(4) + (red - green) * per
        sixths = np.float32(2) + (blue - red) * per if value == green else sixths
        sixths = (green - blue) * per if value == red else sixths
        sixths += turn
        pixels[0, i] = _channel(value, chroma, sixths + np.float32(5))
        pixels[1, i] = _channel(value, chroma, sixths + np.float32(3))
        pixels[2, i] = _channel(value, chroma, sixths + np.float32(1))


@_part
def _channel(value: Float, chroma: Float, k: Float) -> Float:
    k -= np.floor(k / np.float32(6)) * np.float32(6)
    return value - chroma * _clamp(min(k, np.float32(4) - k))


@_part
def _jitter(pixels: Floats, order: Ints, factors: Floats) -> None:
    for number in order:
        if number == 0:
            _brightness(pixels, factors[0])
        elif number == 1:
            _contrast(pixels, factors[1])
        elif number == 2:
            _saturation(pixels, factors[2])
        else:
            _hue(pixels, factors[3])


@_part
def _grayscale(pixels: Floats) -> None:
    for i in range(pixels.shape[1]):
        grey = _luma(pixels[0, i], pixels[1, i], pixels[2, i])
        for c in range(3):
            pixels[c, i] = grey


@_part
def _box_filter(lines: Floats, others: Floats, outer: Float, inner: Float, middle: Float) -> None:
    """Filter lines (S + 4, 3, S) along its first axis into others, with five weights; the ends, two, are repeated."""
    size, count = lines.shape[2], lines[4:].size
    for end in range(2):
        for c in range(3):
            for x in range(size):
                lines[end, c, x], lines[size + 2 + end, c, x] = lines[2, c, x], lines[size + 1, c, x]
    before_last, last, here, next_one, after_next = (
        lines[0:size].reshape(count),
        lines[1 : size + 1].reshape(count),
        lines[2 : size + 2].reshape(count),
        lines[3 : size + 3].reshape(count),
        lines[4 : size + 4].reshape(count),
    )
    target = others[2 : size + 2].reshape(count)
    for i in range(count):
        far, near = before_last[i] + after_next[i], last[i] + next_one[i]
        target[i] = outer * far + inner * near + middle * here[i]


@_part
def _blur(planes: Floats, sigma: Float, lines: Floats, others: Floats) -> None:
    """Blur with Gwosdek et al.'s extended box filter, as `pixels.gaussian_blur`; `MOST_SIGMA` is what five taps do."""
    variance = sigma * sigma / 3
    whole = int((np.sqrt(12 * variance + 1) - 1) / 2)
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    middle = np.float32(1 / (2 * (whole + part) + 1))
    edge = np.float32(part) * middle
    outer, inner = (_ZERO, edge) if whole == 0 else (edge, middle)
    size = planes.shape[1]
    for _ in range(2):  # rows, then columns: every time the image is turned over
        for c in range(3):
            for y in range(size):
                for x in range(size):
                    lines[2 + y, c, x] = planes[c, x, y]
        _box_filter(lines, others, outer, inner, middle)
        _box_filter(others, lines, outer, inner, middle)
        _box_filter(lines, others, outer, inner, middle)
        for c in range(3):
            for y in range(size):
                for x in range(size):
                    planes[c, y, x] = others[2 + y, c, x]


@_part
def _solarize(pixels: Floats) -> None:
    for c in range(3):
        for i in range(pixels.shape[1]):
            pixels[c, i] = min(pixels[c, i], _ONE - pixels[c, i])


@_part
def _equalize(pixels: Floats, table: Ints) -> None:
    """As PIL's `equalize`; table (256,) int64 is for the histogram."""
    for c in range(3):
        for level in range(256):
            table[level] = 0
        last = 0
        for i in range(pixels.shape[1]):
            level = int(np.rint(pixels[c, i] * np.float32(255)))
            table[level] += 1
            last = max(last, level)
        step = (pixels.shape[1] - table[last]) // 255
        if step == 0:
            continue
        before = step // 2
        for level in range(256):
            count, table[level] = table[level], min(before // step, 255)
            before += count
        for i in range(pixels.shape[1]):
            pixels[c, i] = np.float32(table[int(np.rint(pixels[c, i] * np.float32(255)))]) / np.float32(255)


def augment(
    pool: Bytes,
    rows: Ints,
    boxes: Ints,
    flip: Flags,
    jitter: Flags,
    order: Ints,
    factors: Floats,
    gray: Flags,
    blur: Flags,
    sigma: Floats,
    solarize: Flags,
    equalize: Flags,
    mean: Floats,
    std: Floats,
    out: Floats,
) -> None:
    """Fill out (B, 3, S, S); everything else is as in `fused.augment` and `Draws`."""
    size = out.shape[2]
    most = max(_taps(pool.shape[1], size), _taps(pool.shape[2], size))
    first, weights = np.empty(size, np.int64), np.empty((size, most), np.float32)
    wide, line = np.empty((pool.shape[1], 3 * size), np.float32), np.empty(3 * size, np.float32)
    lines, others = np.empty((size + 4, 3, size), np.float32), np.empty((size + 4, 3, size), np.float32)
    table = np.empty(256, np.int64)
    for i in range(len(rows)):
        planes = out[i]
        pixels = planes.reshape(3, size * size)
        _crop(pool[rows[i]], boxes[i], flip[i], planes, first, weights, wide, line)
        if jitter[i]:
            _jitter(pixels, order[i], factors[i])
        if gray[i]:
            _grayscale(pixels)
        if blur[i]:
            _blur(planes, sigma[i], lines, others)
        if solarize[i]:
            _solarize(pixels)
        if equalize[i]:
            _equalize(pixels, table)
        for c in range(3):
            for p in range(size * size):
                pixels[c, p] = (pixels[c, p] - mean[c]) / std[c]
