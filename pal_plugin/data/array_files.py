"""Images and labels that the user has as arrays: an `.npz` file, an `.npy` file, or a folder of `.npy` files.

They are called `images` and `labels`, and are all train; or `train_images`, `train_labels`, `val_images` … as in
MedMNIST's files. Labels may be missing.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.arrays import UNREADABLE, AnyArray, read_array
from pal_plugin.data.dataset import SPLITS, UNLABELLED, ImageDataset, Images
from pal_plugin.data.lazy import LazyImages
from pal_plugin.data.reading import is_folder, reading
from pal_plugin.errors import DataError

# and what archives raise: an encrypted entry, or one that is packed in an unknown way, is a RuntimeError; a file of one
# array is no archive to be opened, a TypeError (an AttributeError before Python 3.11)
_DAMAGED = (*UNREADABLE, AttributeError, KeyError, RuntimeError, TypeError, zipfile.BadZipFile, zlib.error)
_MEND = "Write images as uint8 (N, H, W, 3) or gray (N, H, W), and labels as whole numbers (N,) from 0"
_SAMPLE = 1000  # images that the statistics of a lazily read data set come from
_BLOCK = 4096
_MOST_CLASSES = 1_000_000  # that are taken for class numbers however few the samples are


class ArrayFile:
    """Named arrays in an `.npz` file, in a folder of `.npy` files, or the one array `images` of an `.npy` file.

    Args:
        path: the file or folder.

    Raises:
        DataError: it is none of these, cannot be read, or an array in it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if is_folder(path):
            with reading(path):  # Path.glob would find nothing where it may not look
                self._files = {file.stem: file for file in sorted(path.iterdir()) if file.suffix == ".npy"}
            self.names: Collection[str] = self._files.keys()
        elif path.suffix.lower() == ".npy":
            self._files = {"images": path}
            self.names = self._files.keys()
        else:
            self._files = {}
            try:
                with np.load(path, allow_pickle=False) as archive:
                    self.names = frozenset(archive.files)
            except _DAMAGED as error:
                raise DataError(
                    f"{path} is missing, truncated or no .npz file: {error}",
                    "Name an .npz file, an .npy file or a folder of .npy files",
                ) from error

    def read(self, name: str) -> AnyArray:
        """Return an array; one from an `.npy` file is mapped, not read.

        Raises:
            DataError: it is damaged, or holds Python objects.
        """
        if name in self._files:
            return read_array(self._files[name], DataError, _MEND)
        try:
            with np.load(self.path, allow_pickle=False) as archive:
                array = archive[name]
        except _DAMAGED as error:
            raise DataError(f"The array {name} in {self.path} cannot be read: {error}", _MEND) from error
        if not isinstance(array, np.ndarray):  # NumPy hands out what is no array as bytes
            raise DataError(f"What {self.path} holds as {name} is no array", _MEND)
        return array


def splits_of(names: Collection[str], place: Path) -> tuple[str, ...]:
    """Return the splits that arrays of these names make up.

    Raises:
        DataError: there is neither `images` nor `train_images`.
    """
    present = tuple(split for split in SPLITS if f"{split}_images" in names)
    if "train" in present:
        return present
    if "images" in names and not present:
        return ("train",)
    raise DataError(
        f"{place} has no array called images or train_images; it has {', '.join(sorted(names)) or 'none at all'}",
        _MEND,
    )


def array_splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the arrays in `root` make up; see `splits_of`."""
    return splits_of(ArrayFile(root).names, root)


def load_arrays(split: str, root: Path) -> ImageDataset:
    """Return a split of the arrays in `root`; ids are row numbers, such as `train/000042`.

    Raises:
        DataError: the arrays are missing, damaged, or of the wrong shape or type.
    """
    return read_arrays(ArrayFile(root), "arrays", split)


def read_arrays(file: ArrayFile, name: str, split: str, class_names: tuple[str, ...] | None = None) -> ImageDataset:
    """Return a split of the arrays in `file` as the data set `name`.

    Without `class_names` there are as many classes as the largest label of any split says, called by their numbers.

    Raises:
        DataError: see `load_arrays`.
    """
    labels = {part: _labels(file, part) for part in splits_of(file.names, file.path)}
    images, own = _images(file, split), labels[split]
    mean, std = channel_statistics(images if split == "train" else _images(file, "train"))
    return ImageDataset(
        name=name,
        split=split,
        images=images,
        labels=np.full(len(images), UNLABELLED) if own is None else own,
        ids=row_ids(split, len(images)),
        class_names=numbered(labels.values(), f"The labels in {file.path}") if class_names is None else class_names,
        mean=mean,
        std=std,
    )


def row_ids(split: str, count: int) -> tuple[str, ...]:
    """Return the ids of samples that have no names: `train/000042` and so on."""
    return tuple(f"{split}/{row:06d}" for row in range(count))


def numbered(labels: Collection[NDArray[np.int64] | None], where: str) -> tuple[str, ...]:
    """Return as many class names, their numbers, as the largest label needs; errors as of `class_count`."""
    return tuple(map(str, range(class_count([part for part in labels if part is not None], where))))


def class_count(labels: Collection[NDArray[np.int64]], where: str) -> int:
    """Return how many classes there are by the largest label.

    Args:
        labels: of all splits.
        where: what messages call them.

    Raises:
        DataError: there would be far more classes than samples: the labels are some other numbers, such as times.
    """
    samples = sum(len(part) for part in labels)
    largest = max((int(part.max()) for part in labels if len(part)), default=UNLABELLED)
    if largest > max(_MOST_CLASSES, 10 * samples):
        raise DataError(
            f"{where} have the label {largest}, far above the number of their {samples} samples",
            "Number the classes from 0 without gaps: _, y = np.unique(y, return_inverse=True)",
        )
    return largest + 1


def as_rgb(images: AnyArray, where: str) -> NDArray[np.uint8]:
    """Return (N, H, W, 3); gray (N, H, W) or (N, H, W, 1) is repeated.

    Raises:
        DataError: another type or shape, or no images.
    """
    shape = images.shape
    if not shape or not shape[0]:
        raise DataError(f"{where} has no images", _MEND)
    if images.dtype != np.uint8:
        scaled = " ((x * 255).round().astype('uint8') if they run from 0 to 1)" if images.dtype.kind == "f" else ""
        raise DataError(f"{where} is {images.dtype}, not uint8", f"Convert it to values from 0 to 255{scaled}")
    if 0 not in shape:
        if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
            return np.repeat(images.reshape(*shape[:3], 1), 3, axis=3)
        if len(shape) == 4 and shape[3] == 3:
            return images
    mend = "Transpose it: x.transpose(0, 2, 3, 1)" if len(shape) == 4 and shape[1] in (1, 3) else _MEND
    raise DataError(f"{where} has the shape {shape}, which is not that of images", mend)


def as_labels(labels: AnyArray, where: str) -> NDArray[np.int64]:
    """Return (N,) int64; (N, 1) is squeezed.

    Raises:
        DataError: several labels an image, another type or shape, or a label below -1 or above what int64 holds.
    """
    if labels.ndim == 2 and labels.shape[1] > 1:
        raise DataError(
            f"{where} has {labels.shape[1]} labels an image: it is multi-label (or one-hot)",
            "Give one class an image: of one-hot labels, y.argmax(axis=1); of multi-label data, leave the labels out",
        )
    if labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or labels.shape[1:] == (0,):
        raise DataError(f"{where} is {labels.dtype} of shape {labels.shape}", _MEND)
    flat = labels.reshape(-1)
    if len(flat):
        least, largest = int(flat.min()), int(flat.max())
        if least < UNLABELLED or largest > np.iinfo(np.int64).max:  # beyond it the largest uint64 would turn into -1
            wrong = least if least < UNLABELLED else largest
            raise DataError(f"{where} has the label {wrong}", "Number the classes from 0; -1 means no label")
    return flat.astype(np.int64)


def channel_statistics(images: Images) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return mean and standard deviation of the channels, in [0, 1].

    They are those of all images in memory, or of 1000 evenly spaced ones where images are read lazily.
    """
    if isinstance(images, LazyImages):
        images = np.stack(images[np.unique(np.linspace(0, len(images) - 1, _SAMPLE).astype(np.int64))])
    counts = np.zeros((3, 256), np.int64)  # histograms are exact, and small
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK]
        counts += [np.bincount(block[..., channel].reshape(-1), minlength=256) for channel in range(3)]
    levels = np.arange(256) / 255
    mean = counts @ levels / counts.sum(1)
    std = np.sqrt(np.maximum(counts @ levels**2 / counts.sum(1) - mean**2, 0))
    std[std == 0] = 1.0  # an image set of one colour is only centred
    return _triple(mean), _triple(std)


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _images(file: ArrayFile, split: str) -> NDArray[np.uint8]:
    name = _name(file, split, "images")
    return as_rgb(file.read(name), f"The array {name} in {file.path}")


def _labels(file: ArrayFile, split: str) -> NDArray[np.int64] | None:
    name = _name(file, split, "labels")
    if name not in file.names:
        return None
    return as_labels(file.read(name), f"The array {name} in {file.path}")


def _name(file: ArrayFile, split: str, what: str) -> str:
    return f"{split}_{what}" if "train_images" in file.names else what
