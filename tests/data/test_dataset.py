from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pal_plugin.data import ImageDataset, load_dataset, load_digits
from pal_plugin.errors import ConfigError, DataError


def toy(labels: list[int]) -> ImageDataset:
    n = len(labels)
    images = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    ids = tuple(f"toy/{row}" for row in range(n))
    zeros = (0.0, 0.0, 0.0)
    return ImageDataset("toy", "train", images, np.array(labels), ids, ("a", "b", "c"), zeros, (1.0, 1.0, 1.0))


@pytest.mark.parametrize("n", [1, 2, 7, 50, 99, 100])
def test_subset_is_stratified(n):
    labels = np.repeat([-1, 0, 1, 2], [10, 50, 37, 3])
    part = toy(list(labels)).subset(n, seed=3)
    assert len(part) == n
    for label in (-1, 0, 1, 2):
        assert abs((part.labels == label).sum() - (labels == label).sum() * n / 100) < 1


def test_subset_keeps_order_and_ties_images_labels_ids():
    digits = load_digits("train")
    part = digits.subset(200, seed=1)
    rows = [digits.ids.index(name) for name in part.ids]
    assert rows == sorted(rows)
    np.testing.assert_array_equal(part.images, digits.images[rows])
    np.testing.assert_array_equal(part.labels, digits.labels[rows])
    assert part.manifest.digest != digits.manifest.digest


def test_subset_is_seeded():
    digits = load_digits("train")
    assert digits.subset(100, 0).manifest == digits.subset(100, 0).manifest
    assert digits.subset(100, 0).ids != digits.subset(100, 1).ids
    assert load_dataset("digits", "train", subset=100, seed=1).ids == digits.subset(100, 1).ids
    assert digits.subset(len(digits), 5).manifest == digits.manifest


@pytest.mark.parametrize("n", [0, -1, 361])
def test_subset_out_of_range(n):
    with pytest.raises(DataError, match="digits/test has 360"):
        load_digits("test").subset(n, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"images": np.zeros((3, 4, 4, 3), np.float32)},
        {"images": np.zeros((3, 4, 4), np.uint8)},
        {"images": np.zeros((2, 4, 4, 3), np.uint8)},
        {"labels": np.zeros(3, np.int32)},
        {"labels": np.array([0, 1, 3])},
        {"labels": np.array([0, 1, -2])},
        {"coarse_labels": np.array([0, 1, 2]), "coarse_names": ("low", "high")},
        {"coarse_labels": np.array([0, 1]), "coarse_names": ("low", "high")},
        {"coarse_labels": np.zeros(3, np.int64)},
        {"attributes": np.array([[0], [1], [2]], np.int8), "attribute_names": ("tall",)},
        {"attributes": np.zeros((3, 1), np.int64), "attribute_names": ("tall",)},
        {"attributes": np.zeros((3, 2), np.int8), "attribute_names": ("tall",)},
        {"attributes": np.zeros((3, 0), np.int8)},
        {"ids": ("a", "b", "a")},
        {"ids": ("a", "b")},
    ],
)
def test_malformed_data_set_is_refused(change):
    with pytest.raises(DataError, match="toy/train is malformed"):
        dataclasses.replace(toy([0, 1, 2]), **change)


def test_classes_above_go_with_their_samples():
    data = dataclasses.replace(toy([0, 1, 2, 0]), coarse_labels=np.array([0, -1, 1, 0]), coarse_names=("low", "high"))
    part = data.take([3, 1, 2])
    assert part.known_coarse_labels.tolist() == [0, -1, 1]
    assert part.coarse_names == ("low", "high")
    assert data.manifest == toy([0, 1, 2, 0]).manifest
    with pytest.raises(DataError, match="toy/train has no classes above its own"):
        _ = toy([0, 1]).known_coarse_labels


def test_attributes_go_with_their_samples():
    bits = np.array([[0, 1], [1, 1], [0, 0]], np.int8)
    data = dataclasses.replace(toy([0, 1, 2]), attributes=bits, attribute_names=("tall", "old"))
    assert data.subset(2, 0).attribute_names == ("tall", "old")
    assert data.take([2, 0]).known_attributes.tolist() == [[0, 0], [0, 1]]
    with pytest.raises(DataError, match=r"toy/train have no attributes.*celeba"):
        _ = toy([0, 1]).known_attributes
    with pytest.raises(DataError, match=r"toy/train were made from is not known.*three_d_ident"):
        _ = toy([0, 1]).known_factors


def test_digits():
    train, test = load_digits("train"), load_digits("test")
    assert train.images.shape == (1437, 8, 8, 3)
    assert test.images.shape == (360, 8, 8, 3)
    assert not set(train.ids) & set(test.ids)
    assert train.images.max() == 255
    shares = np.bincount(train.labels) / 1437 - np.bincount(test.labels) / 360
    assert np.abs(shares).max() < 0.002
    assert train.num_classes == 10
    np.testing.assert_allclose(train.mean, train.images.mean((0, 1, 2)) / 255, atol=1e-12)
    np.testing.assert_allclose(train.std, train.images.std((0, 1, 2)) / 255, atol=1e-12)
    assert (train.mean, train.std) == (test.mean, test.std)
    # the split is part of every manifest made from it
    assert train.manifest.digest[:8] == "7d7ad8f2"


def test_unknown_names():
    with pytest.raises(ConfigError, match="did you mean cifar10"):
        load_dataset("cifar", "train")
    with pytest.raises(ConfigError, match="train, test"):
        load_dataset("digits", "val")
