"""The data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pal_plugin.data.cifar10 import load_cifar10
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError
from pal_plugin.io import cache_folder
from pal_plugin.registry import near_matches

SPLITS = ("train", "test")
_LOADERS: dict[str, Callable[[str, Path], ImageDataset]] = {
    "cifar10": load_cifar10,
    "digits": lambda split, _root: load_digits(split),
}


def load_dataset(
    name: str, split: str, *, root: Path | None = None, subset: int | None = None, seed: int = 0
) -> ImageDataset:
    """Load a data set, fetching it first where that is needed.

    Args:
        name: `"cifar10"` or `"digits"`.
        split: `"train"` or `"test"`.
        root: the folder that data sets are kept in; `data` in the cache folder if None.
        subset: how many samples, stratified; all of them if None.
        seed: which subset.

    Raises:
        ConfigError: no such data set or split.
        DataError: the data set cannot be had or is incomplete, or the subset is larger than it.
        ChecksumError: a file is not the published one.
    """
    if name not in _LOADERS:
        raise ConfigError(f"There is no data set called {name!r}", f"Choose another: {near_matches(name, _LOADERS)}")
    if split not in SPLITS:
        raise ConfigError(f"{name} has no split {split!r}", f"Choose one of: {', '.join(SPLITS)}")
    dataset = _LOADERS[name](split, cache_folder() / "data" if root is None else Path(root))
    return dataset if subset is None else dataset.subset(subset, seed)
