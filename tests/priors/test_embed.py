"""Embedding a data set: once for each content, never with the features of another."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pal_plugin.data.digits import load_digits
from pal_plugin.errors import ConfigError, FeatureError, ManifestError
from pal_plugin.graph import knn_graph, purity
from pal_plugin.priors import Pixels, cached_at, embed, load_features


class Counting(Pixels):
    """Pixels that count how many images they have seen."""

    def __init__(self, key="counting"):
        super().__init__()
        self.key = key
        self.seen = 0

    def embed(self, images):
        self.seen += len(images)
        return super().embed(images)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def digits():
    return load_digits("test")


def test_pixels_are_the_images_in_order(digits):
    for batch_size in (7, 1000):
        store = embed(digits, Pixels(), out=None, batch_size=batch_size)
        assert np.array_equal(store.features, digits.images.reshape(len(digits), -1).astype(np.float32) / 255)
        assert store.manifest_reference == digits.manifest.reference()
        assert store.info["prior"] == "pixels"
        assert store.info["key"] == Pixels().key


def test_a_data_set_is_embedded_once(digits, cache):
    prior = Counting()
    first = embed(digits, prior)
    second = embed(digits, Counting())
    assert prior.seen == len(digits)
    assert np.array_equal(first.features, second.features)
    assert cached_at(digits, prior).parent == cache / "features"


def test_whatever_changes_the_features_changes_the_key(digits):
    recoloured = digits.images.copy()
    recoloured[3, 0, 0, 0] ^= 1
    order = np.arange(len(digits))[::-1]
    others = {
        "subset": digits.subset(100, 0),
        "another subset": digits.subset(100, 1),
        "one bit of one image": dataclasses.replace(digits, images=recoloured),
        "order": dataclasses.replace(digits, images=digits.images[order], ids=tuple(digits.ids[i] for i in order)),
        "ids": dataclasses.replace(digits, ids=tuple(f"x{i}" for i in digits.ids)),
        "split": load_digits("train"),
        "shape of the same bytes": dataclasses.replace(digits, images=digits.images.reshape(len(digits), 4, 16, 3)),
    }
    keys = {name: cached_at(other, Pixels()) for name, other in others.items()}
    keys["none"] = cached_at(digits, Pixels())
    keys["prior"] = cached_at(digits, Counting())
    keys["preprocessing of the prior"] = cached_at(digits, Counting("counting, at 224"))
    assert len(set(keys.values())) == len(keys)
    assert cached_at(dataclasses.replace(digits, name="another name"), Pixels()) == keys["none"]


def test_out_is_written_and_replaced(digits, tmp_path, cache):
    out = tmp_path / "out"
    embed(digits.subset(50, 0), Pixels(), out=out)
    embed(digits, Pixels(), out=out)
    assert load_features(out, digits.manifest).features.shape == (len(digits), 192)
    with pytest.raises(ManifestError):
        load_features(out, digits.subset(50, 0).manifest)
    assert not cache.exists()


def test_a_broken_cache_entry_is_named(digits):
    entry = cached_at(digits, Pixels())
    embed(digits, Pixels())
    (entry / "features.npy").write_bytes(b"half")
    with pytest.raises(FeatureError, match=entry.name):
        embed(digits, Pixels())


class Wrong(Pixels):
    """A prior whose answer for the second batch is what it was given."""

    def __init__(self, change):
        super().__init__()
        self.key = "wrong"
        self.change = change
        self.calls = 0

    def embed(self, images):
        self.calls += 1
        features = super().embed(images)
        return self.change(features) if self.calls == 2 else features


def nan_in_third_row(features):
    features[3, 5] = np.nan
    return features


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f[:-1], "shape"),
        (lambda f: f[:, :5], "5 numbers an image from row 100 on"),
        (lambda f: f.astype(np.float64), "float64"),
        (nan_in_third_row, "row 103"),
    ],
)
def test_a_prior_that_answers_wrongly_leaves_nothing(digits, cache, change, said):
    with pytest.raises(FeatureError, match=said):
        embed(digits, Wrong(change), batch_size=100)
    assert not cache.exists() or not list((cache / "features").iterdir())


def test_a_batch_of_nothing_is_refused(digits):
    with pytest.raises(ConfigError, match="at least 1"):
        embed(digits, Pixels(), batch_size=0)


def test_neighbours_of_digits_share_their_label(digits):
    store = embed(digits, Pixels())
    graph = knn_graph(store.features, 4, manifest=digits.manifest)
    assert graph.manifest == store.manifest_reference
    assert purity(graph, digits.labels) > 0.9
