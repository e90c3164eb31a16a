"""Images of any sizes to one size, as PIL does it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from pal_plugin.priors.base import Images


def resized(images: Images, side: int) -> npt.NDArray[np.uint8]:
    """Resize every image to `side` × `side`, bicubic and antialiased; the aspect ratio is not kept.

    Args:
        images: (B, H, W, 3) uint8, or B arrays (H_i, W_i, 3).
        side: in pixels.

    Returns:
        (B, side, side, 3) uint8.
    """
    return np.stack([np.asarray(Image.fromarray(i).resize((side, side), Image.Resampling.BICUBIC)) for i in images])
