"""The prior that knows nothing: raw pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Pixels:
    """Images as they are: flattened and divided by 255. A floor for every other prior, and fast enough for tests."""

    name = "pixels"
    key = "pixels, flattened, x/255"

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Map (B, H, W, 3) uint8 to (B, H·W·3) float32 in [0, 1]."""
        flat: npt.NDArray[np.float32] = images.reshape(len(images), -1).astype(np.float32)
        flat /= 255
        return flat
