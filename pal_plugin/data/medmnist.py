"""MedMNIST (Yang et al., "MedMNIST v2", Scientific Data 2023) from the `.npz` files that its authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pal_plugin.data.array_files import ArrayFile, read_arrays, splits_of
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.reading import reading
from pal_plugin.errors import ConfigError, DataError

OPTIONS = frozenset({"flag"})
CLASS_NAMES = {
    "pathmnist": (
        "adipose",
        "background",
        "debris",
        "lymphocytes",
        "mucus",
        "smooth muscle",
        "normal colon mucosa",
        "cancer-associated stroma",
        "colorectal adenocarcinoma epithelium",
    ),
    "tissuemnist": (
        "collecting duct, connecting tubule",
        "distal convoluted tubule",
        "glomerular endothelial cells",
        "interstitial endothelial cells",
        "leukocytes",
        "podocytes",
        "proximal tubule segments",
        "thick ascending limb",
    ),
}
"""Of the sets in the GPS-SSL paper; the classes of the others are called by their numbers."""


def load_medmnist(split: str, root: Path, options: Mapping[str, Any]) -> ImageDataset:
    """Return a split of one of MedMNIST's 2-D sets as RGB, with one label an image.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        root: the folder that holds `<flag>.npz`.
        options: `flag`: which set, such as `pathmnist`, `tissuemnist` or `bloodmnist_224`.

    Raises:
        ConfigError: no flag.
        DataError: the file is missing or damaged, holds volumes, or has several labels an image.
    """
    return read_arrays(_file(root, options), options["flag"], split, CLASS_NAMES.get(options["flag"].split("_")[0]))


def medmnist_splits(root: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the splits that the file has; MedMNIST's have all three."""
    file = _file(root, options)
    return splits_of(file.names, file.path)


def _file(root: Path, options: Mapping[str, Any]) -> ArrayFile:
    flag = options.get("flag")
    if not isinstance(flag, str) or not flag:
        raise ConfigError(
            "MedMNIST is many data sets: say which", "Set the option flag, for example --option flag=pathmnist"
        )
    path = root / f"{flag}.npz"
    with reading(path):
        there = path.is_file()
    if not there:
        raise DataError(
            f"There is no {path}",
            f"Download {flag}.npz from the MedMNIST authors' Zenodo record and put it into {root}",
        )
    return ArrayFile(path)
