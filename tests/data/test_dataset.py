from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest

from pal_plugin.data import ImageDataset, load_dataset, load_digits
from pal_plugin.data.dataset import _shares
from pal_plugin.data.draws import SUBSET, uniforms
from pal_plugin.data.lazy import row_numbers
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
        {"images": np.zeros((3, 0, 0, 3), np.uint8)},
        {"images": [[[[0, 0, 0]]]] * 3},
        {"labels": [0, 1, 2]},
        {"coarse_labels": [0, 0, 0], "coarse_names": ("low",)},
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


def picked_class_by_class(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return the rows of a subset by their definition: of every class its first ones in the order that is drawn."""
    order = np.argsort(uniforms(seed, 0, np.arange(len(labels)), SUBSET, 1)[:, 0], kind="stable")
    classes, counts = np.unique(labels, return_counts=True)
    shares = _shares(counts, n)
    picks = [order[labels[order] == label][:share] for label, share in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(picks))


@pytest.mark.parametrize("n", [1, 13, 400, 999, 1000])
@pytest.mark.parametrize("seed", [0, 7])
def test_subset_picks_what_a_loop_over_the_classes_picks(n, seed):
    labels = np.random.default_rng(seed).zipf(1.5, 1000) % 300 - 1
    data = dataclasses.replace(toy([0] * 1000), labels=labels, class_names=tuple(map(str, range(300))))
    rows = picked_class_by_class(labels, n, seed)
    assert data.subset(n, seed).ids == tuple(data.ids[row] for row in rows)


def test_subset_of_many_classes_is_quick():
    """A loop over them takes a minute and more."""
    labels = np.arange(400_000) % 5000
    data = ImageDataset(
        name="many",
        split="train",
        images=np.zeros((len(labels), 1, 1, 3), np.uint8),
        labels=labels,
        ids=tuple(map(str, range(len(labels)))),
        class_names=tuple(map(str, range(5000))),
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    begun = time.perf_counter()
    assert (np.bincount(data.subset(50_000, 0).labels) == 10).all()
    assert time.perf_counter() - begun < 10


def test_rows_by_a_mask():
    mask = np.array([False, True, False, True])
    assert row_numbers(mask, 4).tolist() == [1, 3]
    assert row_numbers(mask.tolist(), 4).tolist() == [1, 3]
    data = toy([0, 1, 2, 0])
    assert data.take(mask).ids == ("toy/1", "toy/3")
    for wrong in (mask[:3], mask[:, None], np.ones(5, bool)):
        with pytest.raises(IndexError, match="a mask of shape"):
            data.take(wrong)


@pytest.mark.parametrize("rows", [[0, 4], [-5], np.array([2**63], np.uint64), np.array([1.0]), ["1"], [2**70]])
def test_rows_that_are_none(rows):
    with pytest.raises(IndexError, match=r"rows (from|are given as)"):
        row_numbers(rows, 4)


@pytest.mark.parametrize(
    "rows", [slice(None, None, -2), slice(-2, 9), [], [3, -4, 3], (0,), np.array([-1], np.int8), range(2, 4)]
)
def test_rows_are_those_of_an_array(rows):
    found = row_numbers(rows, 4)
    assert found.dtype == np.int64
    assert found.tolist() == np.arange(4)[rows if isinstance(rows, slice) else np.array(rows, dtype=int)].tolist()
