"""The prior that knows nothing: raw pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.priors.base import Images


class Pixels:
    """Images flattened and divided by 255. A floor for every other prior, and fast enough for tests.

    Args:
        side: what images are resized to first (`pixels?side=32`; bicubic, the aspect ratio is not kept). None takes
            them as they are, which only images of one size can be.

    Raises:
        ConfigError: `side` is no positive whole number.
    """

    name = "pixels"

    def __init__(self, *, side: int | str | None = None) -> None:
        self._side = None if side is None else whole_number(side, "The side of the prior pixels")
        self.key = "pixels, flattened, x/255" + ("" if side is None else f", bicubic {self._side}")

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Map B images to (B, H·W·3) float32 in [0, 1].

        Raises:
            ConfigError: they are of different sizes and there is no `side`.
        """
        if self._side is not None:
            from pal_plugin.priors.resize import resized

            images = resized(images, self._side)
        sizes = {image.shape for image in images}
        if len(sizes) > 1:
            raise ConfigError(
                f"The prior pixels takes images as they are, and these have {len(sizes)} different sizes",
                "Have them resized: pixels?side=32, or choose another prior",
            )
        flat: npt.NDArray[np.float32] = np.asarray(images).reshape(len(images), -1).astype(np.float32)
        flat /= 255
        return flat


def whole_number(value: int | str, what: str) -> int:
    """Read a positive whole number of a prior's spec.

    Raises:
        ConfigError: it is none.
    """
    if not str(value).isdecimal() or int(value) < 1:
        raise ConfigError(f"{what} is {value!r}", "Give a whole number of at least 1")
    return int(value)
