"""FGVC-Aircraft (Maji et al., arXiv:1306.5151), listed by torchvision and decoded when needed."""

from __future__ import annotations

import sys
import tarfile
import zlib
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.folder import MEAN, STD
from pal_plugin.data.lazy import FileImages
from pal_plugin.data.options import choice
from pal_plugin.errors import DataError
from pal_plugin.io import atomic_folder

OPTIONS = frozenset({"annotation_level", "train_on"})
FOLDER = "fgvc-aircraft-2013b"
_LEVELS = ("variant", "family", "manufacturer")


def aircraft_splits(_root: Path, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the official splits; with the option `train_on=trainval`, val is part of train."""
    whole = choice(options, "train_on", ("train", "trainval")) == "trainval"
    return ("train", "test") if whole else ("train", "val", "test")


def load_aircraft(split: str, root: Path, options: Mapping[str, Any]) -> ImageDataset:
    """Return one of the official splits, of about 3333 photos each; ids are the images' numbers.

    Args:
        split: `"train"`, `"val"` or `"test"`.
        root: the folder that holds `fgvc-aircraft-2013b`.
        options: `annotation_level`: `"variant"` (default, 100 classes), `"family"` (70) or `"manufacturer"` (30).
            `train_on`: `"trainval"` makes train the official train and val together.

    Raises:
        DataError: the data is missing or incomplete.
        ConfigError: an option has a value that it cannot have.
    """
    from torchvision.datasets import FGVCAircraft  # slow to import

    level = choice(options, "annotation_level", _LEVELS)
    official = choice(options, "train_on", ("train", "trainval")) if split == "train" else split
    mend = f"Run pal data get aircraft --root {root}, or put {FOLDER} there yourself"
    try:
        listed = FGVCAircraft(root, split=official, annotation_level=level)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise DataError(f"FGVC-Aircraft in {root / FOLDER} is missing or incomplete: {error}", mend) from error
    paths = [Path(path) for path in listed._image_files]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"FGVC-Aircraft is incomplete: {len(missing)} images such as {missing[0]} are missing", mend)
    return ImageDataset(
        name="aircraft",
        split=split,
        images=FileImages(paths),
        labels=np.array(listed._labels, np.int64),
        ids=tuple(path.stem for path in paths),
        class_names=tuple(listed.classes),
        mean=MEAN,
        std=STD,
    )


def fetch_aircraft(root: Path, source: str = "auto") -> Path:
    """Let torchvision download the official archive (2.75 GB) into `root/fgvc-aircraft-2013b`, if it is not there.

    Args:
        root: the folder that data sets are kept in.
        source: `"auto"` or `"official"`, or `"folder"` to download nothing.

    Raises:
        DataError: it cannot be downloaded or written.
        ConfigError: no such source.
    """
    from torchvision.datasets import FGVCAircraft

    choice({"source": source}, "source", ("auto", "official", "folder"))
    folder = root / FOLDER
    if folder.exists():
        return folder
    if source == "folder":
        raise DataError(f"There is no {folder}", f"Run: pal data get aircraft --root {root}")
    print(f"FGVC-Aircraft: fetching 2.75 GB from {FGVCAircraft._URL}", file=sys.stderr)
    try:
        with atomic_folder(folder) as scratch:
            FGVCAircraft(scratch, download=True)
            for part in (scratch / FOLDER).iterdir():
                part.replace(scratch / part.name)
            (scratch / FOLDER).rmdir()
            for archive in scratch.glob("*.tar.gz"):
                archive.unlink()
    except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError, zlib.error) as error:
        raise DataError(
            f"FGVC-Aircraft cannot be had from {FGVCAircraft._URL}: {error}",
            f"Check the connection and the space in {root}, or put the folder {FOLDER} there yourself",
        ) from error
    return folder
