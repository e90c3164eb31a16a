from __future__ import annotations

import io
import pickle
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from pal_plugin.data import LazyImages, load_dataset
from pal_plugin.data.h5 import H5File
from pal_plugin.data.loader import EvalDataset
from pal_plugin.data.sources import available_splits
from pal_plugin.errors import ConfigError, DataError, ImageError

RNG = np.random.default_rng(0)


def pictures(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *(shape or (5, 4, 3))), dtype=np.uint8)


def png(number: int, side: int = 4) -> np.ndarray:
    buffer = io.BytesIO()
    Image.new("RGB", (side, 3), (number, 0, 0)).save(buffer, "PNG")
    return np.frombuffer(buffer.getvalue(), np.uint8)


@pytest.fixture
def arrays(tmp_path):
    """A file of arrays with two splits, compressed in blocks, and what is in it."""
    content = {"train_images": pictures(9), "train_labels": np.arange(9) % 4, "test_images": pictures(3)}
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in content.items():
            file.create_dataset(name, data=array, chunks=True, compression="gzip")
    return tmp_path / "x.h5", content


@pytest.fixture
def solo(tmp_path):
    """solo-learn's layout: a file a split, a group a class, an encoded image a data set."""
    for split, classes in (("train", {"n02": 3, "n01": 2}), ("val", {"n02": 1})):
        with h5py.File(tmp_path / f"{split}.h5", "w") as file:
            for name, count in classes.items():
                for image in range(count):
                    file.create_dataset(f"{name}/{name}_{image}.JPEG", data=png(10 * int(name[1:]) + image, 4 + image))
    return tmp_path


def test_arrays(arrays):
    path, content = arrays
    assert available_splits({"dataset": "h5", "root": path}) == ("train", "test")
    train, test = (load_dataset("h5", split, root=path) for split in ("train", "test"))
    assert isinstance(train.images, LazyImages)
    np.testing.assert_array_equal(np.stack(train.images[:]), content["train_images"])
    np.testing.assert_array_equal(np.stack(train.images[[7, 0, 7]]), content["train_images"][[7, 0, 7]])
    assert train.labels.tolist() == content["train_labels"].tolist()
    assert (train.num_classes, test.num_classes, test.labels.tolist()) == (4, 4, [-1] * 3)
    np.testing.assert_allclose(train.mean, content["train_images"].mean((0, 1, 2)) / 255, atol=1e-12)
    assert (test.mean, test.std) == (train.mean, train.std)
    part = train.subset(4, 0)
    np.testing.assert_array_equal(
        np.stack(part.images[:]), content["train_images"][[train.ids.index(name) for name in part.ids]]
    )
    assert part.images.content() == train.images.subset([train.ids.index(name) for name in part.ids]).content()
    assert part.images.content() != train.images.content()


def test_gray_arrays_without_labels(tmp_path):
    gray = pictures(4, 6, 5)
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["images"] = gray
    data = load_dataset("h5", "train", root=tmp_path / "g.h5")
    np.testing.assert_array_equal(np.stack(data.images[:]), np.stack([gray] * 3, -1))
    assert (data.num_classes, data.labels.tolist()) == (0, [-1] * 4)


def test_solo_learns_layout(solo):
    assert available_splits({"dataset": "h5", "root": solo}) == ("train", "val")
    train, val = (load_dataset("h5", split, root=solo) for split in ("train", "val"))
    assert train.class_names == ("n01", "n02")
    assert train.ids[:3] == ("n01/n01_0.JPEG", "n01/n01_1.JPEG", "n02/n02_0.JPEG")
    assert [int(image[0, 0, 0]) for image in train.images[:]] == [10, 11, 20, 21, 22]
    assert [image.shape for image in train.images[3:]] == [(3, 5, 3), (3, 6, 3)]
    assert val.labels.tolist() == [1]
    assert train.take([4, 0]).images.content() != train.take([0, 4]).images.content()
    alone = load_dataset("h5", "train", root=solo / "train.h5")
    assert (alone.ids, alone.manifest) == (train.ids, train.manifest)


def test_solo_learns_layout_with_problems(solo):
    with h5py.File(solo / "val.h5", "a") as file:
        file.create_dataset("n03/x.JPEG", data=png(1))
    with pytest.raises(DataError, match=r"val\.h5 has the class 'n03', which .*train\.h5 has not"):
        load_dataset("h5", "val", root=solo)
    with h5py.File(solo / "train.h5", "a") as file:
        file.create_dataset("n01/bad.JPEG", data=np.frombuffer(b"no image", np.uint8))
    train = load_dataset("h5", "train", root=solo)
    with pytest.raises(ImageError, match=r"train\.h5:n01/bad\.JPEG cannot be decoded"):
        train.images[:]


def elsewhere(file, name, way, other):
    """Let `name` in an open file be 12 images of another file."""
    shape = (12, 8, 8, 3)
    if way == "external storage":
        file.create_dataset(name, shape=shape, dtype="u1", external=[(str(other), 0, h5py.h5f.UNLIMITED)])
    elif way == "virtual":
        layout = h5py.VirtualLayout(shape, "u1")
        layout[:] = h5py.VirtualSource(str(other), "images", shape)
        file.create_virtual_dataset(name, layout)
    elif way == "external link":
        file[name] = h5py.ExternalLink(str(other), "/images")
    else:  # a link within the file to one that leads out
        file["links/out"] = h5py.ExternalLink(str(other), "/images")
        file[name] = h5py.SoftLink("/links/out")


WAYS = ["external storage", "virtual", "external link", "soft link"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["images", "labels", "n01/a.JPEG"])
def test_nothing_is_read_from_another_file(name, way, tmp_path):
    """Whoever is handed such a file would show what is in one of their own."""
    secret = pictures(12, 8, 8, 3)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["images"] = secret
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if name == "labels":
            file["images"] = pictures(12, 8, 8, 3)
        elsewhere(file, name, way, tmp_path / "other.h5")
    with pytest.raises(DataError, match=r"x\.h5 (says that .* is in another file|has nothing at)"):
        load_dataset("h5", "train", root=tmp_path / "x.h5").images[:]


@pytest.mark.parametrize("link", [h5py.SoftLink("/nowhere"), h5py.ExternalLink("none.h5", "/x")])
@pytest.mark.parametrize("name", ["images", "labels", "n01/a.JPEG"])
def test_a_link_that_leads_nowhere_is_named(name, link, tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        if name == "labels":
            file["images"] = pictures(2)
        file[name] = link
    with pytest.raises(DataError, match=r"x\.h5 (says that|has nothing at|has no array)"):
        load_dataset("h5", "train", root=tmp_path / "x.h5").images[:]


def test_a_link_within_the_file_is_followed(tmp_path):
    content = pictures(3)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["images"] = content
        file["labels"] = h5py.SoftLink("/other/labels")
        file["other/labels"] = np.array([0, 1, 1])
    assert load_dataset("h5", "train", root=tmp_path / "x.h5").labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_open_the_file_themselves(arrays, start):
    path, content = arrays
    data = load_dataset("h5", "train", root=path)
    data.images[[0]]  # the parent's handle is open
    images = EvalDataset(data, 4)
    loader = DataLoader(images, batch_size=2, num_workers=2, collate_fn=list, multiprocessing_context=start)
    assert torch.equal(torch.cat([x for x, _ in loader]), images.__getitems__(range(9))[0])
    assert torch.cat([y for _, y in loader]).tolist() == content["train_labels"].tolist()


def test_pickle_carries_no_handle(arrays):
    images = load_dataset("h5", "train", root=arrays[0]).images
    images[[0]]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(images))[[5]][0], images[[5]][0])


def test_damaged_files(arrays, tmp_path):
    path, _ = arrays
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"x\.h5 is missing, truncated or no HDF5 file"):
        load_dataset("h5", "train", root=path)
    path.write_text("something else")
    with pytest.raises(DataError, match=r"x\.h5 is missing, truncated or no HDF5 file"):
        load_dataset("h5", "train", root=path)
    with pytest.raises(DataError, match=r"has no train\.h5"):
        load_dataset("h5", "train", root=tmp_path)


def test_a_damaged_block_is_named(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        array = file.create_dataset("images", data=pictures(8, 16, 16, 3), chunks=(1, 16, 16, 3), fletcher32=True)
        offset = array.id.get_chunk_info(5).byte_offset
    with (tmp_path / "x.h5").open("r+b") as file:
        file.seek(offset + 100)
        file.write(b"damage")
    with pytest.raises(DataError, match=r"x\.h5 cannot be read at images, row 5"):
        load_dataset("h5", "train", root=tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, "float32, not uint8"),
        ({"images": np.zeros((2, 3, 4, 4), np.uint8)}, "transpose"),
        ({"pictures": pictures(2)}, "no array called images or train_images; it has pictures"),
        ({}, "it has none at all"),
        ({"images": pictures(2), "labels": np.zeros((2, 5), int)}, "5 labels an image"),
        ({"images": pictures(2), "labels": np.zeros(3, int)}, "labels are int64"),
        ({"images": pictures(2), "labels": 1}, r"int64 of shape \(\)"),
        ({"images": pictures(2), "labels/a": 1}, "cannot be read at labels"),
        ({"images": 1, "labels": np.zeros(2, int)}, "images in .* is no array of images"),
        ({"images/a": 1, "labels": np.zeros(2, int)}, "images in .* is no array of images"),
    ],
)
def test_malformed_arrays(tmp_path, content, message):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, array in content.items():
            file[name] = array
    with pytest.raises(DataError, match=message):
        load_dataset("h5", "train", root=tmp_path / "x.h5")


def test_a_split_that_has_no_array(tmp_path):
    for name, array, content in (("train", "images", pictures(2)), ("val", "labels", [0, 1])):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file[array] = content
    with pytest.raises(DataError, match=r"val\.h5 has no array called images"):
        load_dataset("h5", "val", root=tmp_path)


@pytest.mark.slow
def test_without_h5py_the_error_says_how_to_get_it(tmp_path):
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "from pathlib import Path\n"
        "from pal_plugin.data import load_dataset\n"
        "load_dataset('h5', 'train', root=Path('x.h5'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "ConfigError: Data in HDF5 files needs h5py" in done.stderr
    assert "pal-plugin[h5]" in done.stderr
    assert ConfigError.__name__ in done.stderr


def test_rows_of_a_chunk_are_unpacked_once(tmp_path):
    """Reading a chunk's other rows takes far less than unpacking it for every one of them."""
    content = pictures(100, 128, 128, 3)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("images", data=content, chunks=content.shape, compression="gzip")
    file = H5File(tmp_path / "x.h5")
    begun = time.perf_counter()
    file.read("images", 0)
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    rows = [file.read("images", row) for row in range(1, 40)]
    others = time.perf_counter() - begun
    np.testing.assert_array_equal(np.stack(rows), content[1:40])
    assert others < 10 * first


def test_a_file_is_looked_at_when_it_is_used(tmp_path):
    file = H5File(tmp_path / "x.h5")
    with pytest.raises(DataError, match=r"x\.h5 is missing"):
        file.read("images", 0)
