"""The engine torch: exact whatever its products lose, row by row, and honest about what it could not prove."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pal_plugin.errors import ConfigError, DeviceError
from pal_plugin.graph import certified as module
from pal_plugin.graph import space
from pal_plugin.graph.certified import certified, torch_exact
from pal_plugin.graph.knn import faiss_exact
from pal_plugin.graph.search import Search
from pal_plugin.graph.space import Space

RNG = np.random.default_rng(7)


def brute(points, k):
    """The k nearest other rows by (float64 distance, index)."""
    points = points.astype(np.float64)
    nearest = np.empty((len(points), k), dtype=int)
    for row, point in enumerate(points):
        order = np.lexsort((np.arange(len(points)), np.square(points - point).sum(axis=1)))
        nearest[row] = order[order != row][:k]
    return nearest


def clusters(size, width, noise, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((10, width))[rng.integers(0, 10, size)] + noise * rng.standard_normal((size, width))


SHELL = RNG.standard_normal((500, 256))
CASES = {
    "gaussian": RNG.standard_normal((700, 16)),
    "clusters": clusters(700, 64, 0.3),
    "tight clusters": clusters(700, 64, 1e-4),
    "near-ties of bfloat16": clusters(700, 32, 1e-2) + 3,
    "a shell, all about equally far": SHELL / np.linalg.norm(SHELL, axis=1, keepdims=True),
    "duplicates": clusters(40, 16, 1.0)[RNG.integers(0, 40, 600)],
    "pairs of duplicates": np.repeat(clusters(300, 16, 1.0), 2, axis=0),
    "all the same": np.full((200, 8), 0.1),
    "large norms": clusters(500, 24, 0.3) * 1e30,
    "norms of many sizes": RNG.standard_normal((500, 24)) * 10 ** RNG.uniform(-6, 6, (500, 1)),
    "uncentred": clusters(500, 24, 0.3) + 1e4,
    "an outlier": np.concatenate([clusters(300, 8, 0.3), np.full((1, 8), 1e30)]),
    "tied integers": RNG.integers(0, 3, (600, 5)),
    "one-hot": np.eye(150),
    "permuted coordinates": np.array([RNG.permutation([0.1, 0.2, 0.3, 0.7, 1.1]) for _ in range(300)]),
    "subnormal": RNG.integers(0, 9, (100, 3)) * 1e-45,
    "two rows": RNG.standard_normal((2, 3)),
}
CASES = {name: points.astype(np.float32) for name, points in CASES.items()}


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """Several tiles each way, and a last one that is smaller."""
    monkeypatch.setattr(module, "_ROWS", 128)
    monkeypatch.setattr(module, "_COLUMNS", 190)


@pytest.mark.parametrize("k", [1, 10, 10**9])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_every_row_equals_brute_force(name, precision, k):
    points = CASES[name]
    k = min(k, len(points) - 1)
    found = certified(points, k, "euclidean", device="cpu", precision=precision)
    assert np.array_equal(found.neighbours, brute(points, k))
    assert sum(found.proven.values()) == len(points)


@pytest.mark.parametrize("name", CASES)
def test_cosine_equals_the_exact_engine(name):
    points = CASES[name]
    k = min(5, len(points) - 1)
    found = certified(points, k, "cosine", device="cpu", precision="bfloat16").neighbours
    assert np.array_equal(found, faiss_exact(points, k, "cosine"))


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 40), st.integers(1, 4)),
        elements=st.sampled_from(np.float32([0, 1, -1, 2, 0.5, 1e-6, 1e6, 0.1, 0.3]).tolist())
        | st.floats(-1e3, 1e3, width=32),
    ),
    st.integers(1, 39),
)
def test_equal_to_brute_force_on_what_hypothesis_finds(points, k):
    k = min(k, len(points) - 1)
    found = certified(points, k, "euclidean", device="cpu", precision="bfloat16").neighbours
    assert np.array_equal(found, brute(points, k))


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("gaussian", {"bfloat16"}),
        ("near-ties of bfloat16", {"float32"}),
        ("norms of many sizes", {"bfloat16", "search"}),
        ("duplicates", {"search"}),
        ("one-hot", {"search"}),
    ],
)
def test_each_step_proves_rows_and_leaves_others(name, some):
    proven = certified(CASES[name], 10, "euclidean", device="cpu", precision="bfloat16").proven
    assert list(proven) == ["bfloat16", "float32", "search"]
    assert some <= {step for step, rows in proven.items() if rows}, proven


def test_an_unproven_list_may_be_wrong():
    """Without the proof the answer would be another: bfloat16 alone loses neighbours here."""
    points = CASES["near-ties of bfloat16"]
    product = product_of(points, torch.bfloat16)
    candidates, _ = product.propose(torch.arange(len(points)), 22)
    lists = zip(brute(points, 10), candidates.numpy(), strict=True)
    whole = np.array([np.isin(exact, found).all() for exact, found in lists])
    assert not whole.all()
    assert not proven_by(product, points, 10)[~whole].any()


def product_of(points, dtype):
    search = Search.of(Space.of(points, "euclidean"))
    return module._Product.of(torch.from_numpy(points), search, dtype)


def proven_by(product, points, k):
    """Whether the product proves that its list holds each row's k exact neighbours."""
    rows = torch.arange(len(points))
    _, others = product.propose(rows, 2 * (k + 1))
    exact = brute(points, k)[:, -1]
    reach = np.linalg.norm(points[exact].astype(np.float64) - points.astype(np.float64), axis=1)
    scale = 2.0 ** Search.of(Space.of(points, "euclidean")).exponent
    return product.proves(rows, others, torch.from_numpy(reach * scale)).numpy()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("name", [name for name, points in CASES.items() if len(points) > 30])
def test_the_bound_holds_for_every_pair(name, dtype):
    """A point that is as near as `reach` never has a product's distance that the proof takes for one further away."""
    points = CASES[name]
    product = product_of(points, dtype)
    search = Search.of(Space.of(points, "euclidean"))
    exact = np.linalg.norm(points[:, None].astype(np.float64) - points[None].astype(np.float64), axis=-1)
    scores = module._multiply(product.values, product.values) - product.halves
    said = product.rounded[:, None] ** 2 - 2 * scores.double()
    rows = torch.arange(len(points))
    for other in range(0, len(points), 7):
        reach = torch.from_numpy(exact[:, other] * 2.0**search.exponent)
        assert not product.proves(rows, said[:, other], reach).any()


@pytest.mark.parametrize("name", ["clusters", "duplicates"])
def test_neither_tiles_nor_blocks_change_the_answer(name, monkeypatch):
    points = CASES[name]
    expected = certified(points, 7, "cosine", device="cpu", precision="bfloat16")
    for rows, columns in ((1, 10_000), (10_000, 33)):
        monkeypatch.setattr(module, "_ROWS", rows)
        monkeypatch.setattr(module, "_COLUMNS", columns)
        monkeypatch.setattr(module, "_PAIR_NUMBERS", 1)
        monkeypatch.setattr(space, "HELD_BYTES", 0)
        found = certified(points, 7, "cosine", device="cpu", precision="bfloat16")
        assert np.array_equal(found.neighbours, expected.neighbours)


def test_a_product_that_loses_digits_is_refused(monkeypatch):
    def tf32(left, right):
        short = [(x.float().view(torch.int32) & ~0x1FFF).view(torch.float32) for x in (left, right)]
        return short[0] @ short[1].T

    monkeypatch.setattr(module, "_multiply", tf32)
    with pytest.raises(DeviceError, match="lose more digits"):
        torch_exact(CASES["gaussian"], 3, "euclidean")


def test_torchs_settings_are_put_back():
    torch.set_float32_matmul_precision("medium")
    try:
        torch_exact(CASES["gaussian"], 3, "euclidean")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_other_choices_are_refused():
    with pytest.raises(ConfigError, match="did you mean float32"):
        certified(CASES["gaussian"], 3, "euclidean", precision="float23")


def test_a_torch_without_mixed_products_says_so(monkeypatch):
    class Product:
        def __init__(self, *overloads):
            self.overloads = lambda: overloads

    cuda = torch.device("cuda")
    monkeypatch.setattr(torch.ops.aten, "mm", Product("default", "out", "dtype"))
    assert module._steps("bfloat16", cuda) == (torch.bfloat16, torch.float32)
    monkeypatch.setattr(torch.ops.aten, "mm", Product("default", "out"))
    with pytest.warns(UserWarning, match="no products of bfloat16"):
        assert module._steps("bfloat16", cuda) == (torch.float32,)
    assert module._steps("bfloat16", torch.device("cpu")) == (torch.bfloat16, torch.float32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(DeviceError, match="torch sees none"):
        certified(CASES["gaussian"], 3, "euclidean", device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("k", [1, 10, 10**9])
@pytest.mark.parametrize("name", CASES)
def test_every_row_equals_brute_force_on_a_gpu(name, k):
    points = CASES[name]
    k = min(k, len(points) - 1)
    found = certified(points, k, "euclidean", device="cuda", precision="bfloat16")
    assert np.array_equal(found.neighbours, brute(points, k))


@pytest.mark.parametrize("device", ["tpu", "gpu", "cuda:first", "meta", ""])
def test_a_device_that_does_not_exist(device):
    with pytest.raises(DeviceError, match="no device called"):
        certified(CASES["gaussian"], 3, "euclidean", device=device)
