"""A folder of images of the user's own, labelled by its sub-folders or not at all; read file by file when needed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.dataset import SPLITS, UNLABELLED, ImageDataset
from pal_plugin.data.lazy import FileImages, undecodable
from pal_plugin.data.options import choice
from pal_plugin.data.reading import is_folder, reading
from pal_plugin.data.scan import image_files
from pal_plugin.errors import DataError

OPTIONS = frozenset({"labelled", "undecodable"})
# Of ImageNet, as is the custom for photos: to measure a folder's own would mean decoding all of it first.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def folder_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a folder: those of `train`, `val` and `test` that are sub-folders, else all of it is train.

    Raises:
        DataError: there is no such folder, it cannot be read, or it has `val` or `test` but no `train`: it is unclear
            what is what.
    """
    if not is_folder(root):
        raise DataError(
            f"There is no folder {root}",
            "Give the folder that holds your images: --root DIR (pal train: data.root=DIR)",
        )
    present = tuple(split for split in SPLITS if is_folder(root / split))
    if present and "train" not in present:
        raise DataError(
            f"{root} has a folder {present[0]}, but none called train",
            "Put the images to train on into train, or rename that folder if it is no split",
        )
    return present or ("train",)


def load_folder(split: str, root: Path, options: Mapping[str, Any]) -> ImageDataset:
    """List the images below `root/<split>`, or below `root` where it has no folder `train`.

    An image's id is its path relative to that folder. If it is labelled, the first folder of that path is its class;
    classes are those of `train`, sorted by name, and have number 0, 1, …

    Folders beside `train` that are no splits are left out, and that is said on standard error: `train` may have been
    meant as one class among others.

    Args:
        split: one of `folder_splits(root)`.
        root: the folder.
        options: `labelled`: `"auto"` (default: labelled if every image lies in a sub-folder, in all splits), true or
            false. `undecodable`: `"error"` (default: raised when the image is read), or `"skip"`: decode every file
            once now, leave out those that cannot be decoded, and say how many they are.

    Raises:
        DataError: no images; labels were asked for and an image lies in no sub-folder; a class occurs in `split` and
            not in `train`; or nothing is left after skipping. See `image_files` too.
        ConfigError: an option has a value that it cannot have.
    """
    labelled = choice(options, "labelled", ("auto", True, False))
    skip = choice(options, "undecodable", ("error", "skip")) == "skip"
    in_splits = is_folder(root / "train")
    splits = {name: image_files(root / name if in_splits else root) for name in folder_splits(root)}
    if in_splits:
        _say_left_out(root, tuple(splits))
    if labelled == "auto":
        labelled = all("/" in name for files in splits.values() for name in files)
    classes = _classes(splits["train"], root) if labelled else ()
    files = splits[split]
    labels = _labels(files, classes, split, root) if labelled else np.full(len(files), UNLABELLED)
    images = FileImages(tuple(files.values()))
    dataset = ImageDataset("folder", split, images, labels, tuple(files), classes, MEAN, STD)
    return _decodable(dataset, images, root) if skip else dataset


def _say_left_out(root: Path, splits: tuple[str, ...]) -> None:
    with reading(root):
        folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    others = [name for name in folders if name not in splits]
    if others:
        named = ", ".join(others[:5]) + (" …" if len(others) > 5 else "")
        print(
            f"{root}: the images are those of {', '.join(splits)}; {len(others)} folders beside are left out ({named})",
            file=sys.stderr,
        )


def _classes(files: Mapping[str, Path], root: Path) -> tuple[str, ...]:
    return tuple(sorted({_class(name, root) for name in files}))


def _labels(files: Mapping[str, Path], classes: tuple[str, ...], split: str, root: Path) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(classes)}
    unknown = sorted({_class(name, root) for name in files} - numbers.keys())
    if unknown:
        raise DataError(
            f"{root / split} has the class {unknown[0]!r}, which {root / 'train'} has not",
            "Add it there, or remove it here; folders of the same class must have the same name",
        )
    return np.array([numbers[_class(name, root)] for name in files], np.int64)


def _class(name: str, root: Path) -> str:
    if "/" not in name:
        raise DataError(
            f"The image {name} in {root} lies in no class's folder, but labels were asked for",
            "Move it into one, or set labelled=false: --option labelled=false (pal train: data.options.labelled=false)",
        )
    return name.split("/", 1)[0]


def _decodable(dataset: ImageDataset, images: FileImages, root: Path) -> ImageDataset:
    bad = undecodable(images)
    if not bad:
        return dataset
    first = next(iter(bad.values())).what
    print(f"{root}: {len(bad)} of {len(dataset)} images are skipped; the first: {first}", file=sys.stderr)
    if len(bad) == len(dataset):
        raise DataError(
            f"None of the {len(dataset)} images in {root} can be decoded; the first: {first}", "Look at them"
        )
    return dataset.take(np.setdiff1d(np.arange(len(dataset)), list(bad)))
