"""From the bytes of an image file to pixels, one way for every format that Pillow reads.

Decided once, for whatever a folder of photos holds:

- the EXIF orientation is applied, so that pictures stand upright (not by Pillow's `exif_transpose`, which rewrites the
  EXIF data and fails on some damage that does the picture no harm);
- gray, palette and CMYK images become RGB, and an alpha channel is dropped, as torchvision's `ImageFolder` does;
- 16-bit gray is scaled to 8 bits (Pillow by itself would turn all above 255 white);
- 32-bit integers and floats are refused, since no value of theirs is white by convention;
- of an animation or a file of several pages, the first is taken.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from pal_plugin.errors import ImageError

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings, in lower case, of the files that count as images: torchvision's, and GIF."""


def decode_image(content: bytes, name: str) -> NDArray[np.uint8]:
    """Decode an image file.

    Args:
        content: the file's bytes.
        name: what messages call it.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ImageError: it is no image, or a damaged one, or of a kind without a defined brightness.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):  # theirs has 16 bits
                raise ValueError(f"pixels of mode {image.mode} (32 bits) have no defined white; save it with 8 or 16")
            return np.ascontiguousarray(_upright(_rgb(image), image.getexif().get(ExifTags.Base.Orientation)))
    except Exception as error:  # on damaged files Pillow's readers raise whatever they stumble over
        raise ImageError(
            f"The image {name} cannot be decoded: {_reason(content, error)}",
            "Repair or remove it; a folder of images leaves such files out with --option undecodable=skip, "
            "in pal train data.options.undecodable=skip",
        ) from error


def _upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """Turn (H, W, 3) as the orientation 1 … 8 says (EXIF 2.3, tag 0x0112); leave it if there is none, or another."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I"):
        gray = np.asarray(image).astype(np.uint32)
        return np.repeat(((gray * 255 + 32767) // 65535).astype(np.uint8)[..., None], 3, axis=2)
    return np.array(image.convert("RGB"))


def _reason(content: bytes, error: Exception) -> str:
    if not content:
        return "it is empty"
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image of a format that Pillow knows"
    return str(error) or type(error).__name__
