"""Weighted k-NN against loops in float64, and against solo-learn's own classifier where that can run."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import ConfigError, DataError, FeatureError
from pal_plugin.evaluation import _nearest
from pal_plugin.evaluation.knn import knn_accuracy


def brute_force(train_x, train_y, test_x, test_y, k, temperature, metric):
    """Loops over queries and neighbours, nothing shared with the code under test."""
    train_x, test_x = train_x.astype(np.float64), test_x.astype(np.float64)
    hits = {1: 0, 5: 0}
    for query, truth in zip(test_x, test_y, strict=True):
        if metric == "cosine":
            closeness = [float(query @ x / (np.linalg.norm(query) * np.linalg.norm(x))) for x in train_x]
            weight = [np.exp(c / temperature) for c in closeness]
        else:
            closeness = [-float(np.sqrt(((query - x) ** 2).sum())) for x in train_x]
            weight = [1 / (-c + 1e-5) for c in closeness]
        nearest = sorted(range(len(train_x)), key=lambda i: (-closeness[i], i))[:k]
        votes = dict.fromkeys(sorted(set(train_y.tolist())), 0.0)
        for i in nearest:
            votes[int(train_y[i])] += weight[i]
        ranking = sorted(votes, key=lambda c: -votes[c])
        for top in hits:
            hits[top] += int(truth) in ranking[:top]
    return {f"top{top}": 100 * count / len(test_y) for top, count in hits.items()}


def clusters(seed, n, classes=12, dimension=24, noise=2.0):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, dimension))
    y = rng.integers(0, classes, n)
    return (centres[y] + noise * rng.normal(size=(n, dimension))).astype(np.float32), y


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize(("k", "temperature"), [(1, 0.07), (7, 0.5), (20, 0.07), (300, 0.07)])
def test_equals_brute_force(metric, k, temperature):
    train, test = clusters(0, 300), clusters(1, 150)
    got = knn_accuracy(*train, *test, k=k, temperature=temperature, metric=metric)
    assert got == pytest.approx(brute_force(*train, *test, k, temperature, metric), abs=1e-9)
    assert 10 < got["top1"] < 99  # a problem that is neither trivial nor hopeless


@pytest.mark.parametrize(("metric", "shift"), [("cosine", 0), ("euclidean", 0), ("euclidean", 1000)])
def test_duplicates_and_a_distant_origin(metric, shift):
    """Ties go to the lower index; float32 products alone could not rank neighbours that far from the origin."""
    rng = np.random.default_rng(3)
    train_x = np.tile(rng.normal(size=(40, 4)), (3, 1)).astype(np.float32) + shift
    test_x = rng.normal(size=(60, 4)).astype(np.float32) + shift
    train_y, test_y = rng.integers(0, 6, 120), rng.integers(0, 6, 60)
    got = knn_accuracy(train_x, train_y, test_x, test_y, k=5, metric=metric)
    assert got == pytest.approx(brute_force(train_x, train_y, test_x, test_y, 5, 0.07, metric), abs=1e-9)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_block_size_changes_nothing(metric, monkeypatch):
    train, test = clusters(4, 257), clusters(5, 131)
    whole = knn_accuracy(*train, *test, metric=metric)
    for rows in (1, 7, 64):
        monkeypatch.setattr(_nearest, "_BLOCK_ROWS", rows)
        assert knn_accuracy(*train, *test, metric=metric) == whole


def test_classes_may_be_any_numbers():
    (train_x, train_y), (test_x, test_y) = clusters(6, 200), clusters(7, 90)
    assert knn_accuracy(train_x, train_y * 1000 + 5, test_x, test_y * 1000 + 5) == knn_accuracy(
        train_x, train_y, test_x, test_y
    )


def test_a_class_the_bank_lacks_is_missed():
    (train_x, train_y), (test_x, _) = clusters(6, 50, classes=3), clusters(7, 10)
    assert knn_accuracy(train_x, train_y, test_x, np.full(10, 77), k=5) == {"top1": 0.0, "top5": 0.0}


def test_small_temperature_does_not_overflow():
    train, test = clusters(0, 100), clusters(1, 50)
    assert knn_accuracy(*train, *test, temperature=1e-5) == knn_accuracy(*train, *test, k=1) | {
        "top5": knn_accuracy(*train, *test, temperature=1e-5)["top5"]
    }


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_half_precision_whose_norms_leave_it(metric):
    (x, y), (test_x, test_y) = clusters(0, 200), clusters(1, 50)
    x, test_x = ((100 * rows).astype(np.float16) for rows in (x, test_x))  # norms of about 1000: squares beyond 65504
    expected = brute_force(x, y, test_x, test_y, 5, 0.5, metric)
    assert knn_accuracy(x, y, test_x, test_y, k=5, temperature=0.5, metric=metric) == expected


def test_k_above_n_is_cut_with_a_warning():
    train, test = clusters(0, 30), clusters(1, 20)
    with pytest.warns(RuntimeWarning, match="30 train rows"):
        assert knn_accuracy(*train, *test, k=31) == knn_accuracy(*train, *test, k=30)


def test_bad_input_is_named():
    (x, y), test = clusters(0, 30), clusters(1, 20)
    with pytest.raises(ConfigError, match="manhattan"):
        knn_accuracy(x, y, *test, metric="manhattan")
    for wrong in ({"k": 0}, {"temperature": 0.0}, {"temperature": float("nan")}):
        with pytest.raises(ConfigError, match="cannot vote"):
            knn_accuracy(x, y, *test, **wrong)
    with pytest.raises(FeatureError, match="columns"):
        knn_accuracy(x[:, :5], y, *test)
    broken = x.copy()
    broken[17, 3] = np.nan
    with pytest.raises(FeatureError, match="Row 17 of the train"):
        knn_accuracy(broken, y, *test)
    with pytest.raises(DataError, match="30 rows"):
        knn_accuracy(x, y[:-1], *test)
    unlabelled = y.copy()
    unlabelled[:4] = -1
    with pytest.raises(DataError, match="4 of the 30 train samples have no label"):
        knn_accuracy(x, unlabelled, *test)
    with pytest.raises(FeatureError, match=r"\(0, 4\)"):
        knn_accuracy(np.empty((0, 4)), np.empty(0, int), *test)
