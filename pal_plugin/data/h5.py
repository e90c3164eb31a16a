"""Images in HDF5 files, read when they are needed.

A file holds either arrays called as in `pal_plugin.data.array_files` (`images` and `labels`, or `train_images` …), or,
as solo-learn's do, a group a class with an encoded image (JPEG, PNG …) a data set. A folder may have a file a split:
`train.h5`, `val.h5`, `test.h5`.

HDF5 lets a file say that its content is that of another one: such a file would show whatever its reader may read, as
images. What is not stored in the file itself is refused.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.array_files import as_labels, as_rgb, channel_statistics, numbered, row_ids, splits_of
from pal_plugin.data.dataset import SPLITS, UNLABELLED, ImageDataset
from pal_plugin.data.decode import decode_image
from pal_plugin.data.folder import MEAN, STD
from pal_plugin.data.lazy import Rows, row_numbers
from pal_plugin.data.reading import is_folder, reading
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.progress import progress

_CHUNK_CACHE = 64 << 20  # bytes of unpacked chunks kept for each array; h5py's own 1 MB is less than many a chunk


class H5File:
    """An HDF5 file that every process opens for itself, since a handle must not cross a fork.

    It is opened when it is first used.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: Any = None
        self._arrays: dict[str, Any] = {}
        self._pid = -1

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_handle": None, "_arrays": {}, "_pid": -1}

    @property
    def handle(self) -> Any:
        """The open file, an `h5py.File`.

        Raises:
            DataError: it is missing, damaged or no HDF5 file.
            ConfigError: h5py is not installed.
        """
        if self._pid != os.getpid():
            self._handle, self._arrays, self._pid = _open(self.path), {}, os.getpid()
        return self._handle

    def read(self, name: str, row: int | None = None) -> Any:
        """Return a data set, or a row of it.

        Raises:
            DataError: the file or what is stored there is damaged.
            ConfigError: h5py is not installed.
        """
        try:
            return self.member(name)[()] if row is None else self._array(name)[row]
        except (OSError, KeyError, TypeError, RuntimeError) as error:  # TypeError: a group and no array
            where = name if row is None else f"{name}, row {row}"
            raise DataError(f"{self.path} cannot be read at {where}: {error}", "Write the file anew") from error

    def member(self, name: str) -> Any:
        """Return a group or data set of the file, an `h5py.Group` or `h5py.Dataset`.

        Raises:
            DataError: there is none, or it is in another file.
        """
        handle = self.handle
        try:
            found = None if _leads_out(handle, name) else handle[name]
        except (KeyError, OSError, RuntimeError) as error:
            raise DataError(
                f"{self.path} has nothing at {name}, or a link that leads nowhere: {error}", "Write the file anew"
            ) from error
        if found is None or found.file.filename != handle.filename or _lies_elsewhere(found):
            raise DataError(
                f"{self.path} says that {name} is in another file, which would be read in its place",
                "Write the images themselves into the file, without external or virtual storage and links",
            )
        return found

    def _array(self, name: str) -> Any:
        """Return an open data set, the same at every call: its unpacked chunks are forgotten with it."""
        _ = self.handle  # first: in a fork it forgets what the parent had open
        if name not in self._arrays:
            self._arrays[name] = self.member(name)
        return self._arrays[name]


class H5Images:
    """Images of an HDF5 file: rows of one array, or encoded images that have a data set each.

    Args:
        file: the file.
        names: the data sets.
        rows: which row of the data set is the image; None where the data set is an encoded image.
    """

    def __init__(self, file: H5File, names: Sequence[str], rows: NDArray[np.int64] | None) -> None:
        self._file = file
        self._names = tuple(names)
        self._rows = rows

    def __len__(self) -> int:
        return len(self._names) if self._rows is None else len(self._rows)

    def __getitem__(self, rows: Rows) -> list[NDArray[np.uint8]]:
        """Return the images `rows`, each (H_i, W_i, 3) uint8.

        Raises:
            ImageError: an encoded image cannot be decoded.
            DataError: the file is damaged there.
        """
        return [self._image(row) for row in row_numbers(rows, len(self))]

    def content(self) -> str:
        """SHA-256 over the SHA-256 of every image as it is stored, in order."""
        return self._content

    def subset(self, rows: Rows) -> H5Images:
        """Return the images `rows`."""
        numbers = row_numbers(rows, len(self))
        if self._rows is not None:
            return H5Images(self._file, self._names, self._rows[numbers])
        return H5Images(self._file, [self._names[row] for row in numbers], None)

    @functools.cached_property
    def _content(self) -> str:
        digest = hashlib.sha256()
        for row in progress(range(len(self)), "images hashed"):
            digest.update(hashlib.sha256(self._stored(row).tobytes()).digest())
        return digest.hexdigest()

    def _stored(self, row: int) -> NDArray[np.uint8]:
        if self._rows is None:
            return np.asarray(self._file.read(self._names[row]))
        return np.asarray(self._file.read(self._names[0], int(self._rows[row])))

    def _image(self, row: int) -> NDArray[np.uint8]:
        stored = self._stored(row)
        if self._rows is None:
            return decode_image(stored.tobytes(), f"{self._file.path}:{self._names[row]}")
        return np.ascontiguousarray(as_rgb(stored[None], f"{self._names[0]} in {self._file.path}")[0])


def h5_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a file, or of a folder with a file a split.

    Raises:
        DataError: there is no such file, or it has no images.
        ConfigError: h5py is not installed.
    """
    if is_folder(root):
        with reading(root):
            present = tuple(split for split in SPLITS if (root / f"{split}.h5").is_file())
        if "train" not in present:
            raise DataError(f"{root} has no train.h5", "Name an HDF5 file, or a folder with train.h5")
        return present
    file = H5File(root)
    return ("train",) if _has_classes(file) else splits_of(file.handle.keys(), root)


def load_h5(split: str, root: Path) -> ImageDataset:
    """Return a split; see the module for what a file may hold.

    Mean and standard deviation are those of 1000 evenly spaced training images of an array; of encoded images,
    ImageNet's.

    Raises:
        DataError: a file is missing, damaged or of another layout, or a class of `split` is none of `train`.
        ConfigError: h5py is not installed.
    """
    folder = is_folder(root)
    train = H5File(root / "train.h5" if folder else root)
    file = H5File(root / f"{split}.h5") if folder else train
    if _has_classes(train):
        return _load_classes(split, file, train)
    files = {part: H5File(root / f"{part}.h5") if folder else train for part in h5_splits(root)}
    labels = {part: _labels(part, part_file) for part, part_file in files.items()}
    images = _array(split, file)
    mean, std = channel_statistics(_array("train", train))
    own = labels[split]
    return ImageDataset(
        name="h5",
        split=split,
        images=images,
        labels=np.full(len(images), UNLABELLED) if own is None else own,
        ids=row_ids(split, len(images)),
        class_names=numbered(labels.values(), f"The labels in {root}"),
        mean=mean,
        std=std,
    )


def _open(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ConfigError(
            "Data in HDF5 files needs h5py, which is not installed", "Run pip install 'pal-plugin[h5]'"
        ) from error
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CHUNK_CACHE)
    except OSError as error:
        raise DataError(f"{path} is missing, truncated or no HDF5 file: {error}", "Name an HDF5 file") from error


def _leads_out(handle: Any, name: str) -> bool:
    """Return whether a part of a path is a link into another file, which is not even opened then."""
    import h5py

    parts = name.split("/")
    links = (handle.get("/".join(parts[: end + 1]), getlink=True) for end in range(len(parts)))
    return any(isinstance(link, h5py.ExternalLink) for link in links)  # up to the first: those behind it are in there


def _lies_elsewhere(found: Any) -> bool:
    return bool(getattr(found, "external", None) or getattr(found, "is_virtual", False))  # which a group has not


def _has_classes(file: H5File) -> bool:
    members = [file.member(name) for name in file.handle]
    return bool(members) and all(hasattr(member, "keys") for member in members)  # as groups have, and arrays have not


def _load_classes(split: str, file: H5File, train: H5File) -> ImageDataset:
    classes = tuple(sorted(train.handle))
    unknown = sorted(set(file.handle) - set(classes))
    if unknown:
        raise DataError(
            f"{file.path} has the class {unknown[0]!r}, which {train.path} has not", "Add it there, or remove it here"
        )
    names = [f"{name}/{image}" for name in classes if name in file.handle for image in sorted(file.member(name))]
    numbers = {name: number for number, name in enumerate(classes)}
    labels = np.array([numbers[name.split("/", 1)[0]] for name in names], np.int64)
    return ImageDataset("h5", split, H5Images(file, names, None), labels, tuple(names), classes, MEAN, STD)


def _array(split: str, file: H5File) -> H5Images:
    name = _name(split, "images", file)
    if name not in file.handle:
        raise DataError(f"{file.path} has no array called {name}", "Write one: uint8 (N, H, W, 3) or gray (N, H, W)")
    array = file.member(name)
    if not getattr(array, "shape", ()):
        raise DataError(
            f"{name} in {file.path} is no array of images", "Write one: uint8 (N, H, W, 3) or gray (N, H, W)"
        )
    as_rgb(np.empty((min(1, len(array)), *array.shape[1:]), array.dtype), f"The array {name} in {file.path}")
    return H5Images(file, [name], np.arange(len(array)))


def _labels(split: str, file: H5File) -> NDArray[np.int64] | None:
    name = _name(split, "labels", file)
    if name not in file.handle:
        return None
    return as_labels(np.asarray(file.read(name)), f"The array {name} in {file.path}")


def _name(split: str, what: str, file: H5File) -> str:
    return f"{split}_{what}" if "train_images" in file.handle else what
