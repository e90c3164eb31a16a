"""3DIdent, CelebA and iNat-1M: small folders of their layouts, whole and damaged."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.data import load_dataset
from pal_plugin.data.listing import SizedImages
from pal_plugin.data.sources import available_splits
from pal_plugin.errors import ConfigError, DataError

# --- 3DIdent ----------------------------------------------------------------------------------------------------------


def test_renderings_stand_beside_their_factors(three_d_ident_root):
    train, test = (load_dataset("three_d_ident", split, root=three_d_ident_root) for split in ("train", "test"))
    assert (len(train), len(test), train.num_classes) == (120, 40, 0)
    assert (train.ids[42], test.ids[7]) == ("train/042", "test/07")
    raw = np.load(three_d_ident_root / "3dident/train/raw_latents.npy")
    np.testing.assert_allclose(train.known_factors, raw * np.sqrt(3), rtol=1e-6)
    shown = Image.open(three_d_ident_root / "3dident/train/images/042.png")
    np.testing.assert_array_equal(train.images[[42]][0], np.asarray(shown))
    np.testing.assert_array_equal(train.take([5, 3]).known_factors, train.known_factors[[5, 3]])
    assert (train.labels == -1).all()
    assert available_splits({"dataset": "three_d_ident", "root": three_d_ident_root}) == ("train", "test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((120, 10), np.int64), r"raw_latents.npy holds int64 of shape \(120, 10\)"),
        (np.zeros(120), r"holds float64 of shape \(120,\)"),
        (np.full((120, 10), np.nan), r"Row 0 of .*raw_latents.npy is not finite"),
        (np.zeros((121, 10)), r"1 of 121 images are missing, .*120.png first"),
        (np.array([{}]), "raw_latents.npy cannot be read.*Unpack 3dident_train.tar"),
        (None, "raw_latents.npy cannot be read.*Unpack 3dident_train.tar"),
    ],
)
def test_damaged_factors_are_named(three_d_ident_root, content, message):
    path = three_d_ident_root / "3dident/train/raw_latents.npy"
    path.unlink()
    if content is not None:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(DataError, match=message):
        load_dataset("three_d_ident", "train", root=three_d_ident_root)


# --- CelebA -----------------------------------------------------------------------------------------------------------


def test_labels_are_persons_and_attributes_stand_beside_them(celeba_root):
    train, val, test = (load_dataset("celeba", split, root=celeba_root) for split in ("train", "val", "test"))
    assert [len(part) for part in (train, val, test)] == [60, 20, 20]
    assert train.class_names == val.class_names == tuple(str(11 * person + 3) for person in range(20))
    np.testing.assert_array_equal(train.labels, np.repeat(np.arange(12), 5))
    np.testing.assert_array_equal(test.labels, np.repeat(np.arange(16, 20), 5))
    lines = (celeba_root / "celeba/list_attr_celeba.txt").read_text().splitlines()[2:]
    expected = np.array([[int(value) for value in line.split()[1:]] for line in lines])
    found = np.concatenate([part.known_attributes for part in (train, val, test)])
    np.testing.assert_array_equal(2 * found - 1, expected)
    assert train.attribute_names == ("Bald", "Male", "Smiling", "Young")
    assert train.ids[0] == "000001.jpg"
    assert train.images[[0]][0].shape == (22, 18, 3)
    np.testing.assert_array_equal(train.take([9, 2]).known_attributes, train.known_attributes[[9, 2]])


def test_the_lists_of_adassls_authors(celeba_root):
    folder = celeba_root / "celeba"
    (folder / "list_attr_celeba.txt").unlink()
    (folder / "attributes_val.txt").write_text(
        "Bald  Male filename identity\n0 1 000007.jpg 14\n1 0 000003.jpg 3\n", encoding="utf-8"
    )
    val = load_dataset("celeba", "val", root=celeba_root, options={"lists": "adassl"})
    assert val.ids == ("000007.jpg", "000003.jpg")
    assert val.labels.tolist() == [1, 0]
    assert val.known_attributes.tolist() == [[0, 1], [1, 0]]
    assert val.attribute_names == ("Bald", "Male")
    with pytest.raises(DataError, match=r"attributes_test\.txt cannot be read: No such file"):
        load_dataset("celeba", "test", root=celeba_root, options={"lists": "adassl"})
    for text in ("Bald filename\n0 000003.jpg 3\n", "Bald identity\n0 3\n"):
        (folder / "attributes_test.txt").write_text(text, encoding="utf-8")
        with pytest.raises(DataError, match=r"Line 2 of .*attributes_test\.txt is not of AdaSSL's layout"):
            load_dataset("celeba", "test", root=celeba_root, options={"lists": "adassl"})
    with pytest.raises(ConfigError, match="official, adassl"):
        load_dataset("celeba", "test", root=celeba_root, options={"lists": "authors"})


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("list_attr_celeba.txt", "000003.jpg  1", "000003.jpg  2", "does not say of 000003.jpg which of 4 attributes"),
        ("list_attr_celeba.txt", "000003.jpg  1", "000003.jpg ", "does not say of 000003.jpg which of 4 attributes"),
        ("list_attr_celeba.txt", "000003.jpg", "900003.jpg", "does not name the image 000003.jpg"),
        ("identity_CelebA.txt", "000003.jpg 3", "000003.jpg three", "has 'three' where a number"),
        ("identity_CelebA.txt", "000003.jpg 3", "000003.jpg", "Line 3 of .*identity_CelebA.txt has 1 columns"),
        ("identity_CelebA.txt", "000003.jpg", "900003.jpg", "does not name the image 000003.jpg"),
        ("list_eval_partition.txt", "000003.jpg", "100003.jpg", "list_attr_celeba.txt does not name the image 100003"),
    ],
)
def test_damaged_lists_of_celeba_are_named(celeba_root, file, old, new, message):
    path = celeba_root / "celeba" / file
    content = path.read_text()
    if file == "list_attr_celeba.txt":
        content = content.replace("000003.jpg  -1", "000003.jpg  1")
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(DataError, match=message):
        load_dataset("celeba", "train", root=celeba_root)


def test_photos_and_lists_that_are_missing(celeba_root):
    (celeba_root / "celeba/img_align_celeba/000009.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 60 images are missing, .*000009.jpg first.*data.root="):
        load_dataset("celeba", "train", root=celeba_root)
    assert len(load_dataset("celeba", "test", root=celeba_root)) == 20
    (celeba_root / "celeba/list_eval_partition.txt").write_text("\n")
    with pytest.raises(DataError, match=r"list_eval_partition\.txt is empty"):
        load_dataset("celeba", "test", root=celeba_root)
    with pytest.raises(DataError, match="cannot be read: No such file"):
        load_dataset("celeba", "test", root=celeba_root / "celeba")


# --- iNat-1M ----------------------------------------------------------------------------------------------------------


def test_labels_are_species_and_superclasses_stand_above(inat_root):
    train, val, test = (load_dataset("inat", split, root=inat_root) for split in ("train", "val", "test"))
    assert [len(part) for part in (train, val, test)] == [60, 24, 24]
    np.testing.assert_array_equal(train.labels, np.repeat(np.arange(6), 10))
    np.testing.assert_array_equal(test.known_coarse_labels, np.repeat([0, 1], 12))
    assert train.class_names[2] == "00002_Animalia_2"
    assert train.class_names == test.class_names
    assert (train.coarse_names, train.ids[13]) == (("0", "1"), "train/00001_Animalia_1/3.jpg")
    assert [image.shape for image in train.images[[0, 9]]] == [(20, 24, 3), (29, 24, 3)]


def test_a_manifest_knows_the_files_by_their_sizes(inat_root):
    before = load_dataset("inat", "val", root=inat_root)
    digest = before.manifest.digest
    path = inat_root / "inat" / before.ids[3]
    content = path.read_bytes()
    path.write_bytes(content[::-1])
    assert load_dataset("inat", "val", root=inat_root).manifest.digest == digest
    path.write_bytes(content + b" ")
    changed = load_dataset("inat", "val", root=inat_root)
    assert changed.manifest.digest != digest
    part = changed.take([1, 2]).images
    assert isinstance(pickle.loads(pickle.dumps(part)), SizedImages)
    assert part.content() == before.take([1, 2]).images.content()
    path.unlink()
    with pytest.raises(DataError, match="cannot be read: No such file"):
        changed.take([3]).images.content()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("/3.jpg 1 0", "/3.jpg 1", "Line 14 of .*train.txt has 2 columns, and 3 are expected"),
        ("/3.jpg 1 0", "/3.jpg -1 0", "has '-1' where a number of 0 or more"),
        ("/3.jpg 1 0", f"/3.jpg {2**63} 0", "has '9223372036854775808' where a number of 0 or more and at most 18"),
        ("/3.jpg 1 0", f"/3.jpg 1 {'9' * 5000}", "where a number of 0 or more and at most 18"),
        ("/3.jpg 1 0", "/3.jpg 1700000000 0", "The species in .*train.txt have the label 1700000000"),
        ("/3.jpg 1 0", "/3.jpg 1 1700000000", "The superclasses in .*train.txt have the label 1700000000"),
        ("/3.jpg 1 0", "/33.jpg 1 0", "1 of 60 images are missing, .*1/33.jpg first"),
        ("/3.jpg 1 0", "/2.jpg 1 0", r"60 ids \(59 unique\)"),
    ],
)
def test_damaged_lists_of_inat_are_named(inat_root, old, new, message):
    path: Path = inat_root / "inat/train.txt"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        load_dataset("inat", "train", root=inat_root)


def test_a_class_of_another_split_alone_is_refused(inat_root):
    path: Path = inat_root / "inat/test.txt"
    path.write_text(path.read_text().replace(" 5 1", " 6 1"))
    with pytest.raises(DataError, match="labels run from 0 to 6 with 6 classes"):
        load_dataset("inat", "test", root=inat_root)
