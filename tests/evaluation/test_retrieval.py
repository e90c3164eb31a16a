"""Recall at k against loops in float64."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import ConfigError, DataError, FeatureError
from pal_plugin.evaluation import _nearest, recall_at_k
from pal_plugin.evaluation.retrieval import first_match


def brute_force(queries, classes, gallery, gallery_classes, k, metric, alone):
    """Loops over queries and images, nothing shared with the code under test."""
    hits = 0
    for i, (query, truth) in enumerate(zip(queries.astype(np.float64), classes, strict=True)):
        order = []
        for j, image in enumerate(gallery.astype(np.float64)):
            if alone and i == j:
                continue
            if metric == "cosine":
                farness = -float(query @ image / (np.linalg.norm(query) * np.linalg.norm(image)))
            else:
                farness = float(np.sqrt(((query - image) ** 2).sum()))
            order.append((farness, j))
        hits += any(gallery_classes[j] == truth for _, j in sorted(order)[:k])
    return 100 * hits / len(queries)


def hotels(seed, n, classes=40, dimension=12, noise=1.5):
    """Many small classes, as in retrieval."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dimension))
    y = rng.integers(0, classes, n)
    return (centres[y] + noise * rng.normal(size=(n, dimension))).astype(np.float32), y


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_leave_one_out_equals_brute_force(metric):
    x, y = hotels(0, 200)
    got = recall_at_k(x, y, ks=(1, 3, 10), metric=metric)
    for k in (1, 3, 10):
        assert got[f"R@{k}"] == pytest.approx(brute_force(x, y, x, y, k, metric, alone=True))
    assert 5 < got["R@1"] < got["R@10"] < 99  # a problem that is neither trivial nor hopeless
    assert got["queries"] == 200


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_gallery_equals_brute_force(metric):
    (x, y), (gallery, classes) = hotels(1, 120), hotels(2, 150)
    got = recall_at_k(x, y, gallery, classes, ks=(1, 5), metric=metric)
    for k in (1, 5):
        assert got[f"R@{k}"] == pytest.approx(brute_force(x, y, gallery, classes, k, metric, alone=False))


def test_duplicates_are_others_and_ties_go_by_index():
    """An image's exact copy is an image like any other, and only the query itself is left out."""
    x, y = hotels(3, 30)
    x, y = np.tile(x, (3, 1)), np.r_[y, y + 1, y + 2]
    for k in (1, 2, 5):
        expected = brute_force(x, y, x, y, k, "euclidean", alone=True)
        assert recall_at_k(x, y, ks=[k], metric="euclidean")[f"R@{k}"] == pytest.approx(expected)


def test_the_query_itself_is_never_found():
    """Each of its own class: leave-one-out finds nothing, the same images as a gallery find themselves."""
    x, y = hotels(4, 50)[0], np.arange(50)
    alone = recall_at_k(x, y, ks=(1, 49))
    assert (alone["R@1"], alone["R@49"], alone["without_match"]) == (0, 0, 50)
    assert recall_at_k(x, y, x, y, ks=[1]) == {"R@1": 100.0, "queries": 50, "without_match": 0}


def test_ranks_and_queries_without_a_match():
    x = np.array([[0.0], [1.0], [2.1], [3.3], [9.0]])
    ranks = first_match(x, np.array([0, 1, 1, 0, 7]), depth=3, metric="euclidean")
    assert ranks.tolist() == [2, 1, 0, 2, -1]  # 1 is nearer to 0 than to 2.1
    assert first_match(x, np.array([0, 1, 1, 0, 7]), depth=2, metric="euclidean").tolist() == [2, 1, 0, 2, -1]


def test_k_beyond_the_gallery_is_all_of_it():
    x, y = hotels(5, 20, classes=3)
    assert recall_at_k(x, y, ks=(19, 500))["R@500"] == recall_at_k(x, y, ks=(19,))["R@19"] == 100


def test_block_size_changes_nothing(monkeypatch):
    x, y = hotels(6, 131)
    whole = recall_at_k(x, y)
    for rows in (1, 7, 64):
        monkeypatch.setattr(_nearest, "_BLOCK_ROWS", rows)
        assert recall_at_k(x, y) == whole


def test_bad_input_is_named():
    x, y = hotels(0, 20)
    with pytest.raises(ConfigError, match="manhattan"):
        recall_at_k(x, y, metric="manhattan")
    for ks in ((), (0,), (0, 5)):
        with pytest.raises(ConfigError, match="no meaning"):
            recall_at_k(x, y, ks=ks)
    with pytest.raises(FeatureError, match="columns"):
        recall_at_k(x, y, x[:, :3], y)
    with pytest.raises(DataError, match="3 of the 20 gallery samples have no label"):
        recall_at_k(x, y, x, np.r_[[-1] * 3, y[3:]])
    for half in ({"gallery_x": x}, {"gallery_y": y}):
        with pytest.raises(ConfigError, match="one of them is missing"):
            recall_at_k(x, y, **half)
    with pytest.raises(DataError, match="one image"):
        recall_at_k(x[:1], y[:1])
