"""CIFAR-100 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009), in its Python version.

That version, because each of its files has a published checksum. They are pickles of Python 2; what they may name is
limited to what the published ones do.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.origins import OfficialArchive, read_file
from pal_plugin.errors import DataError

CIFAR100 = Release(
    title="CIFAR-100",
    name="cifar100",
    folder="cifar-100-python",
    md5={
        "train": "16019d7e3df5f24257cddd939b257f8d",
        "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
        "meta": "7973b15100ade9c7d40fb424638fde48",
    },
    origins=(
        OfficialArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            md5="eb9058c3a382ffc7106e4002c42a8d85",
            inside="cifar-100-python",
        ),
    ),
)
MEAN = (0.5071, 0.4865, 0.4409)
STD = (0.2673, 0.2564, 0.2762)
_SIDE = 32


def load_cifar100(split: str, root: Path) -> ImageDataset:
    """Return the 50,000 training or 10,000 test images of 100 (fine) classes, fetching and verifying the files first.

    Args:
        split: `"train"` or `"test"`.
        root: the folder that data sets are kept in.

    Raises:
        ChecksumError: a file is not the published one, or an archive is damaged.
        DataError: a file is missing, or nothing could be fetched.
    """
    return read_python(fetch(CIFAR100, root), split)


def read_python(folder: Path, split: str) -> ImageDataset:
    """Read the files `train` or `test`, and `meta`, of the Python version; ids are such as `train/00042`.

    Raises:
        DataError: a file cannot be read or is not of that version's layout.
    """
    content = _unpickle(folder, split, {b"data", b"fine_labels", b"coarse_labels"})
    names = _unpickle(folder, "meta", {b"fine_label_names", b"coarse_label_names"})
    planes = np.asarray(content[b"data"], np.uint8).reshape(-1, 3, _SIDE, _SIDE)
    return ImageDataset(
        name="cifar100",
        split=split,
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=np.asarray(content[b"fine_labels"], np.int64),
        ids=tuple(f"{split}/{row:05d}" for row in range(len(planes))),
        class_names=tuple(name.decode() for name in names[b"fine_label_names"]),
        mean=MEAN,
        std=STD,
        coarse_labels=np.asarray(content[b"coarse_labels"], np.int64),
        coarse_names=tuple(name.decode() for name in names[b"coarse_label_names"]),
    )


def _unpickle(folder: Path, name: str, keys: set[bytes]) -> dict[bytes, Any]:
    path, mend = folder / name, "Put the published file in its place"
    pickled = read_file(folder, name, mend)
    try:
        content = _ArrayUnpickler(io.BytesIO(pickled), encoding="bytes").load()
    except Exception as error:  # unpickling raises whatever it stumbles over
        raise DataError(f"{path} cannot be read: {error}", mend) from error
    if not isinstance(content, dict) or not keys <= content.keys():
        wanted = ", ".join(sorted(key.decode() for key in keys))
        raise DataError(f"{path} does not hold {wanted}", mend)
    return content


class _ArrayUnpickler(pickle.Unpickler):
    """Reads containers, numbers, strings and NumPy arrays, and refuses to call anything else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return NumPy's constructors under the names they had in NumPy 1."""
        if (module, name) == ("numpy.core.multiarray", "_reconstruct"):
            return np.zeros(0).__reduce__()[0]
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it wants to call {module}.{name}")
