"""A data set in figures: classes, image sizes, and the mean and deviation of its channels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data import ImageDataset
from pal_plugin.progress import progress

SAMPLE = 2000  # images that are read where they are not in memory
_BLOCK = 256  # images at a time


@dataclass(frozen=True)
class Measures:
    """What `measure` finds.

    Attributes:
        images: N.
        read: how many images the sizes, mean and deviation are of.
        classes: the samples of each class, empty ones included.
        unlabelled: samples without a class.
        sizes: how many images have each (height, width), most frequent first.
        mean: of each channel over all pixels, in [0, 1].
        std: likewise.
    """

    images: int
    read: int
    classes: tuple[tuple[str, int], ...]
    unlabelled: int
    sizes: tuple[tuple[tuple[int, int], int], ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def measure(dataset: ImageDataset, seed: int = 0) -> Measures:
    """Measure a data set; where its images are files, a random sample of at most `SAMPLE` of them is read.

    Args:
        dataset: N samples.
        seed: of the sample.

    Raises:
        DataError: an image cannot be read or decoded.
    """
    rows = np.arange(len(dataset))
    if not isinstance(dataset.images, np.ndarray) and len(rows) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).permutation(len(rows))[:SAMPLE])
    sizes: Counter[tuple[int, int]] = Counter()
    sums, squares, pixels = np.zeros(3, dtype=np.uint64), np.zeros(3, dtype=np.uint64), 0  # exact: no rounding adds up
    for start in progress(range(0, len(rows), _BLOCK), "images measured (blocks)"):
        block = dataset.images[rows[start : start + _BLOCK]]
        for images in [block] if isinstance(block, np.ndarray) else [image[None] for image in block]:
            count, height, width = images.shape[:3]
            sizes[height, width] += count
            pixels += count * height * width
            sums += images.sum(axis=(0, 1, 2), dtype=np.uint64)
            squares += np.square(images, dtype=np.uint16).sum(axis=(0, 1, 2), dtype=np.uint64)
    mean = sums / pixels
    variance = np.maximum(squares / pixels - mean**2, 0)
    counts = np.bincount(dataset.labels[dataset.labels >= 0], minlength=dataset.num_classes).tolist()
    return Measures(
        images=len(dataset),
        read=len(rows),
        classes=tuple(zip(dataset.class_names, counts, strict=True)),
        unlabelled=len(dataset) - sum(counts),
        sizes=tuple(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))),
        mean=_triple(mean / 255),
        std=_triple(np.sqrt(variance) / 255),
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return red, green, blue


def summary(dataset: ImageDataset, measures: Measures) -> str:
    """Say in one line what the data set is."""
    sizes = [size for size, _ in measures.sizes]
    heights, widths = zip(*sizes, strict=True)
    pixels = (
        f"{heights[0]}×{widths[0]}"
        if len(sizes) == 1
        else f"{min(heights)}×{min(widths)} to {max(heights)}×{max(widths)}"
    )
    held = [name for name, count in measures.classes if count]
    classes = f" in {len(held):,} class{'es' if len(held) > 1 else ''}" if held else ", unlabelled"
    return f"{dataset.name}/{dataset.split}: {measures.images:,} images of {pixels} pixels{classes}"
