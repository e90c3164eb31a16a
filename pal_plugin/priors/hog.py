"""Histograms of oriented gradients: a prior without weights or training, that knows of shape and little of colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.priors.base import Images
from pal_plugin.priors.resize import resized

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

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Map B images to (B, 1764) float32."""
        from skimage.feature import hog  # slow to import

        features = [
            hog(image, pixels_per_cell=(_CELL, _CELL), cells_per_block=(2, 2), channel_axis=-1)
            for image in resized(images, SIDE)
        ]
        return np.stack(features).astype(np.float32)
