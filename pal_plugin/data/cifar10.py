"""CIFAR-10 (Krizhevsky, 2009) in its binary version, from a folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from pal_plugin.data.dataset import ImageDataset
from pal_plugin.errors import ChecksumError, DataError

FOLDER = "cifar-10-batches-bin"
MD5 = {
    "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEAN = (0.4914, 0.4822, 0.4465)
STD = (0.2470, 0.2435, 0.2616)
_SIDE = 32
_RECORD = 1 + 3 * _SIDE * _SIDE  # a label, then the red, green and blue planes


def load_cifar10(split: str, root: Path) -> ImageDataset:
    """Return the 50,000 training or 10,000 test images.

    Args:
        split: `"train"` or `"test"`.
        root: the folder that holds (or will hold) `cifar-10-batches-bin`.

    Raises:
        DataError: the files are not there.
        ChecksumError: a file is not the published one.
    """
    folder = root / FOLDER
    check_files(folder)
    names = [name for name in MD5 if name.startswith("test") == (split == "test")]
    records = np.concatenate([np.fromfile(folder / name, np.uint8).reshape(-1, _RECORD) for name in names])
    planes = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    per_file = len(records) // len(names)
    return ImageDataset(
        name="cifar10",
        split=split,
        images=np.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=records[:, 0].astype(np.int64),
        ids=tuple(f"{Path(name).stem}/{row:04d}" for name in names for row in range(per_file)),
        class_names=CLASSES,
        mean=MEAN,
        std=STD,
    )


def check_files(folder: Path) -> None:
    """Compare every file with its published checksum.

    Raises:
        DataError: a file is missing.
        ChecksumError: a file is not the published one.
    """
    for name, expected in MD5.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"CIFAR-10 is incomplete: there is no {path}", "Run: pal data cifar10")
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise ChecksumError(
                f"{path} is not the published file: its MD5 is {found}, not {expected}",
                f"Delete the folder {folder}, then run: pal data cifar10",
            )
