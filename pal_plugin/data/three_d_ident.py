"""3DIdent (Zimmermann et al., arXiv:2102.08850): renderings of a teapot, and the ten factors that each was made from.

The folder is the one that the official archives unpack to, `3dident/{train,test}/{raw_latents.npy,images/}`.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.arrays import UNREADABLE
from pal_plugin.data.dataset import UNLABELLED, ImageDataset
from pal_plugin.data.lazy import FileImages
from pal_plugin.data.listing import check_present
from pal_plugin.errors import DataError

FOLDER = "3dident"
FACTORS = "raw_latents.npy"
# of the training images, as AdaSSL's code normalises them
MEAN = (0.3292, 0.3278, 0.3215)
STD = (0.0778, 0.0776, 0.0771)
_SPREAD = math.sqrt(2**2 / 12)  # the standard deviation of a uniform factor in [-1, 1]


def load_three_d_ident(split: str, root: Path) -> ImageDataset:
    """List the renderings of a split (250,000 train, 25,000 test); ids are such as `train/000042`.

    They have no labels. Their factors are scaled to unit variance: they are uniform in [-1, 1] as published.

    Args:
        split: `"train"` or `"test"`.
        root: the folder that holds `3dident`.

    Raises:
        DataError: factors or images are missing, damaged, or do not belong together.
    """
    folder = root / FOLDER / split
    mend = (
        f"Unpack 3dident_{split}.tar of https://zenodo.org/records/4502485 into {root}, "
        f"or name the folder that holds {FOLDER} (--root, data.root=)"
    )
    factors = _factors(folder / FACTORS, mend)
    digits = math.ceil(math.log10(len(factors)))
    names = [f"{row:0{digits}d}" for row in range(len(factors))]
    paths = [folder / "images" / f"{name}.png" for name in names]
    check_present(paths, f"3DIdent in {folder}", mend)
    return ImageDataset(
        name="three_d_ident",
        split=split,
        images=FileImages(paths),
        labels=np.full(len(paths), UNLABELLED, np.int64),
        ids=tuple(f"{split}/{name}" for name in names),
        class_names=(),
        mean=MEAN,
        std=STD,
        factors=(factors / _SPREAD).astype(np.float32),
    )


def _factors(path: Path, mend: str) -> NDArray[np.float64]:
    try:
        values = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise DataError(f"{path} cannot be read: {error}", mend) from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.dtype.kind != "f" or not values.size:
        found = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{path} holds {found}, and numbers (images, factors) are expected", mend)
    if not np.isfinite(values).all():
        raise DataError(f"Row {int(np.argmin(np.isfinite(values).all(axis=1)))} of {path} is not finite", mend)
    return values.astype(np.float64)
