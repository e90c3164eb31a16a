"""k-centre greedy against a float64 greedy, its certificate against all choices, and its bounds against float64."""

from __future__ import annotations

import itertools
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from pal_plugin.errors import ConfigError, FeatureError, ManifestError, SelectionError
from pal_plugin.selection import KCenterGreedy, Selection, farthest, product
from pal_plugin.selection.bounds import exact_product_error, product_error
from pal_plugin.selection.points import Points
from pal_plugin.selection.product import full_precision, pick_product


def draw(shape, dtype=np.float32, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(dtype)


def grid(*sides):
    return np.stack(np.meshgrid(*map(np.arange, sides), indexing="ij"), axis=-1).reshape(-1, len(sides))


def some_digits():
    return load_digits().data[:900]


FAR = draw((500, 24))
FAR[77] = 1e8  # one point far out: a bound by the largest norm would say nothing about the others
NEAR = (np.repeat(draw((60, 16), np.float64), 12, axis=0) + draw((720, 16), np.float64, 1e-6, 1)).astype(np.float32)

DATA = {
    "float32": draw((1200, 64)),
    "float64": draw((900, 64), np.float64),
    "float16": draw((600, 20), np.float16),
    "wide": draw((250, 3000)),
    "un-normalised": draw((800, 64)) * np.geomspace(0.1, 30, 800, dtype=np.float32)[:, None],
    "far from the origin": 1e4 + draw((700, 32)),
    "digits": some_digits(),
    "int16 grid": grid(30, 25).astype(np.int16),
    "int64": np.random.default_rng(0).integers(0, 3, size=(800, 6)),
    "booleans": np.random.default_rng(0).integers(0, 2, size=(700, 30)).astype(bool),
    "one-hot": np.eye(500, dtype=np.float32),
    "duplicates": np.repeat(draw((150, 16)), 5, axis=0),
    "two zeros": np.array([[0.0], [-0.0], [1.0], [0.0], [-0.0]], dtype=np.float32),
    "all equal": np.full((300, 8), 0.1, dtype=np.float32),
    "one column": draw((400, 1)),
    "near copies": NEAR,
    "one far out": FAR,
    "huge": draw((400, 24), np.float64, 1e37).astype(np.float32),
    "tiny": draw((400, 24), np.float64, 1e-38).astype(np.float32),
    "huge float64": draw((200, 24), np.float64, 1e120),
    "two rows": draw((2, 5)),
    "one row": draw((1, 5)),
}


@pytest.mark.parametrize("name", DATA)
def test_picks_are_those_of_a_float64_greedy(name, greedy) -> None:
    X = DATA[name]
    first = min(5, len(X) - 1)
    expected, radii = greedy(X, len(X) - 1, [first])
    found = KCenterGreedy(start=first).select(X, len(X))
    np.testing.assert_array_equal(found.indices, [first, *expected])
    np.testing.assert_array_equal(found.radii[1:], radii)


@pytest.mark.parametrize("name", ["float32", "digits", "int16 grid", "one-hot", "near copies", "duplicates"])
@pytest.mark.parametrize(("front", "tile", "held"), [(3, 16, 1 << 25), (64, 128, 0)])
def test_no_size_of_a_block_changes_a_pick(name, front, tile, held, greedy, monkeypatch) -> None:
    monkeypatch.setattr(farthest, "FRONT", front)
    monkeypatch.setattr(farthest, "TILE", tile)
    monkeypatch.setattr(farthest, "HELD_BYTES", held)
    monkeypatch.setattr(farthest, "PAIR_BYTES", 4096)
    monkeypatch.setattr(product, "CHUNK", 32)
    X = DATA[name]
    expected, _ = greedy(X, 250, [0])
    np.testing.assert_array_equal(KCenterGreedy(start=0).select(X, 251).indices[1:], expected)


def test_cosine_is_the_greedy_on_directions(greedy) -> None:
    X = draw((700, 48)) + 2
    directions = X.astype(np.float64) / np.sqrt(np.square(X.astype(np.float64)).sum(axis=1, keepdims=True))
    expected, radii = greedy(directions, 699, [9])
    found = KCenterGreedy(start=9, metric="cosine").select(X, 700)
    np.testing.assert_array_equal(found.indices[1:], expected)
    np.testing.assert_allclose(found.radii[1:], radii, rtol=1e-12)


def test_rows_of_zeros_under_cosine_are_at_right_angles_to_all_others() -> None:
    X = np.array([[1, 0], [0, 0], [1, 0.1], [0, 0], [1, 0.2]], dtype=np.float32)
    with pytest.warns(UserWarning, match="Row 1 of the features is zero"):
        found = KCenterGreedy(start=0, metric="cosine").select(X, 5)
    np.testing.assert_array_equal(found.indices, [0, 1, 4, 2, 3])
    np.testing.assert_allclose(found.radii[0], np.sqrt(2))


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_torch_set_to_fewer_digits_changes_nothing(precision, greedy) -> None:
    X = draw((3000, 64))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        found = KCenterGreedy(start=0).select(X, 300)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    np.testing.assert_array_equal(found.indices[1:], greedy(X, 299, [0])[0])


def test_a_product_that_loses_digits_is_not_used() -> None:
    def lossy(points, centres, added):
        return (points.bfloat16() @ centres.bfloat16().T).float() + added

    assert not product._is_float32(lossy, 64, torch.device("cpu"))
    assert product._is_float32(product._plain, 64, torch.device("cpu"))


@pytest.mark.parametrize("name", ["float32", "wide", "far from the origin", "one far out", "near copies", "tiny"])
def test_bounds_hold_on_every_pair(name) -> None:
    points = Points(DATA[name], "euclidean", torch.device("cpu"))
    rows = np.arange(len(points))[:300]
    exact = np.square(points.exact(rows)[:, None] - points.exact(rows[:20])[None]).sum(axis=2)
    with full_precision():
        y, c = points.products(rows), points.products(rows[:20])
        products = pick_product(points.width, points.device)(y, c, c.square().sum(dim=1) / -2).double().numpy()
    norms = points.norms[rows].astype(np.float64)[:, None]
    found = np.maximum(norms**2 - 2 * products, 0)
    assert (np.abs(found - exact) <= product_error(norms, found, points.width)).all()
    x = points.exact(rows)
    squares = np.square(x).sum(axis=1)
    found = np.maximum(squares[:, None] + squares[:20] - 2 * x @ x[:20].T, 0)
    assert (np.abs(found - exact) <= exact_product_error(np.sqrt(squares)[:, None], found, points.width)).all()


def test_every_budget_is_a_prefix() -> None:
    X = draw((500, 16))
    longest = KCenterGreedy().select(X, 400)
    for budget in (0, 1, 2, 10, 399):
        shorter = KCenterGreedy().select(X, budget)
        np.testing.assert_array_equal(shorter.indices, longest.prefix(budget).indices)
        np.testing.assert_array_equal(shorter.radii, longest.prefix(budget).radii)


def test_starts() -> None:
    X = draw((300, 8), np.float64)
    from_mean = np.square(X - X.mean(axis=0)).sum(axis=1)
    sums = np.square(X[:, None] - X[None]).sum(axis=2).sum(axis=1)
    assert KCenterGreedy().select(X, 1).indices[0] == from_mean.argmin() == sums.argmin()
    assert KCenterGreedy(start="farthest").select(X, 1).indices[0] == from_mean.argmax()
    assert KCenterGreedy(start=17).select(X, 1).indices[0] == 17
    drawn = {int(KCenterGreedy(start="random", seed=seed).select(X, 1).indices[0]) for seed in range(5)}
    assert len(drawn) > 1
    again = [KCenterGreedy(start="random", seed=3).select(X, 9).indices for _ in range(2)]
    np.testing.assert_array_equal(*again)


def test_labelled_samples_are_centres_and_never_picked(greedy) -> None:
    X = draw((400, 12))
    X[50] = X[3]  # a copy of a labelled one comes last
    labelled = [3, 200, 7]
    found = KCenterGreedy().select(X, 397, labelled=labelled)
    expected, radii = greedy(X, 397, labelled)
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_array_equal(found.radii, radii)
    assert found.indices[-1] == 50
    as_selection = KCenterGreedy().select(X, 30, labelled=Selection(np.array(labelled)))
    np.testing.assert_array_equal(as_selection.indices, expected[:30])


def test_candidates_as_mask_or_indices() -> None:
    X = draw((400, 12))
    mask = np.arange(400) % 3 == 0
    inner = KCenterGreedy(start=0).select(X[mask], 40)
    for candidates in (mask, np.flatnonzero(mask)[::-1]):
        found = KCenterGreedy(start=0).select(X, 40, candidates=candidates)
        np.testing.assert_array_equal(found.indices, np.flatnonzero(mask)[inner.indices])
        np.testing.assert_array_equal(found.radii, inner.radii)


def test_going_on_from_an_earlier_selection(greedy) -> None:
    X = draw((500, 12))
    whole = KCenterGreedy().select(X, 90)
    earlier = KCenterGreedy().select(X, 40)
    later = KCenterGreedy().select(X, 90, after=earlier)
    np.testing.assert_array_equal(later.indices, whole.indices)
    np.testing.assert_array_equal(later.radii, whole.radii)
    np.testing.assert_array_equal(KCenterGreedy().select(X, 20, after=earlier).indices, whole.indices[:20])
    more = np.concatenate([X, draw((200, 12), scale=3, seed=1)])
    grown = KCenterGreedy().select(more, 60, after=earlier)
    np.testing.assert_array_equal(grown.indices[:40], earlier.indices)
    expected, radii = greedy(more, 20, earlier.indices.tolist())
    np.testing.assert_array_equal(grown.indices[40:], expected)
    np.testing.assert_array_equal(grown.radii[40:], radii)
    assert np.isnan(grown.radii[:40]).all()  # how far the new rows are from a part of the picks was not looked at


def test_balanced_classes_take_turns() -> None:
    X, y = draw((300, 8)), np.random.default_rng(0).integers(0, 4, 300) * 10
    found = KCenterGreedy(balanced=True).select(X, 41, labels=y)
    for budget in range(4, 42):
        counts = np.unique(y[found.indices[:budget]], return_counts=True)[1]
        assert counts.max() - counts.min() <= 1
    for name in np.unique(y):
        own = np.flatnonzero(y == name)
        mine = found.indices[y[found.indices] == name]
        np.testing.assert_array_equal(mine, own[KCenterGreedy().select(X[own], len(mine)).indices])
    distance = np.sqrt(np.square(X[:, None].astype(float) - X[found.indices][None]).sum(axis=2))
    distance[y[:, None] != y[found.indices][None]] = np.inf
    np.testing.assert_allclose(found.radii[-1], distance.min(axis=1).max())
    labelled = np.flatnonzero(y == 20)[:6]
    filled = KCenterGreedy(balanced=True).select(X, 18, labels=y, labelled=labelled)
    assert not (y[filled.indices] == 20).any()  # the others catch up first


def test_trimming_leaves_out_the_outliers() -> None:
    X = draw((300, 4))
    X[[5, 150]] = [[40], [-60]]
    assert {5, 150} <= set(KCenterGreedy().select(X, 4).indices.tolist())
    assert not {5, 150} & set(KCenterGreedy(trim=0.01).select(X, 297).indices.tolist())


def test_no_choice_is_better_than_the_lower_bound() -> None:
    for seed in range(5):
        X = draw((9, 2), np.float64, seed=seed)
        distances = np.sqrt(np.square(X[:, None] - X[None]).sum(axis=2))
        found = KCenterGreedy().select(X, 8)
        for budget in range(1, 9):
            best = min(distances[:, list(some)].min(axis=1).max() for some in itertools.combinations(range(9), budget))
            assert found.lower_bounds[budget - 1] <= best <= found.radii[budget - 1] <= 2 * best
        assert found.budget_for(found.radii[3]) == 4


def test_a_share_of_the_samples() -> None:
    X = draw((200, 4))
    assert len(KCenterGreedy().select(X, 0.1)) == 20
    assert len(KCenterGreedy().select(X, 1.0)) == 200
    assert len(KCenterGreedy().select(X, np.int64(1))) == 1


def test_parameters_as_in_scikit_learn() -> None:
    selector = KCenterGreedy(metric="cosine", start=4, trim=0.1)
    assert clone(selector).get_params() == selector.get_params()
    assert selector.set_params(seed=5).seed == 5


def test_bad_features() -> None:
    X = draw((50, 4))
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[[17, 30], 2] = value
        for metric in ("euclidean", "cosine"):
            with pytest.raises(FeatureError, match="Row 17 of the features holds a NaN or infinity"):
                KCenterGreedy(metric=metric).select(bad, 3)
    for wrong in (X[0], X[:0], X[:, :0], X.astype(str), X.astype(complex), np.ones((3, 1 << 18), np.float32)):
        with pytest.raises(FeatureError):
            KCenterGreedy().select(wrong, 1)


@pytest.mark.parametrize("budget", [-1, 51, 1.5, 0.0, True, "3", None, float("nan")])
def test_bad_budgets(budget) -> None:
    with pytest.raises(SelectionError, match="udget"):
        KCenterGreedy().select(draw((50, 4)), budget)


@pytest.mark.parametrize("name", ["labelled", "candidates"])
@pytest.mark.parametrize(("value", "said"), [([3, 50], "50"), ([-1], "-1"), ([4, 9, 4], "4 twice"), ([0.5], "float")])
def test_bad_indices(name, value, said) -> None:
    with pytest.raises(SelectionError, match=said):
        KCenterGreedy().select(draw((50, 4)), 1, **{name: value})


def test_other_bad_arguments() -> None:
    X, y = draw((50, 4)), np.arange(50) % 10
    with pytest.raises(SelectionError, match=r"\(49,\)"):
        KCenterGreedy().select(X, 1, candidates=np.ones(49, dtype=bool))
    with pytest.raises(SelectionError, match="only 20 of 50"):
        KCenterGreedy().select(X, 21, labelled=np.arange(30))
    with pytest.raises(SelectionError, match="start 3 is not among the candidates"):
        KCenterGreedy(start=3).select(X, 1, candidates=[4, 5])
    with pytest.raises(SelectionError, match="less than the 10 classes"):
        KCenterGreedy(balanced=True).select(X, 9, labels=y)
    with pytest.raises(SelectionError, match="needs the classes"):
        KCenterGreedy(balanced=True).select(X, 10)
    with pytest.raises(ConfigError, match="starts once in every class"):
        KCenterGreedy(balanced=True, start=3).select(X, 10, labels=y)
    with pytest.raises(SelectionError, match="Labels must be"):
        KCenterGreedy(balanced=True).select(X, 10, labels=y[:-1])
    with pytest.raises(SelectionError, match=r"trim=0\.9 leaves 5"):
        KCenterGreedy(trim=0.9).select(X, 6)
    for wrong in ({"metric": "cosin"}, {"start": "centre"}, {"trim": 1.0}, {"device": "tpu"}):
        with pytest.raises(ConfigError):
            KCenterGreedy(**wrong).select(X, 1)


def test_picks_of_another_data_set_are_refused() -> None:
    X = draw((50, 4))
    mine, other = ({"name": "a", "split": "train", "size": 50, "digest": digest} for digest in "xy")
    earlier = KCenterGreedy().select(X, 5, manifest=mine)
    assert KCenterGreedy().select(X, 9, after=earlier, manifest=mine).manifest == mine
    for name in ("after", "labelled"):
        with pytest.raises(ManifestError, match=name):
            KCenterGreedy().select(X, 9, manifest=other, **{name: earlier})


def test_a_memory_map_is_read_and_not_copied(tmp_path, greedy) -> None:
    X = draw((2000, 32))
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = KCenterGreedy(start=0).select(mapped, 60)
    np.testing.assert_array_equal(found.indices[1:], greedy(X, 59, [0])[0])


def test_a_tile_that_does_not_fit_is_made_smaller_and_said_once(monkeypatch, greedy) -> None:
    X = draw((3000, 16))
    take = Points.products

    def scarce(points, rows):
        if not isinstance(rows, slice) and len(rows) > 100:
            raise MemoryError
        return take(points, rows)

    monkeypatch.setattr(Points, "products", scarce)
    monkeypatch.setattr(farthest, "HELD_BYTES", 0)
    monkeypatch.setattr(farthest, "FRONT", 64)
    with pytest.warns(UserWarning, match="Not enough memory") as said:
        found = KCenterGreedy(start=0).select(X, 50)
    assert len(said) == 1
    np.testing.assert_array_equal(found.indices[1:], greedy(X, 49, [0])[0])


@pytest.mark.slow
def test_memory_beyond_the_features_is_small() -> None:
    script = """
        import resource, sys, numpy as np
        from pal_plugin.selection import KCenterGreedy
        rows = int(sys.argv[1])
        X = np.random.default_rng(0).normal(size=(rows, 256)).astype(np.float32)
        KCenterGreedy(start=0).select(X[:2000], 50)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        KCenterGreedy(start=0).select(X, 50)
        print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
    """
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), "200000"], capture_output=True, text=True, check=True
    )
    assert int(found.stdout) < 200_000 * 64 + (1 << 26)  # the features are 205 MB


@pytest.mark.parametrize("near", [3e-162, 1e-161])
def test_squares_that_are_the_smallest_numbers_there_are(near) -> None:
    found = KCenterGreedy(start=0).select(np.array([[0.0], [near], [1.0]]), 3)
    assert found.indices.tolist() == [0, 2, 1]
