"""Images of any size as tiles of one size, and text of any kind as text that can be shown."""

from __future__ import annotations

import base64
import io
import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pal_plugin.data import ImageDataset

SMALL = 168  # pixels: up to here a tile is a whole multiple of its image, so that every pixel is seen as it is
LARGE = 224  # pixels of a tile that larger images are shrunk to
_JPEG_QUALITY = 88


def read_images(dataset: ImageDataset, rows: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Return the images `rows`, each (H, W, 3) uint8, as a list whatever the data set keeps them in."""
    return [np.asarray(image) for image in dataset.images[np.asarray(rows, dtype=np.int64)]] if len(rows) else []


def longest_side(images: Sequence[NDArray[np.uint8]]) -> int:
    """Return the largest height or width among the images; 1 where there are none."""
    return max((max(image.shape[:2]) for image in images), default=1)


def tile_side(longest: int) -> int:
    """Return the pixels of a tile for images whose longest side is `longest`: a multiple of it, or `LARGE`."""
    return longest * -(-SMALL // longest) if longest <= SMALL else LARGE


def fit(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Scale an image to fit a square: enlarged by a whole factor (nearest neighbour), or shrunk (Lanczos).

    Args:
        image: (H, W, 3).
        side: of the square, in pixels.

    Returns:
        (h, w, 3) with h and w at most `side`, in the proportions of the image.
    """
    height, width = image.shape[:2]
    factor = side // max(height, width)
    if factor >= 1:
        return image.repeat(factor, axis=0).repeat(factor, axis=1)
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return an image for the `src` of an HTML `img`: a small one as it is (PNG), a larger one shrunk (JPEG)."""
    file = io.BytesIO()
    if max(image.shape[:2]) <= SMALL:
        kind = "png"
        Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG", optimize=True)
    else:
        kind = "jpeg"
        Image.fromarray(fit(image, LARGE)).save(file, "JPEG", quality=_JPEG_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def printable(text: str) -> str:
    """Replace control characters and lone surrogates, which file names can hold and neither page nor picture can."""
    return "".join("\ufffd" if unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in text)
