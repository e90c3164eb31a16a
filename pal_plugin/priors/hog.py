"""Histograms of oriented gradients: a prior without weights or training, that knows of shape and little of colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SIDE = 64
_CELL = 8


class Hog:
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005): 1764 numbers an image.

    Images are resized to 64 × 64 (bicubic, as PIL does; the aspect ratio is not kept). Nine orientations, cells of
    8 × 8 pixels, blocks of 2 × 2 cells with the L2-Hys norm; of the three channels the one with the steepest gradient
    counts, pixel by pixel.
    """

    name = "hog"
    key = f"hog of scikit-image, bicubic {SIDE}, 9 orientations, cells of {_CELL}, blocks of 2, L2-Hys"

    def embed(self, images: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Map (B, H, W, 3) uint8 to (B, 1764) float32."""
        from PIL import Image
        from skimage.feature import hog  # slow to import

        resized = [np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for image in images]
        features = [
            hog(image, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2), channel_axis=-1) for image in resized
        ]
        return np.stack(features).astype(np.float32)
