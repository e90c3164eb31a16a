"""The similarity graph among the rows of one batch: what the losses ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from pal_plugin.losses.matrices import DenseGraph, SparseGraph


class BatchGraph(ABC):
    """Edge weights G between the rows of a batch; entry (a, b) is the weight of the edge from row a to row b.

    The rows are view-major: row v·B + b is view v of sample b. No gradient goes to the weights. Sums and products come
    in the weights' own type and on their own device, which `to` changes.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(R, C): (M, M) for the graph of a batch, (B, B) between two of its views."""

    @property
    @abstractmethod
    def signed(self) -> bool:
        """Whether there are negative weights, which say that two rows are unrelated."""

    @abstractmethod
    def to(self, like: Tensor) -> BatchGraph:
        """Return the graph with the floating type and on the device of `like`."""

    @abstractmethod
    def row_sums(self) -> Tensor:
        """Return Σ_b G_ab, (R,)."""

    @abstractmethod
    def column_sums(self) -> Tensor:
        """Return Σ_a G_ab, (C,)."""

    @abstractmethod
    def square_norm(self) -> Tensor:
        """Return Σ_ab G_ab², a scalar."""

    @property
    @abstractmethod
    def symmetric(self) -> bool:
        """Whether G = Gᵀ."""

    @property
    @abstractmethod
    def transposed(self) -> BatchGraph:
        """Gᵀ, the graph with every edge turned round."""

    @abstractmethod
    def product(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), for x (C, D), without a gradient; `matmul` has one."""

    @abstractmethod
    def without_diagonal(self) -> BatchGraph:
        """Return the graph with G_aa = 0; for the square graph of a whole batch."""

    @abstractmethod
    def across(self, views: int) -> Mapping[tuple[int, int], BatchGraph]:
        """Return, for every two different views (v, w), the (B, B) graph of the edges from rows of v to rows of w."""

    @abstractmethod
    def pull(self, x: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Return Σ_b G_ab·x_b over the rows b of other views than a's, (M, D), and the sum of those G_ab.

        Without a gradient.
        """

    @abstractmethod
    def scaled(self, weight: float) -> BatchGraph:
        """Return weight·G."""

    @abstractmethod
    def to_sparse(self) -> SparseGraph:
        """Return the same graph as a list of its entries."""

    @abstractmethod
    def to_dense(self) -> DenseGraph:
        """Return the same graph as a matrix."""

    def total(self) -> Tensor:
        """Return Σ_ab G_ab, a scalar."""
        return self.row_sums().sum()

    def matmul(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), for x (C, D); the gradient goes to x."""
        product: Tensor = _Product.apply(x, self)
        return product

    def inner(self, x: Tensor, y: Tensor) -> Tensor:
        """Return Σ_ab G_ab·x_a·y_b, a scalar, for x (R, D) and y (C, D); the gradient goes to both."""
        inner: Tensor = torch.linalg.vecdot(x, self.matmul(y)).sum()
        return inner


class _Product(torch.autograd.Function):
    """G·x with the gradient Gᵀ·g. Left to autograd, products of blocks and entries keep every step that they take."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, graph: BatchGraph) -> Tensor:
        ctx.graph = graph
        return graph.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return ctx.graph.transposed.matmul(gradient), None
