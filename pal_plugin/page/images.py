"""The pictures of the page: samples under names that give nothing away, as PNG of a size that a screen needs."""

from __future__ import annotations

import hmac
import io

import numpy as np
from PIL import Image

from pal_plugin.data import ImageDataset

LARGEST = 1024  # pixels of the longer side that the page may ask for
_NAME_BYTES = 16


class Pictures:
    """The images of a data set under opaque names.

    A sample's number could tell its class (data sets are often sorted) and its id often says it outright, so the page
    gets neither: it gets a keyed hash of the number, the same for the life of a store.

    Args:
        dataset: whose images are shown; they may differ in size and stay on disk.
        secret: the key of the names, in hexadecimal, as `RelationStore.secret`.
    """

    def __init__(self, dataset: ImageDataset, secret: str) -> None:
        self._images = dataset.images
        self._names = [_opaque(bytes.fromhex(secret), sample) for sample in range(len(dataset))]
        self._samples = {name: sample for sample, name in enumerate(self._names)}

    def name(self, sample: int) -> str:
        """Return the opaque name of a sample, 32 hexadecimal digits."""
        return self._names[sample]

    def sample(self, name: str) -> int | None:
        """Return the sample of an opaque name, or None where there is no such name."""
        return self._samples.get(name)

    def png(self, sample: int, size: int) -> bytes:
        """Return a sample's image as a PNG, shrunk (Lanczos) where its longer side has more than `size` pixels.

        Raises:
            DataError: the image cannot be read or decoded.
        """
        image = Image.fromarray(np.ascontiguousarray(self._images[[sample]][0]))
        longer = max(image.size)
        if longer > size:
            width, height = (max(1, round(side * size / longer)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        image.save(file, "PNG")
        return file.getvalue()


def _opaque(secret: bytes, sample: int) -> str:
    return hmac.digest(secret, sample.to_bytes(8, "big"), "sha256")[:_NAME_BYTES].hex()
