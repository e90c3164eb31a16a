"""Image operations on whole batches, with parameters of their own for every image.

Images are (B, 3, H, W) float32 in [0, 1], on any device, unless said otherwise. Each operation is PIL's; but only a
resize rounds its result to 8 bits, where PIL rounds, or cuts off, after every step inside an operation too. Images of
different sizes cannot be a batch before they are resized: `cut` and `cut_centre` take them one by one, with PIL itself.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_BICUBIC_A = -0.5  # PIL's; OpenCV and torch's own interpolate have -0.75


def to_float(images: Tensor, flip: Tensor | None = None) -> Tensor:
    """Turn (B, H, W, 3) uint8 into (B, 3, H, W) float32 in [0, 1], mirrored left to right where `flip` (B,) says so."""
    x = images if flip is None else torch.where(flip[:, None, None, None], images.flip(2), images)
    return x.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def normalise_(x: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """Subtract the channels' mean and divide by their standard deviation, in place."""
    centre, spread = torch.tensor([mean, std], device=x.device)[..., None, None]
    return x.sub_(centre).div_(spread)


def resized_crop(images: Tensor, boxes: Tensor, size: int, flip: Tensor | None = None) -> Tensor:
    """Cut a box out of every image and resize it to `size` × `size`, bicubic and antialiased as PIL does.

    Args:
        images: (B, H, W, 3) uint8.
        boxes: (B, 4) int64 top, left, height, width in pixels.
        size: side of the output.
        flip: (B,) bool, which outputs are mirrored left to right.

    Returns:
        (B, 3, size, size) float32, multiples of 1/255 in [0, 1].
    """
    count, height, width, _ = images.shape
    top, left, box_height, box_width = boxes.to(torch.float32).unbind(1)
    rows = resize_weights(top, box_height, height, size)
    columns = resize_weights(left, box_width, width, size)
    if flip is not None:
        columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    # (size × H) @ (H × 3W), then each channel's (size × W) @ (W × size): two batched products for a batch.
    flat = images.reshape(count, height, width * 3).to(torch.float32)
    tall = torch.bmm(rows, flat).view(count, size, width, 3).permute(0, 3, 1, 2).reshape(count, 3 * size, width)
    return torch.bmm(tall, columns.transpose(1, 2)).view(count, 3, size, size).round_().div_(255).clamp_(0, 1)


def resize_weights(start: Tensor, length: Tensor, source: int, target: int) -> Tensor:
    """Return (B, target, source) weights that resize source[start : start + length] to `target` samples.

    PIL's: the cubic kernel is stretched when shrinking, cut off at the ends of the range, and rows sum to 1.

    Args:
        start: (B,) first sample of each range.
        length: (B,) samples in each range.
        source: samples in the whole line.
        target: samples wanted.
    """
    scale = (length / target)[:, None]
    centre = (torch.arange(target, device=start.device) + 0.5) * scale + start[:, None]
    position = torch.arange(source, device=start.device)
    distance = (position + 0.5 - centre[..., None]).div_(scale.clamp(min=1)[..., None]).abs_()
    inside = (position >= start[:, None]) & (position < (start + length)[:, None])
    weights = _cubic(distance).mul_(inside[:, None, :])
    return weights.div_(weights.sum(2, keepdim=True))


def _cubic(distance: Tensor) -> Tensor:
    a = _BICUBIC_A
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * a
    return torch.where(distance < 1, near, far.mul_(distance < 2))


def resize(images: Tensor, size: int) -> Tensor:
    """Resize whole images (B, H, W, 3) uint8 to (B, 3, size, size), as `resized_crop` does."""
    box = torch.tensor([0, 0, *images.shape[1:3]], device=images.device)
    return resized_crop(images, box.expand(len(images), 4), size)


def cut(image: NDArray[np.uint8], box: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Cut a box out of one image and resize it, bicubic: torchvision's `resized_crop` of a PIL image.

    Args:
        image: (H, W, 3) uint8.
        box: (4,) top, left, height, width in pixels.
        size: side of the output.

    Returns:
        (size, size, 3) uint8.
    """
    top, left, height, width = box
    part = Image.fromarray(image[top : top + height, left : left + width])
    return np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))


def cut_centre(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Resize one image so that its shorter side is `size`, and keep the centre: torchvision's Resize and CenterCrop.

    Args:
        image: (H, W, 3) uint8.
        size: side of the output.

    Returns:
        (size, size, 3) uint8.
    """
    height, width = image.shape[:2]
    short = min(height, width)
    height, width = size * height // short, size * width // short
    top, left = round((height - size) / 2), round((width - size) / 2)
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def luma(x: Tensor) -> Tensor:
    """Return (B, 1, H, W) brightness by ITU-R 601, as PIL's mode "L"."""
    red, green, blue = x.unbind(1)
    return (red * 0.299).add_(green, alpha=0.587).add_(blue, alpha=0.114)[:, None]


def brightness(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; `factor` (B,) 1 leaves the image as it is."""
    return (x * _column(factor)).clamp_(0, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the image's mean brightness; `factor` (B,) 1 leaves the image as it is."""
    mean = luma(x).mean((1, 2, 3))
    return (x * _column(factor)).add_(_column(mean * (1 - factor))).clamp_(0, 1)


def saturation(x: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; `factor` (B,) 1 leaves the image as it is."""
    return (x * _column(factor)).add_(luma(x).mul_(_column(1 - factor))).clamp_(0, 1)


def hue(x: Tensor, shift: Tensor) -> Tensor:
    """Turn the hue by `shift` (B,) turns, keeping HSV's saturation and value."""
    red, green, blue = x.unbind(1)
    value, low = x.amax(1), x.amin(1)
    chroma = value - low
    divisor = torch.where(chroma > 0, chroma, 1)
    sixths = torch.where(  # of a turn
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4),
    )
    sixths += 6 * shift[:, None, None]
    # https://en.wikipedia.org/wiki/HSL_and_HSV, "HSV to RGB alternative"
    k = (sixths[:, None] + torch.tensor([5.0, 3.0, 1.0], device=x.device)[:, None, None]).remainder_(6)
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp_(0, 1)


def grayscale(x: Tensor) -> Tensor:
    """Replace every channel by the brightness."""
    return luma(x).expand(-1, 3, -1, -1)


def gaussian_blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur with standard deviation `sigma` (B,) in pixels, as PIL does: three box filters one after another."""
    count, _, height, width = x.shape
    rows, columns = _blur_weights(sigma, height), _blur_weights(sigma, width)
    wide = torch.bmm(x.reshape(count, 3 * height, width), columns.transpose(1, 2)).view(count, 3, height, width)
    return torch.matmul(rows[:, None], wide)


def solarize(x: Tensor) -> Tensor:
    """Invert what is brighter than the middle, as PIL's `solarize(threshold=128)`."""
    return torch.minimum(x, 1 - x)


def equalize(x: Tensor) -> Tensor:
    """Equalise the histogram of every channel of every image, as PIL's `equalize`."""
    levels = (x * 255).round_().to(torch.int64).flatten(2)
    histogram = levels.new_zeros(*levels.shape[:2], 256)
    histogram.scatter_add_(2, levels, torch.ones_like(levels))
    last = histogram.gather(2, levels.amax(2, keepdim=True))
    step = (levels.shape[2] - last) // 255
    before = histogram.cumsum(2) - histogram
    table = ((before + step // 2) // step.clamp(min=1)).clamp_(max=255)
    return torch.where(step > 0, table.gather(2, levels), levels).view_as(x) / 255


def _column(per_image: Tensor) -> Tensor:
    return per_image[:, None, None, None]


def _blur_weights(sigma: Tensor, size: int) -> Tensor:
    """Return (B, size, size): three passes of PIL's "extended box" filter, whose ends repeat the edge pixel.

    Gwosdek et al., "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering", SSVM 2011.
    """
    passes = 3
    variance = sigma**2 / passes
    whole = ((torch.sqrt(12 * variance + 1) - 1) / 2).floor()
    part = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance) / (6 * (variance - (whole + 1) ** 2))
    reach = int(whole.max()) + 1
    once = sigma.new_zeros(len(sigma), size, size)
    position = torch.arange(size, device=sigma.device)
    for offset in range(-reach, reach + 1):
        weight = (whole + part + 1 - abs(offset)).clamp(0, 1) / (2 * (whole + part) + 1)
        once[:, position, (position + offset).clamp(0, size - 1)] += weight[:, None]
    return once @ once @ once
