from __future__ import annotations

import zipfile

import numpy as np
import pytest

from pal_plugin.data import LazyImages, load_dataset
from pal_plugin.data.sources import available_splits
from pal_plugin.errors import ConfigError, DataError

RNG = np.random.default_rng(0)


def pictures(count: int, *shape: int) -> np.ndarray:
    return RNG.integers(0, 256, (count, *(shape or (5, 4, 3))), dtype=np.uint8)


def test_npz_with_images_and_labels(tmp_path):
    images, labels = pictures(7), np.array([0, 2, 2, -1, 0, 0, 2], np.int16)
    np.savez_compressed(tmp_path / "mine.npz", images=images, labels=labels)
    mine = load_dataset("arrays", "train", root=tmp_path / "mine.npz")
    np.testing.assert_array_equal(mine.images, images)
    assert mine.labels.tolist() == labels.tolist()
    assert mine.class_names == ("0", "1", "2")
    assert mine.ids[3] == "train/000003"
    np.testing.assert_allclose(mine.mean, images.mean((0, 1, 2)) / 255, atol=1e-12)
    np.testing.assert_allclose(mine.std, images.std((0, 1, 2)) / 255, atol=1e-12)
    assert available_splits({"dataset": "arrays", "root": tmp_path / "mine.npz"}) == ("train",)


def test_a_folder_of_npy_files_is_mapped(tmp_path):
    train, test = pictures(6), pictures(2)
    np.save(tmp_path / "train_images.npy", train)
    np.save(tmp_path / "train_labels.npy", np.arange(6)[:, None])
    np.save(tmp_path / "test_images.npy", test)
    held = load_dataset("arrays", "test", root=tmp_path)
    np.testing.assert_array_equal(held.images, test)
    assert held.labels.tolist() == [-1, -1]
    assert held.num_classes == 6  # as in train
    assert held.mean == load_dataset("arrays", "train", root=tmp_path).mean
    assert isinstance(load_dataset("arrays", "train", root=tmp_path).images.base, np.memmap)


def test_one_npy_file_is_unlabelled_train(tmp_path):
    np.save(tmp_path / "x.npy", pictures(3, 6, 6))
    mine = load_dataset("arrays", "train", root=tmp_path / "x.npy")
    assert (mine.images.shape, mine.num_classes, mine.labels.tolist()) == ((3, 6, 6, 3), 0, [-1] * 3)
    assert not isinstance(mine.images, LazyImages)
    assert (mine.images == mine.images[..., :1]).all()


def test_images_of_one_colour_keep_a_usable_deviation(tmp_path):
    np.save(tmp_path / "x.npy", np.full((3, 2, 2), 51, np.uint8))
    mine = load_dataset("arrays", "train", root=tmp_path / "x.npy")
    np.testing.assert_allclose(mine.mean, 0.2)
    assert mine.std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 4, 4, 3), np.float32)}, r"images in .*x\.npz is float32, not uint8.*\* 255"),
        ({"images": np.zeros((2, 4, 4, 3), np.int64)}, "int64, not uint8"),
        ({"images": np.zeros((2, 3, 4, 5), np.uint8)}, r"shape \(2, 3, 4, 5\).*transpose\(0, 2, 3, 1\)"),
        ({"images": np.zeros((2, 4, 4, 4), np.uint8)}, r"shape \(2, 4, 4, 4\)"),
        ({"images": np.zeros(5, np.uint8)}, r"shape \(5,\)"),
        ({"images": np.zeros((0, 4, 4, 3), np.uint8)}, "has no images"),
        ({"images": np.zeros((3, 0, 0, 3), np.uint8)}, r"shape \(3, 0, 0, 3\), which is not that of images"),
        ({"images": pictures(2), "labels": np.zeros((2, 0), int)}, r"labels in .* is int64 of shape \(2, 0\)"),
        ({"images": pictures(2), "labels": np.zeros(0, int)}, r"labels are int64 of shape \(0,\) for 2 images"),
        ({"images": pictures(2), "labels": np.array([0, 2**64 - 1], np.uint64)}, "the label 18446744073709551615"),
        (
            {"images": pictures(3), "labels": np.array([0, 1, 1_700_000_000])},
            r"labels in .*x\.npz have the label 1700000000.*3 samples.*np\.unique\(y, return_inverse=True\)",
        ),
        ({"images": pictures(2), "labels": np.array([0, 1, 1])}, r"labels are int64 of shape \(3,\) for 2 images"),
        ({"images": pictures(2), "labels": np.array([0.0, 1.0])}, "float64"),
        ({"images": pictures(2), "labels": np.int64(1)}, r"int64 of shape \(\)"),
        ({"images": pictures(2), "labels": np.array([0, -3])}, "the label -3"),
        ({"images": pictures(2), "labels": np.eye(2, dtype=int)}, r"2 labels an image.*argmax"),
        ({"images": np.array([None, "x"])}, "cannot be read"),
        ({"pictures": pictures(2)}, "no array called images or train_images; it has pictures"),
        ({"test_images": pictures(2)}, "no array called images or train_images"),
    ],
)
def test_malformed_arrays_are_named(tmp_path, arrays, message):
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset("arrays", "train", root=tmp_path / "x.npz")


@pytest.mark.parametrize("keep", [0, 10, 300, -200])
def test_truncated_npz(tmp_path, keep):
    np.savez(tmp_path / "x.npz", images=pictures(20))
    content = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(content[:keep])
    with pytest.raises(DataError, match=r"x\.npz is missing, truncated"):
        load_dataset("arrays", "train", root=tmp_path / "x.npz")


def test_a_flipped_bit_is_found(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", images=pictures(200))
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[len(content) // 2] ^= 16
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"The array images in .*x\.npz cannot be read"):
        load_dataset("arrays", "train", root=tmp_path / "x.npz")


@pytest.mark.parametrize("name", ["x.bin", "x", "x.npz"])
def test_an_array_under_another_ending_is_named(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        np.save(file, pictures(2))
    with pytest.raises(DataError, match=rf"{name} is missing, truncated or no \.npz file"):
        load_dataset("arrays", "train", root=tmp_path / name)


def test_the_ending_of_an_array_may_be_in_capitals(tmp_path):
    with (tmp_path / "X.NPY").open("wb") as file:
        np.save(file, pictures(2))
    assert len(load_dataset("arrays", "train", root=tmp_path / "X.NPY")) == 2


def test_a_million_classes_are_believed(tmp_path):
    np.savez(tmp_path / "x.npz", images=pictures(2), labels=np.array([0, 1_000_000]))
    assert load_dataset("arrays", "train", root=tmp_path / "x.npz").num_classes == 1_000_001


def test_other_files(tmp_path):
    (tmp_path / "x.npz").write_text("no zip")
    (tmp_path / "x.npy").write_text("no array")
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("images.npy", b"no array")
    for name in ("x.npz", "x.npy", "y.npz", "nowhere.npz", "nowhere"):
        with pytest.raises(DataError, match=name.replace(".", r"\.")):
            load_dataset("arrays", "train", root=tmp_path / name)
    with pytest.raises(DataError, match="has no array called images"):
        load_dataset("arrays", "train", root=tmp_path)


# --- MedMNIST, whose files have this layout ---------------------------------------------------------------------------


def medmnist(folder, flag, channels, classes, labels_each=1, side=28) -> dict[str, np.ndarray]:
    shape = (side, side, 3) if channels == 3 else (side, side)
    sizes = {"train": 12, "val": 5, "test": 6}
    arrays = {f"{split}_images": pictures(size, *shape) for split, size in sizes.items()}
    labels = {f"{split}_labels": np.arange(size * labels_each) % classes for split, size in sizes.items()}
    arrays |= {name: part.reshape(-1, labels_each).astype(np.uint8) for name, part in labels.items()}
    np.savez_compressed(folder / f"{flag}.npz", **arrays)
    return arrays


@pytest.mark.parametrize(("flag", "channels", "classes"), [("pathmnist", 3, 9), ("tissuemnist", 1, 8)])
def test_medmnist(tmp_path, flag, channels, classes):
    stored = medmnist(tmp_path, flag, channels, classes)
    options = {"flag": flag}
    assert available_splits({"dataset": "medmnist", "root": tmp_path, "options": options}) == ("train", "val", "test")
    for split in ("train", "val", "test"):
        data = load_dataset("medmnist", split, root=tmp_path, options=options)
        assert (data.name, data.split, data.num_classes) == (flag, split, classes)
        assert data.images.shape == (len(stored[f"{split}_images"]), 28, 28, 3)
        expected = stored[f"{split}_images"]
        np.testing.assert_array_equal(data.images, expected if channels == 3 else np.stack([expected] * 3, -1))
        assert data.labels.tolist() == stored[f"{split}_labels"][:, 0].tolist()
    assert {"pathmnist": "mucus", "tissuemnist": "leukocytes"}[flag] in data.class_names


def test_other_medmnist_sets_have_numbered_classes_and_sizes_of_their_own(tmp_path):
    medmnist(tmp_path, "bloodmnist_64", 3, 5, side=64)
    blood = load_dataset("medmnist", "val", root=tmp_path, options={"flag": "bloodmnist_64"})
    assert (blood.images.shape[1:], blood.class_names) == ((64, 64, 3), ("0", "1", "2", "3", "4"))


def test_medmnist_that_does_not_fit(tmp_path):
    medmnist(tmp_path, "chestmnist", 1, 2, labels_each=14)
    with pytest.raises(DataError, match=r"train_labels in .*chestmnist\.npz has 14 labels an image: it is multi-label"):
        load_dataset("medmnist", "train", root=tmp_path, options={"flag": "chestmnist"})
    np.savez(tmp_path / "nodulemnist3d.npz", train_images=pictures(2, 28, 28, 28))
    with pytest.raises(DataError, match=r"shape \(2, 28, 28, 28\), which is not that of images"):
        load_dataset("medmnist", "train", root=tmp_path, options={"flag": "nodulemnist3d"})
    with pytest.raises(DataError, match=r"no .*pathmnist\.npz.*Zenodo"):
        load_dataset("medmnist", "train", root=tmp_path, options={"flag": "pathmnist"})
    with pytest.raises(ConfigError, match=r"many data sets.*flag=pathmnist"):
        load_dataset("medmnist", "train", root=tmp_path)
