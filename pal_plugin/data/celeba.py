"""CelebA (Liu et al., "Deep learning face attributes in the wild", ICCV 2015), aligned and cropped photos of faces.

Labels are identities, so that pairs of one label show one person; the forty attributes stand beside them. The folder is
the one that torchvision too unpacks the official files to: `celeba/img_align_celeba/` and three lists beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.dataset import SPLITS, ImageDataset
from pal_plugin.data.lazy import FileImages
from pal_plugin.data.listing import check_named, check_present, numbers, table, text_lines
from pal_plugin.data.options import choice
from pal_plugin.errors import DataError

OPTIONS = frozenset({"lists"})
FOLDER = "celeba"
PHOTOS = "img_align_celeba"
IDENTITIES = "identity_CelebA.txt"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
# of the training images, as AdaSSL's code normalises them
MEAN = (0.50815, 0.42195, 0.37636)
STD = (0.30430, 0.28164, 0.28003)
_LIST = "attributes_{}.txt"


class _Listed(NamedTuple):
    """The images of a split: N file names, and the (N, A) attributes with their names."""

    files: list[str]
    attributes: NDArray[np.int8]
    names: tuple[str, ...]


def load_celeba(split: str, root: Path, options: Mapping[str, Any]) -> ImageDataset:
    """List the photos of a split; ids are their file names.

    Identities have one number in all splits, and in the official ones nobody is in two of them.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        root: the folder that holds `celeba`.
        options: `lists`: `"official"` (default): the official partition says which photos a split has, and the official
            list of attributes what they show; `"adassl"`: `attributes_<split>.txt` of AdaSSL's authors says both.

    Raises:
        DataError: a list or photos are missing, or a list is damaged.
        ConfigError: an option has a value that it cannot have.
    """
    folder = root / FOLDER
    official = choice(options, "lists", ("official", "adassl")) == "official"
    lists = f"{ATTRIBUTES} and {PARTITION}" if official else f"AdaSSL's {_LIST.format(split)}"
    mend = (
        f"Put {PHOTOS}/, {IDENTITIES}, {lists} into {folder}, or name the folder that holds {FOLDER} "
        "(--root, data.root=)"
    )
    listed = _official(folder, split, mend) if official else _of_adassl(folder / _LIST.format(split), mend)
    labels, names = _persons(listed.files, folder / IDENTITIES, mend)
    paths = [folder / PHOTOS / file for file in listed.files]
    check_present(paths, f"CelebA in {folder}", mend)
    return ImageDataset(
        name="celeba",
        split=split,
        images=FileImages(paths),
        labels=labels,
        ids=tuple(listed.files),
        class_names=names,
        mean=MEAN,
        std=STD,
        attributes=listed.attributes,
        attribute_names=listed.names,
    )


def _persons(files: list[str], path: Path, mend: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return who is on each of the files, by place among all persons of the list, and what the list calls them."""
    rows = table(path, 2, mend)
    names, places = np.unique(numbers([row[1] for row in rows], path, mend), return_inverse=True)
    place = {row[0]: number for row, number in zip(rows, places.reshape(-1), strict=True)}
    check_named(files, place, path, mend)
    return np.array([place[file] for file in files], np.int64), tuple(map(str, names))


def _official(folder: Path, split: str, mend: str) -> _Listed:
    """Read the partition, 0, 1 or 2 a file, and the attributes: a count, their names, and a line a file."""
    number = str(SPLITS.index(split))
    files = [file for file, part in table(folder / PARTITION, 2, mend) if part == number]
    path = folder / ATTRIBUTES
    lines = text_lines(path, mend)[1:]
    names = lines[0].split() if lines else []
    held = {}
    for line in lines[1:]:
        file, *values = line.split()
        held[file] = _bits(values, names, file, path, mend)
    check_named(files, held, path, mend)
    return _Listed(files, np.array([held[file] for file in files], np.int8), tuple(names))


def _of_adassl(path: Path, mend: str) -> _Listed:
    """Read a list of AdaSSL's: the columns' names, attributes first and `filename` next, and a line a file."""
    lines = text_lines(path, mend)
    columns = lines[0].split()
    count = columns.index("filename") if "filename" in columns else 0
    held = {}
    for number, line in enumerate(lines[1:], start=2):
        row = line.split()
        if not count or len(row) != len(columns):
            raise DataError(f"Line {number} of {path} is not of AdaSSL's layout: attributes, then filename", mend)
        held[row[count]] = _bits(row[:count], columns[:count], row[count], path, mend)
    return _Listed(list(held), np.array(list(held.values()), np.int8), tuple(columns[:count]))


def _bits(values: list[str], names: list[str], file: str, path: Path, mend: str) -> NDArray[np.int8]:
    """Return attributes as 0 and 1; the official list has -1 for 0."""
    if len(values) != len(names) or not {"-1", "0", "1"}.issuperset(values):
        raise DataError(f"{path} does not say of {file} which of {len(names)} attributes it has", mend)
    return np.array([value == "1" for value in values], np.int8)
