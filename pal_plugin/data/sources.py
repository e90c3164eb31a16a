"""The data sets by name, and from a config."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from pal_plugin.data import aircraft, array_files, celeba, folder, h5, medmnist
from pal_plugin.data.cifar10 import CIFAR10, load_cifar10
from pal_plugin.data.cifar100 import CIFAR100, load_cifar100
from pal_plugin.data.dataset import SPLITS, ImageDataset
from pal_plugin.data.digits import load_digits
from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.idx import FASHION_MNIST, MNIST, load_fashion_mnist, load_mnist
from pal_plugin.data.inat import load_inat
from pal_plugin.data.three_d_ident import load_three_d_ident
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.io import cache_folder
from pal_plugin.registry import near_matches

_HOLD_OUT_SEED = 0  # fixed for good: every run of a data set has the same hold-out, whatever its subset
Options: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Source:
    """How a data set is read.

    Attributes:
        load: from split, root and options to the images.
        splits: from root and options to the splits that there are.
        options: the names of its options.
        own_root: whether the root is the user's own file or folder, to be named, rather than where data sets are kept.
        fetch: from root and source (see `pal_plugin.data.fetch.fetch`) to the folder that the files are now in; None
            where there is nothing to bring.
    """

    load: Callable[[str, Path, Options], ImageDataset]
    splits: Callable[[Path, Options], tuple[str, ...]] = lambda _root, _options: ("train", "test")
    options: frozenset[str] = frozenset()
    own_root: bool = False
    fetch: Callable[[Path, str], Path] | None = None


def _published(load: Callable[[str, Path], ImageDataset], release: Release) -> Source:
    return Source(lambda split, root, _options: load(split, root), fetch=functools.partial(fetch, release))


SOURCES: dict[str, Source] = {
    "cifar10": _published(load_cifar10, CIFAR10),
    "cifar100": _published(load_cifar100, CIFAR100),
    "digits": Source(lambda split, _root, _options: load_digits(split)),
    "mnist": _published(load_mnist, MNIST),
    "fashion_mnist": _published(load_fashion_mnist, FASHION_MNIST),
    "aircraft": Source(
        aircraft.load_aircraft, aircraft.aircraft_splits, aircraft.OPTIONS, fetch=aircraft.fetch_aircraft
    ),
    "medmnist": Source(medmnist.load_medmnist, medmnist.medmnist_splits, medmnist.OPTIONS),
    "three_d_ident": Source(lambda split, root, _options: load_three_d_ident(split, root)),
    "celeba": Source(celeba.load_celeba, lambda _root, _options: SPLITS, celeba.OPTIONS),
    "inat": Source(lambda split, root, _options: load_inat(split, root), lambda _root, _options: SPLITS),
    "folder": Source(
        folder.load_folder, lambda root, _options: folder.folder_splits(root), folder.OPTIONS, own_root=True
    ),
    "arrays": Source(
        lambda split, root, _options: array_files.load_arrays(split, root),
        lambda root, _options: array_files.array_splits(root),
        own_root=True,
    ),
    "h5": Source(
        lambda split, root, _options: h5.load_h5(split, root), lambda root, _options: h5.h5_splits(root), own_root=True
    ),
}


def load_dataset(
    name: str,
    split: str,
    *,
    root: Path | None = None,
    subset: int | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> ImageDataset:
    """Load a data set, fetching it first where that is needed and can be done.

    Args:
        name: one of `SOURCES`.
        split: `"train"`, `"val"` or `"test"`, as far as the data set has it.
        root: the folder that data sets are kept in, `data` in the cache folder if None; for data of the user's own the
            file or folder itself.
        subset: how many samples, stratified; all of them if None.
        seed: which subset.
        options: what the data set has besides, by name.

    Raises:
        ConfigError: no such data set, split or option, or a root is needed.
        DataError: the data set cannot be had or is incomplete, or the subset is larger than it.
        ChecksumError: a file is not the published one.
    """
    source, place, options = _located(name, root, options)
    _check_split(name, split, source.splits(place, options))
    dataset = source.load(split, place, options)
    return dataset if subset is None else dataset.subset(subset, seed)


def dataset_from_config(data: Mapping[str, Any], split: str) -> ImageDataset:
    """Load the split of the data set that the config group `data` describes.

    Keys: `dataset`; `root`; `subset`, of train only, where more than there are means all of them; `subset_seed`;
    `val_fraction`, the share of train that is held out, stratified, as `val` where the data set has no val split of its
    own; `options`. Only `dataset` has to be there. The hold-out depends on nothing but the data set and the share.

    Args:
        data: the config group.
        split: `"train"`, `"val"` or `"test"`.

    Raises:
        ConfigError: no such data set, split or option, or a share outside [0, 1).
        DataError, ChecksumError: see `load_dataset`.
    """
    name, options = data["dataset"], data.get("options")
    root = None if data.get("root") is None else Path(data["root"])
    _check_split(name, split, available_splits(data))
    source, place, checked = _located(name, root, options)
    held_out = "val" not in source.splits(place, checked) and _val_fraction(data) > 0
    stored = "train" if split == "val" and held_out else split
    dataset = load_dataset(name, stored, root=root, options=options)
    if held_out and stored == "train":
        dataset = _hold_out(dataset, _val_fraction(data), split)
    subset = data.get("subset")
    if split != "train" or subset is None or subset >= len(dataset):
        return dataset
    return dataset.subset(subset, data.get("subset_seed", 0))


def available_splits(data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return which of train, val and test `dataset_from_config` can load.

    Raises:
        ConfigError, DataError: see `dataset_from_config`.
    """
    root = None if data.get("root") is None else Path(data["root"])
    source, place, options = _located(data["dataset"], root, data.get("options"))
    splits = set(source.splits(place, options))
    if _val_fraction(data) > 0 and "train" in splits:
        splits.add("val")
    return tuple(split for split in SPLITS if split in splits)


def bring(name: str, root: Path | None, source: str = "auto") -> Path | None:
    """Make sure that the published files of a data set are there and are the published ones.

    Args:
        name: one of `SOURCES`.
        root: see `load_dataset`.
        source: see `pal_plugin.data.fetch.fetch`.

    Returns:
        The folder that they are in; None for a data set without any.

    Raises:
        ConfigError: no such data set or source, or the data is the user's own.
        DataError, ChecksumError: see `load_dataset`.
    """
    found, place, _ = _located(name, root, None)
    if found.fetch is None:
        if source not in ("auto", "folder"):
            raise ConfigError(f"{name} cannot be had from {source}", "Leave --source out")
        return None
    return found.fetch(place, source)


def _located(name: str, root: Path | None, options: Options | None) -> tuple[Source, Path, Options]:
    """Look up a data set, where it is, and its options."""
    if name not in SOURCES:
        raise ConfigError(f"There is no data set called {name!r}", f"Choose another: {near_matches(name, SOURCES)}")
    source = SOURCES[name]
    for option in options or {}:
        if option not in source.options:
            known = f"Choose another: {near_matches(option, source.options)}" if source.options else "Leave it out"
            raise ConfigError(f"The data set {name} has no option {option!r}", known)
    if root is None and source.own_root:
        raise ConfigError(
            f"The data set {name} is your own: say where it is", "Give --root PATH (pal train: data.root=PATH)"
        )
    return source, cache_folder() / "data" if root is None else Path(root).expanduser(), options or {}


def _check_split(name: str, split: str, available: tuple[str, ...]) -> None:
    if split not in available:
        held_out = "; --val-fraction 0.1 (pal train: data.val_fraction=0.1) holds a val split out of train"
        hint = held_out if split == "val" else ""
        raise ConfigError(f"{name} has no split {split!r}", f"Choose one of: {', '.join(available)}{hint}")


def _val_fraction(data: Mapping[str, Any]) -> float:
    value = data.get("val_fraction", 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise ConfigError(
            f"data.val_fraction is {value!r}",
            "Set it to a number from 0 to below 1: data.val_fraction=0.1, --val-fraction 0.1",
        )
    return value


def _hold_out(dataset: ImageDataset, share: float, split: str) -> ImageDataset:
    """Part `dataset` into val and the rest, each class in proportion, and return the one called `split`."""
    count = max(1, round(share * len(dataset)))
    if count >= len(dataset):
        raise DataError(
            f"Holding out {share} of {dataset.name}/{dataset.split} leaves nothing of its {len(dataset)} samples",
            "Set data.val_fraction (--val-fraction) lower",
        )
    ids = set(dataset.subset(count, _HOLD_OUT_SEED).ids)
    held_out = np.array([sample in ids for sample in dataset.ids])
    return dataset.take(np.flatnonzero(held_out if split == "val" else ~held_out), split)
