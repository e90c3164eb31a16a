from __future__ import annotations

import os
import pickle
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data import FileImages, LazyImages, load_dataset
from pal_plugin.data.sources import available_splits
from pal_plugin.data.verify import verify
from pal_plugin.errors import ConfigError, DataError, ImageError


def put(root: Path, *names: str) -> None:
    """Write an image under each name; its red is the number of the name, its size differs from name to name."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4 + number, 9 - number % 5), (number, 0, 0)).save(path, "PNG")


def reds(dataset) -> list[int]:
    return [int(image[0, 0, 0]) for image in dataset.images[:]]


def load(root: Path, split: str = "train", **options):
    return load_dataset("folder", split, root=root, options=options)


def test_flat_folder_is_unlabelled(tmp_path):
    put(tmp_path, "b.png", "a.png", "c.JPG")
    photos = load(tmp_path)
    assert photos.ids == ("a.png", "b.png", "c.JPG")
    assert reds(photos) == [1, 0, 2]
    assert photos.labels.tolist() == [-1, -1, -1]
    assert photos.num_classes == 0
    assert photos.class_names == ()
    assert isinstance(photos.images, LazyImages)
    assert [image.shape for image in photos.images[[1, 0]]] == [(9, 4, 3), (8, 5, 3)]


def test_sub_folders_are_classes(tmp_path):
    put(tmp_path, "dog/x.png", "cat/deep/er/y.png", "cat/a.png", "dog/w.png")
    pets = load(tmp_path)
    assert pets.ids == ("cat/a.png", "cat/deep/er/y.png", "dog/w.png", "dog/x.png")
    assert pets.class_names == ("cat", "dog")
    assert pets.labels.tolist() == [0, 0, 1, 1]
    assert load(tmp_path, labelled=False).labels.tolist() == [-1] * 4
    assert load(tmp_path, labelled=False).manifest == pets.manifest


def test_one_class(tmp_path):
    put(tmp_path, "photos/1.png", "photos/2.png")
    assert load(tmp_path).class_names == ("photos",)


def test_an_image_outside_the_classes(tmp_path):
    put(tmp_path, "cat/1.png", "2.png")
    assert load(tmp_path).num_classes == 0
    with pytest.raises(DataError, match=r"The image 2\.png in .* lies in no class's folder.*labelled=false"):
        load(tmp_path, labelled=True)


def test_splits(tmp_path):
    put(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/dog/9.png", "elsewhere/3.png")
    assert available_splits({"dataset": "folder", "root": tmp_path}) == ("train", "test")
    assert available_splits({"dataset": "folder", "root": tmp_path, "val_fraction": 0.5}) == ("train", "val", "test")
    train, test = load(tmp_path), load(tmp_path, "test")
    assert train.ids == ("cat/1.png", "dog/1.png")
    assert (test.ids, test.labels.tolist(), test.class_names) == (("dog/9.png",), [1], ("cat", "dog"))
    with pytest.raises(ConfigError, match=r"no split 'val'.*train, test.*val_fraction"):
        load(tmp_path, "val")
    put(tmp_path, "val/loose.png")  # labels have to be had in every split or in none
    assert load(tmp_path).num_classes == 0


def test_split_problems(tmp_path):
    put(tmp_path, "train/cat/1.png", "test/wolf/9.png")
    with pytest.raises(DataError, match=r"test has the class 'wolf', which .*train has not"):
        load(tmp_path, "test")
    put(tmp_path / "other", "test/1.png", "b/1.png")
    with pytest.raises(DataError, match="has a folder test, but none called train"):
        load(tmp_path / "other")
    (tmp_path / "void" / "train").mkdir(parents=True)
    with pytest.raises(DataError, match=r"void/train has no images.*\.jpg"):
        load(tmp_path / "void")
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"folder is your own.*--root"):
        load_dataset("folder", "train")


def test_what_counts_as_an_image(tmp_path, capsys):
    put(tmp_path, "a.png", ".hidden.png", ".thumbnails/t.png", "B.PNG", "A.png", "d/._a.png")
    for name in ("notes.txt", "b.heic", "c.HEIC", "bare"):
        (tmp_path / name).write_text("x")
    assert load(tmp_path).ids == ("A.png", "B.PNG", "a.png")
    assert "4 files are left out, for they are no images (2 .heic, 1 " in capsys.readouterr().err


def test_links(tmp_path):
    put(tmp_path / "store", "x/1.png", "2.png")
    root = tmp_path / "root"
    put(root, "0.png")
    (root / "link.png").symlink_to(tmp_path / "store" / "2.png")
    (root / "again.png").symlink_to(root / "0.png")
    (root / "folder").symlink_to(tmp_path / "store")
    assert load(root).ids == ("0.png", "again.png", "folder/2.png", "folder/x/1.png", "link.png")
    (root / "folder" / "x" / "loop").symlink_to(root)
    with pytest.raises(DataError, match=r"The link .*x/loop leads back"):
        load(root)
    (root / "folder" / "x" / "loop").unlink()
    (root / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r"The link .*gone\.png leads nowhere"):
        load(root)
    (root / "gone.png").unlink()
    (root / "self.png").symlink_to(root / "self.png")
    with pytest.raises(DataError, match=r"The link .*self\.png cannot be followed: Too many levels"):
        load(root)


def test_classes_beside_one_called_train_are_said_to_be_left_out(tmp_path, capsys):
    put(tmp_path, "bus/1.png", "car/1.png", "train/1.png", ".cache/1.png")
    assert load(tmp_path).ids == ("1.png",)
    said = capsys.readouterr().err
    assert said.splitlines() == [f"{tmp_path}: the images are those of train; 2 folders beside are left out (bus, car)"]
    put(tmp_path / "plain", "train/a/1.png", "val/a/1.png")
    load(tmp_path / "plain")
    assert not capsys.readouterr().err


def test_unicode_names(tmp_path):
    composed, apart = (unicodedata.normalize(form, "Müller ☃.png") for form in ("NFC", "NFD"))
    put(tmp_path, apart, "日本.png", "zeile\n2.png")
    photos = load(tmp_path)
    assert photos.ids == (composed, "zeile\n2.png", "日本.png")
    assert reds(photos) == [0, 2, 1]
    assert len(photos.manifest.digest) == 64
    put(tmp_path, composed)
    if len(list(tmp_path.iterdir())) == 4:  # some file systems do not tell the two apart
        with pytest.raises(DataError, match="two Unicode forms"):
            load(tmp_path)


def test_a_name_that_is_no_unicode(tmp_path):
    with (Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))).open("wb") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"not valid Unicode.*Rename"):
        load(tmp_path)


@pytest.fixture
def broken(tmp_path) -> Path:
    put(tmp_path, "a/1.png", "a/2.png", "b/3.png", "c/4.png")
    (tmp_path / "a" / "2.png").write_bytes(b"")
    (tmp_path / "c" / "4.png").write_text("not a picture")
    return tmp_path


def test_an_undecodable_image_is_named_when_it_is_read(broken):
    photos = load(broken)
    assert len(photos) == 4
    assert photos.images[[0, 2]][1][0, 0, 0] == 2
    with pytest.raises(ImageError, match=r"a/2\.png cannot be decoded: it is empty"):
        photos.images[0:2]


def test_undecodable_images_are_skipped_if_asked_and_counted(broken, capsys):
    photos = load(broken, undecodable="skip")
    assert photos.ids == ("a/1.png", "b/3.png")
    assert photos.class_names == ("a", "b", "c")  # so that numbers do not change when a file is repaired
    assert reds(photos) == [0, 2]
    assert "2 of 4 images are skipped; the first: The image" in capsys.readouterr().err
    for name in ("a/1.png", "b/3.png"):
        (broken / name).write_bytes(b"x")
    with pytest.raises(DataError, match="None of the 4 images"):
        load(broken, undecodable="skip")


def test_verify_names_every_undecodable_image(broken):
    with pytest.raises(ImageError, match=r"2 of the 4 images.*a/2\.png.*empty.*c/4\.png.*Pillow"):
        verify("folder", broken, {})
    figures = verify("folder", broken, {"undecodable": "skip"})
    assert (figures["train"], figures["classes"]) == (2, 3)


def test_a_file_that_vanishes_is_no_undecodable_image(tmp_path):
    put(tmp_path, "1.png", "2.png")
    photos = load(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.raises(DataError, match=r"2\.png cannot be read: No such file") as caught:
        photos.images[[1]]
    assert not isinstance(caught.value, ImageError)


@pytest.mark.parametrize("options", [{"labelled": "maybe"}, {"undecodable": True}, {"labeled": True}])
def test_bad_options(tmp_path, options):
    put(tmp_path, "1.png")
    with pytest.raises(ConfigError, match=r"auto, true, false|error, skip|did you mean labelled"):
        load(tmp_path, **options)


def test_manifest_follows_content_names_and_order(tmp_path):
    put(tmp_path / "one", "1.png", "2.png")
    put(tmp_path / "two", "1.png", "2.png")
    first, second = load(tmp_path / "one"), load(tmp_path / "two")
    assert first.manifest.digest == second.manifest.digest  # wherever the folder lies
    (tmp_path / "two" / "2.png").rename(tmp_path / "two" / "3.png")
    assert load(tmp_path / "two").manifest.digest != first.manifest.digest
    swapped = FileImages([tmp_path / "one" / "2.png", tmp_path / "one" / "1.png"])
    assert swapped.content() != first.images.content()
    assert swapped.subset([1, 0]).content() == first.images.content()


def test_subset_and_rows_and_pickle(tmp_path):
    put(tmp_path, *(f"{label}/{number}.png" for label in "ab" for number in range(6)))
    photos = load(tmp_path)
    part = photos.subset(4, seed=1)
    assert np.bincount(part.labels).tolist() == [2, 2]
    assert [part.ids[row] for row in range(4)] == [photos.ids[red] for red in reds(part)]
    copy = pickle.loads(pickle.dumps(part))
    assert reds(copy) == reds(part)
    assert copy.manifest == part.manifest
    images = photos.images
    assert [int(image[0, 0, 0]) for image in images[np.array([3, 3, -1])]] == [3, 3, 11]
    assert len(images[2:2]) == 0
    assert len(images[[]]) == 0
    with pytest.raises(IndexError):
        images[[12]]
