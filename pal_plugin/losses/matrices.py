"""The batch graphs that are matrices: dense, and a list of entries."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph


class DenseGraph(BatchGraph):
    """A matrix.

    Args:
        matrix: (M, M), of any real type or bool.

    Raises:
        LossError: it is not a square matrix of finite real numbers.
    """

    def __init__(self, matrix: Tensor) -> None:
        _check_matrix(matrix)
        self._hold(_real(matrix.detach()))
        _check_finite(self.matrix)

    def _hold(self, matrix: Tensor) -> DenseGraph:
        self.matrix = matrix
        return self

    def _new(self, matrix: Tensor) -> DenseGraph:
        return DenseGraph.__new__(DenseGraph)._hold(matrix)

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return self.matrix.shape[0], self.matrix.shape[1]

    @property
    def signed(self) -> bool:
        """Whether an entry is negative."""
        return _has_negative(self.matrix)

    def to(self, like: Tensor) -> DenseGraph:
        """Return the graph with the type and on the device of `like`."""
        return self._new(self.matrix.to(like))

    def row_sums(self) -> Tensor:
        """Return Σ_b G_ab, (R,)."""
        return self.matrix.sum(1)

    def column_sums(self) -> Tensor:
        """Return Σ_a G_ab, (C,)."""
        return self.matrix.sum(0)

    def square_norm(self) -> Tensor:
        """Return Σ_ab G_ab²."""
        return self.matrix.square().sum()

    @property
    def symmetric(self) -> bool:
        """Whether G = Gᵀ."""
        return torch.equal(self.matrix, self.matrix.T)

    @property
    def transposed(self) -> DenseGraph:
        """Gᵀ."""
        return self._new(self.matrix.T)

    def product(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), without a gradient."""
        return self.matrix @ x

    def without_diagonal(self) -> DenseGraph:
        """Return the graph with G_aa = 0."""
        return self._new(self.matrix.clone().fill_diagonal_(0))

    def across(self, views: int) -> Mapping[tuple[int, int], DenseGraph]:
        """Return, for every two different views (v, w), the (B, B) graph from v to w."""
        blocks = [rows.chunk(views, 1) for rows in self.matrix.chunk(views)]
        return {(v, w): self._new(blocks[v][w]) for v, w in permutations(range(views), 2)}

    def pull(self, x: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Return Σ_b G_ab·x_b over the rows b of other views than a's, (M, D), and the sum of those G_ab."""
        others = self.matrix.clone()
        for v, rows in enumerate(others.chunk(views)):
            rows.chunk(views, 1)[v].zero_()
        return others @ x, others.sum()

    def scaled(self, weight: float) -> DenseGraph:
        """Return weight·G."""
        return self._new(self.matrix * weight)

    def to_sparse(self) -> SparseGraph:
        """Return the entries other than zero."""
        return SparseGraph(self.matrix.to_sparse())

    def to_dense(self) -> DenseGraph:
        """Return the graph itself."""
        return self


class SparseGraph(BatchGraph):
    """A list of entries.

    Args:
        matrix: (M, M) torch sparse tensor, COO or CSR, of any real type or bool; entries named twice add up.

    Raises:
        LossError: it is not a square matrix of finite real numbers.
    """

    def __init__(self, matrix: Tensor) -> None:
        _check_matrix(matrix)
        entries = matrix.detach().to_sparse(layout=torch.sparse_coo)
        # Only then may entries be named twice, and only real numbers add up.
        entries = entries if entries.is_coalesced() else _real(entries).coalesce()
        self._hold(entries.indices(), _real(entries.values()), (matrix.shape[0], matrix.shape[1]))
        _check_finite(self.values)

    def _hold(self, places: Tensor, values: Tensor, shape: tuple[int, int]) -> SparseGraph:
        """Hold `places` (2, E), sorted and distinct, and `values` (E,)."""
        self.places, self.values, self._shape = places, values, shape
        return self

    def _new(self, places: Tensor, values: Tensor, shape: tuple[int, int]) -> SparseGraph:
        return SparseGraph.__new__(SparseGraph)._hold(places, values, shape)

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return self._shape

    @property
    def signed(self) -> bool:
        """Whether an entry is negative."""
        return _has_negative(self.values)

    @property
    def matrix(self) -> Tensor:
        """The graph as a coalesced torch COO tensor."""
        return torch.sparse_coo_tensor(
            self.places, self.values, self.shape, is_coalesced=True, check_invariants=False
        )  # the entries were checked when they came in

    def to(self, like: Tensor) -> SparseGraph:
        """Return the graph with the type and on the device of `like`."""
        return self._new(self.places.to(like.device), self.values.to(like), self.shape)

    def row_sums(self) -> Tensor:
        """Return Σ_b G_ab, (R,)."""
        return self._sums(0)

    def column_sums(self) -> Tensor:
        """Return Σ_a G_ab, (C,)."""
        return self._sums(1)

    def _sums(self, axis: int) -> Tensor:
        return self.values.new_zeros(self.shape[axis]).index_add_(0, self.places[axis], self.values)

    def square_norm(self) -> Tensor:
        """Return Σ_ab G_ab²."""
        return self.values.square().sum()

    @property
    def symmetric(self) -> bool:
        """Whether G = Gᵀ."""
        turned = self.transposed
        return torch.equal(turned.places, self.places) and torch.equal(turned.values, self.values)

    @property
    def transposed(self) -> SparseGraph:
        """Gᵀ."""
        order = self.places[1].argsort(stable=True)
        return self._new(self.places.flip(0)[:, order], self.values[order], (self.shape[1], self.shape[0]))

    def product(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), without a gradient."""
        rows, columns = self.places
        counts = torch.bincount(rows, minlength=self.shape[0])
        # Weighted sums of rows of x are what a bag of embeddings is; torch.sparse takes twenty times as long on a CPU.
        return F.embedding_bag(columns, x, counts.cumsum(0) - counts, mode="sum", per_sample_weights=self.values)

    def without_diagonal(self) -> SparseGraph:
        """Return the graph without its entries (a, a)."""
        return self._where(self.places[0] != self.places[1])

    def _where(self, keep: Tensor) -> SparseGraph:
        entries = keep.nonzero().squeeze(1)
        return self._new(self.places.index_select(1, entries), self.values.index_select(0, entries), self.shape)

    def across(self, views: int) -> Mapping[tuple[int, int], SparseGraph]:
        """Return, for every two different views (v, w), the (B, B) graph from v to w."""
        batch = self.shape[0] // views
        starts = torch.arange(views + 1, device=self.places.device) * batch
        bounds = torch.searchsorted(self.places[0].contiguous(), starts).tolist()  # the rows are sorted
        found = {}
        for v in range(views):
            places, values = self.places[:, bounds[v] : bounds[v + 1]], self.values[bounds[v] : bounds[v + 1]]
            view = places[1] // batch
            for w in set(range(views)) - {v}:
                keep = (view == w).nonzero().squeeze(1)
                found[v, w] = self._new(places[:, keep] % batch, values[keep], (batch, batch))
        return found

    def pull(self, x: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Return Σ_b G_ab·x_b over the rows b of other views than a's, (M, D), and the sum of those G_ab."""
        view = self.places // (self.shape[0] // views)
        others = self._where(view[0] != view[1])
        return others.product(x), others.values.sum()

    def scaled(self, weight: float) -> SparseGraph:
        """Return weight·G."""
        return self._new(self.places, self.values * weight, self.shape)

    def to_sparse(self) -> SparseGraph:
        """Return the graph itself."""
        return self

    def to_dense(self) -> DenseGraph:
        """Return the same graph as a matrix."""
        return DenseGraph(self.matrix.to_dense())


def _real(matrix: Tensor) -> Tensor:
    """Return float64 as it is and any other type as float32."""
    return matrix if matrix.dtype == torch.float64 else matrix.to(torch.float32)


def _check_matrix(matrix: Tensor) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise LossError(f"A batch graph has the shape {tuple(matrix.shape)}", "Pass a square matrix, (M, M)")
    if matrix.is_complex():
        raise LossError(f"A batch graph has weights of type {matrix.dtype}", "Pass real weights")


def _check_finite(weights: Tensor) -> None:
    if weights.numel() and not torch.stack(torch.aminmax(weights)).isfinite().all():
        wrong = int((~weights.isfinite()).sum())
        raise LossError(f"A batch graph has {wrong} weights that are NaN or infinite", "Correct the graph's weights")


def _has_negative(weights: Tensor) -> bool:
    return weights.numel() > 0 and bool(weights.min() < 0)
