"""Every kind of batch graph does what its dense matrix does."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses import (
    BatchGraph,
    BlockGraph,
    DenseGraph,
    SparseGraph,
    as_batch_graph,
    augmentation_graph,
    graph_simclr_loss,
    interpolate,
)

VIEWS, BATCH = 3, 4
ROWS = VIEWS * BATCH


def random_matrix(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(ROWS, ROWS, dtype=torch.float64, generator=generator)
    return weights * (torch.rand(ROWS, ROWS, generator=generator) < 0.3)


def random_blocks(seed: int) -> tuple[BlockGraph, Tensor]:
    """Return blocks of three terms, and their matrix by the definition."""
    generator = torch.Generator().manual_seed(seed)
    terms = [
        (0.5, torch.randint(-2, 3, (ROWS,), generator=generator)),
        (-2.0, torch.randint(-1, 90_000, (BATCH,), generator=generator).repeat(VIEWS)),
        (0.25, torch.zeros(ROWS, dtype=torch.int32)),
    ]
    matrix = torch.zeros(ROWS, ROWS, dtype=torch.float64)
    for a in range(ROWS):
        for b in range(ROWS):
            matrix[a, b] = sum(weight for weight, block in terms if block[a] == block[b] >= 0)
    return BlockGraph(terms).to(torch.empty(0, dtype=torch.float64)), matrix


def cases() -> list[tuple[str, BatchGraph, Tensor]]:
    matrix = random_matrix(0)
    found: list[tuple[str, BatchGraph, Tensor]] = [
        ("dense", DenseGraph(matrix), matrix),
        ("coo", SparseGraph(matrix.to_sparse()), matrix),
        ("csr", SparseGraph(matrix.to_sparse_csr()), matrix),
    ]
    for seed in range(3):
        blocks, matrix = random_blocks(seed)
        found.append((f"blocks {seed}", blocks, matrix))
    return found


def assert_same(graph: BatchGraph, matrix: Tensor) -> None:
    x = torch.randn(matrix.shape[1], 5, dtype=torch.float64, requires_grad=True)
    y = torch.randn(matrix.shape[0], 5, dtype=torch.float64)
    expected = {
        "row_sums": (graph.row_sums(), matrix.sum(1)),
        "column_sums": (graph.column_sums(), matrix.sum(0)),
        "total": (graph.total(), matrix.sum()),
        "square_norm": (graph.square_norm(), matrix.square().sum()),
        "matmul": (graph.matmul(x), matrix @ x),
        "product": (graph.product(x.detach()), matrix @ x),
        "inner": (graph.inner(y, x), (y * (matrix @ x)).sum()),
        "transposed": (graph.transposed.to_dense().matrix, matrix.T),
        "gradient": (
            torch.autograd.grad(graph.matmul(x).sin().sum(), x),
            torch.autograd.grad((matrix @ x).sin().sum(), x),
        ),
        "dense": (graph.to_dense().matrix, matrix),
        "sparse": (graph.to_sparse().matrix.to_dense(), matrix),
    }
    assert graph.shape == tuple(matrix.shape)
    for name, (got, wanted) in expected.items():
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(
    ("name", "graph", "matrix"), cases(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_against_the_matrix(name: str, graph: BatchGraph, matrix: Tensor) -> None:
    assert_same(graph, matrix)
    hollow = matrix.clone().fill_diagonal_(0)
    assert_same(graph.without_diagonal(), hollow)
    assert_same(graph.without_diagonal().scaled(-3.0), -3 * hollow)
    assert graph.signed
    x = torch.randn(ROWS, 5, dtype=torch.float64)
    view = torch.arange(ROWS) // BATCH
    others = matrix * (view[:, None] != view)
    for form in (graph, graph.without_diagonal()):
        torch.testing.assert_close(form.pull(x, VIEWS), (others @ x, others.sum()), rtol=1e-12, atol=1e-12)
        across = form.across(VIEWS)
        assert set(across) == set(itertools.permutations(range(VIEWS), 2))
        for (v, w), between in across.items():
            assert_same(between, matrix[v * BATCH : (v + 1) * BATCH, w * BATCH : (w + 1) * BATCH])


def test_signed() -> None:
    assert not DenseGraph(random_matrix(0).abs()).signed
    assert not SparseGraph(random_matrix(0).abs().to_sparse()).signed
    assert not SparseGraph(torch.zeros(4, 4).to_sparse()).signed
    assert not augmentation_graph(4, 2).signed


def test_symmetric() -> None:
    matrix = random_matrix(0)
    for build in (DenseGraph, lambda matrix: SparseGraph(matrix.to_sparse())):
        assert build(matrix + matrix.T).symmetric
        assert not build(matrix).symmetric
        assert not build((matrix + matrix.T).triu()).symmetric
    blocks = random_blocks(0)[0]
    assert blocks.symmetric
    assert not blocks.across(VIEWS)[0, 1].symmetric


def test_entries_named_twice_add_up() -> None:
    matrix = torch.sparse_coo_tensor(torch.tensor([[0, 0, 1], [1, 1, 0]]), torch.tensor([True, True, True]), (2, 2))
    torch.testing.assert_close(SparseGraph(matrix).to_dense().matrix, torch.tensor([[0.0, 2.0], [1.0, 0.0]]))


def test_a_row_without_others_in_its_blocks_has_a_sum_of_exactly_zero() -> None:
    """Or it would count as a row with positives, with nothing but rounding for weights."""
    alone = torch.arange(ROWS)
    together = alone.clone()
    together[1] = 0
    for alpha in (0.1, 0.3, 0.7, 0.9):
        graph = interpolate(BlockGraph([(1.0, alone)]), BlockGraph([(1.0, together)]), alpha)
        assert (graph.without_diagonal().row_sums() != 0).tolist() == [True, True] + [False] * (ROWS - 2)


def test_augmentation_graph() -> None:
    wanted = torch.kron(torch.ones(VIEWS, VIEWS), torch.eye(BATCH))  # view-major
    torch.testing.assert_close(augmentation_graph(BATCH, VIEWS).to_dense().matrix, wanted)


def test_interpolate() -> None:
    matrix = random_matrix(0).float()
    blocks, (_, blocks_matrix) = augmentation_graph(BATCH, VIEWS), random_blocks(0)
    ssl = blocks.to_dense().matrix
    other = random_blocks(1)[0].to(torch.empty(0))
    for sup, kind in ((other, BlockGraph), (matrix.to_sparse(), SparseGraph), (matrix, DenseGraph)):
        dense = as_batch_graph(sup).to_dense().matrix
        for alpha in (0.0, 0.25, 1.0):
            mixed = interpolate(blocks, sup, alpha)
            assert isinstance(mixed, kind if alpha else BlockGraph)
            torch.testing.assert_close(mixed.to_dense().matrix, (1 - alpha) * ssl + alpha * dense)
    assert blocks_matrix.any()
    torch.testing.assert_close(
        interpolate(matrix.to_sparse(), matrix.T, 0.5).to_dense().matrix, (matrix + matrix.T) / 2
    )
    mixed = interpolate(blocks.without_diagonal(), other, 0.5)
    torch.testing.assert_close(mixed.to_dense().matrix, ssl.clone().fill_diagonal_(0) / 2 + other.to_dense().matrix / 2)


def test_alpha_zero_is_self_supervised_to_the_last_bit() -> None:
    z = torch.randn(ROWS, 5)
    ssl, sup = augmentation_graph(BATCH, VIEWS), BlockGraph([(1.0, torch.zeros(ROWS, dtype=torch.int64))])
    assert torch.equal(graph_simclr_loss(z, interpolate(ssl, sup, 0.0)), graph_simclr_loss(z, ssl))
    assert not torch.equal(graph_simclr_loss(z, interpolate(ssl, sup, 0.01)), graph_simclr_loss(z, ssl))


def test_counts_beyond_the_integers_of_float32() -> None:
    rows = 5000
    graph = BlockGraph([(1.0, torch.zeros(rows, dtype=torch.int64))])
    assert float(graph.square_norm()) == rows**2
    assert float(graph.without_diagonal().to(torch.empty(0, dtype=torch.float64)).square_norm()) == rows * (rows - 1)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside(alpha: float) -> None:
    with pytest.raises(LossError, match="outside"):
        interpolate(augmentation_graph(2, 2), augmentation_graph(2, 2), alpha)


def test_malformed_graphs() -> None:
    nan = torch.ones(3, 3).index_put_((torch.tensor(1), torch.tensor(2)), torch.tensor(float("nan")))
    ids = torch.zeros(4, dtype=torch.int64)
    for build, said in (
        (lambda: as_batch_graph(nan), "1 weights that are NaN"),
        (lambda: as_batch_graph(nan.to_sparse()), "1 weights that are NaN"),
        (lambda: as_batch_graph(torch.full((2, 2), float("inf"))), "infinite"),
        (lambda: as_batch_graph(torch.ones(2, 3)), r"\(2, 3\)"),
        (lambda: as_batch_graph(torch.ones(2, 3).to_sparse()), r"\(2, 3\)"),
        (lambda: as_batch_graph(torch.ones(2, 2, dtype=torch.complex64)), "complex64"),
        (lambda: BlockGraph([]), "no terms"),
        (lambda: BlockGraph([(1.0, ids), (1.0, ids[:3])]), "shapes"),
        (lambda: BlockGraph([(1.0, ids.view(2, 2))]), "shapes"),
        (lambda: BlockGraph([(float("nan"), ids)]), "nan"),
        (lambda: BlockGraph([(1.0, ids.float())]), "float32"),
        (lambda: augmentation_graph(0, 2), "0 samples"),
        (lambda: interpolate(augmentation_graph(2, 2), augmentation_graph(2, 3), 0.5), r"\(4, 4\) and \(6, 6\)"),
    ):
        with pytest.raises(LossError, match=said):
            build()
