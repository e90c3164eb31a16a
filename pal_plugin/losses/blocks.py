"""Graphs of blocks: rows of one block are related to each other. Products with them need no M×M matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph, DenseGraph, SparseGraph


@dataclass(frozen=True)
class _Members:
    """The rows that are in a block: `rows` (m,), or None when that is every row, and the `block` (m,) of each."""

    rows: Tensor | None
    block: Tensor

    @classmethod
    def of(cls, block: Tensor) -> _Members:
        inside = block >= 0
        if inside.all():
            return cls(None, block)
        rows = inside.nonzero().squeeze(1)
        return cls(rows, block.index_select(0, rows))

    def take(self, x: Tensor) -> Tensor:
        """Return the members' rows of x, (m, D)."""
        return x if self.rows is None else x.index_select(0, self.rows)

    def put(self, x: Tensor, size: int) -> Tensor:
        """Return (size, D), zero but for the members' rows, which are x (m, D)."""
        return x if self.rows is None else x.new_zeros(size, *x.shape[1:]).index_copy(0, self.rows, x)

    def counts(self, blocks: int) -> Tensor:
        """Return how many members each block has, (blocks,) int64."""
        return torch.bincount(self.block, minlength=blocks)


@dataclass(frozen=True)
class _Term:
    """w·1{row_block[a] = column_block[b] ≥ 0}; blocks are numbered in [0, blocks), -1 is no block."""

    weight: float
    row_block: Tensor
    column_block: Tensor
    blocks: int

    @cached_property
    def rows(self) -> _Members:
        return _Members.of(self.row_block)

    @cached_property
    def columns(self) -> _Members:
        return self.rows if self.row_block is self.column_block else _Members.of(self.column_block)

    @property
    def transposed(self) -> _Term:
        return _Term(self.weight, self.column_block, self.row_block, self.blocks)

    def add_product(self, product: Tensor, x: Tensor) -> None:
        """Add the term's product with x (C, D) to `product` (R, D), in place: every row gets its block's sum."""
        sums = x.new_zeros(self.blocks, x.shape[1]).index_add_(0, self.columns.block, self.columns.take(x))
        shares = sums.index_select(0, self.rows.block)
        if self.rows.rows is None:
            product.add_(shares, alpha=self.weight)
        else:
            product.index_add_(0, self.rows.rows, shares, alpha=self.weight)

    def total(self) -> Tensor:
        """Return the sum of the term's entries, a float64 scalar."""
        return self.weight * (self.rows.counts(self.blocks) * self.columns.counts(self.blocks)).sum().double()

    def degrees(self) -> tuple[Tensor, Tensor]:
        """Return how many columns each row has (R,) and how many rows each column (C,), int64."""
        of_row = self.columns.counts(self.blocks).index_select(0, self.rows.block)
        of_column = self.rows.counts(self.blocks).index_select(0, self.columns.block)
        return self.rows.put(of_row, self.row_block.numel()), self.columns.put(of_column, self.column_block.numel())

    def places(self) -> Tensor:
        """Return the (2, E) entries of the term."""
        counts = self.columns.counts(self.blocks)
        first = counts.cumsum(0) - counts  # where each block starts among the sorted columns
        sorted_columns = _positions(self.columns)[self.columns.block.argsort()]
        reach = counts[self.rows.block]
        rows = _positions(self.rows).repeat_interleave(reach)
        within = torch.arange(rows.numel(), device=rows.device) - (reach.cumsum(0) - reach).repeat_interleave(reach)
        return torch.stack([rows, sorted_columns[first[self.rows.block].repeat_interleave(reach) + within]])


def _positions(members: _Members) -> Tensor:
    return torch.arange(members.block.numel(), device=members.block.device) if members.rows is None else members.rows


class BlockGraph(BatchGraph):
    """A sum of block graphs: G = Σ_t w_t·1{c_t[a] = c_t[b] ≥ 0}.

    Args:
        terms: pairs (w_t, c_t) of a finite weight and the (M,) int64 block of each row; a negative number is no block.
            Numbers need not be consecutive. A term of negative weight makes the graph signed.

    Raises:
        LossError: no terms, a weight that is not finite, or blocks that are not (M,) integers of one M.
    """

    def __init__(self, terms: Sequence[tuple[float, Tensor]]) -> None:
        if not terms:
            raise LossError("A graph of blocks has no terms", "Pass at least one pair (weight, blocks)")
        sizes = {tuple(block.shape) for _, block in terms}
        if len(sizes) > 1 or len(next(iter(sizes))) != 1:
            raise LossError(f"A graph of blocks has blocks of the shapes {sorted(sizes)}", "Pass (M,) blocks of one M")
        like = torch.empty(0, device=terms[0][1].device)
        self._hold([_term(weight, block) for weight, block in terms], like, hollow=False)

    def _hold(self, terms: Sequence[_Term], like: Tensor, hollow: bool) -> BlockGraph:
        """Hold the terms; sums and products have the type and device of `like`, and a hollow graph no diagonal."""
        self.terms, self._like, self.hollow = tuple(terms), like, hollow
        return self

    def _new(self, terms: Sequence[_Term], hollow: bool) -> BlockGraph:
        return BlockGraph.__new__(BlockGraph)._hold(terms, self._like, hollow)

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C)."""
        return self.terms[0].row_block.numel(), self.terms[0].column_block.numel()

    @property
    def signed(self) -> bool:
        """Whether a term is negative (terms that outweigh it are not looked at)."""
        return any(term.weight < 0 for term in self.terms)

    def to(self, like: Tensor) -> BlockGraph:
        """Return the graph with the type and on the device of `like`."""
        graph = self._new(self.terms, self.hollow)
        graph._like = like.new_empty(0)
        if like.device != self._like.device:
            graph.terms = tuple(_moved(term, like.device) for term in self.terms)
        return graph

    def row_sums(self) -> Tensor:
        """Return Σ_b G_ab, (R,)."""
        return self._degrees(0)

    def column_sums(self) -> Tensor:
        """Return Σ_a G_ab, (C,)."""
        return self._degrees(1)

    def _degrees(self, axis: int) -> Tensor:
        # The diagonal is taken from the counts, before any weight: a row with nothing else is exactly zero.
        sums = self._like.new_zeros(self.shape[axis])
        for term in self.terms:
            degree = term.degrees()[axis]
            sums.add_(degree - (degree > 0).long() if self.hollow else degree, alpha=term.weight)
        return sums

    def square_norm(self) -> Tensor:
        """Return Σ_ab G_ab²."""
        total = self._like.new_zeros((), dtype=torch.float64)  # counts of pairs outgrow float32's integers
        for one in self.terms:
            for other in self.terms:
                total += one.weight * other.weight * _shared(one, other)
        if self.hollow:
            total -= self._diagonal().double().square().sum()
        return total.to(self._like)

    def _diagonal(self) -> Tensor:
        """Return what the diagonal of the graph is, or would be if it were not hollow, (M,)."""
        diagonal = self._like.new_zeros(self.shape[0])
        for term in self.terms:
            diagonal.add_(term.row_block >= 0, alpha=term.weight)
        return diagonal

    @property
    def symmetric(self) -> bool:
        """Whether G = Gᵀ: so it is, but between two views."""
        return all(torch.equal(term.row_block, term.column_block) for term in self.terms)

    @property
    def transposed(self) -> BlockGraph:
        """Gᵀ."""
        return self._new([term.transposed for term in self.terms], self.hollow)

    def product(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), without a gradient."""
        product = x.new_zeros(self.shape[0], x.shape[1])
        for term in self.terms:
            term.add_product(product, x)
        return product.addcmul_(self._diagonal().unsqueeze(1), x, value=-1) if self.hollow else product

    def total(self) -> Tensor:
        """Return Σ_ab G_ab, a scalar."""
        total = torch.stack([term.total() for term in self.terms]).sum()
        return (total - self._diagonal().sum() if self.hollow else total).to(self._like)

    def without_diagonal(self) -> BlockGraph:
        """Return the graph with G_aa = 0."""
        return self._new(self.terms, hollow=True)

    def between(self, v: int, w: int, views: int) -> BlockGraph:
        """Return the (B, B) graph from view v to view w."""
        batch = self.shape[0] // views
        rows, columns = (slice(view * batch, (view + 1) * batch) for view in (v, w))
        terms = [
            _Term(term.weight, term.row_block[rows], term.column_block[columns], term.blocks) for term in self.terms
        ]
        return self._new(terms, hollow=False)

    def scaled(self, weight: float) -> BlockGraph:
        """Return weight·G."""
        terms = [_Term(weight * term.weight, term.row_block, term.column_block, term.blocks) for term in self.terms]
        return self._new(terms, self.hollow)

    def plus(self, other: BlockGraph) -> BlockGraph:
        """Return the sum with another graph of blocks, of the same shape and as hollow or not."""
        return self._new([*self.terms, *other.terms], self.hollow)

    def to_sparse(self) -> SparseGraph:
        """Return the same graph as a list of its entries."""
        places = [term.places() for term in self.terms]
        values = [
            self._like.new_full((here.shape[1],), term.weight) for term, here in zip(self.terms, places, strict=True)
        ]
        matrix = torch.sparse_coo_tensor(
            torch.cat(places, 1), torch.cat(values), self.shape, check_invariants=False
        )  # places are within the shape by construction
        graph = SparseGraph(matrix)
        return graph.without_diagonal() if self.hollow else graph

    def to_dense(self) -> DenseGraph:
        """Return the same graph as a matrix."""
        matrix = self._like.new_zeros(self.shape)
        for term in self.terms:
            related = (term.row_block[:, None] == term.column_block) & (term.row_block[:, None] >= 0)
            matrix.add_(related, alpha=term.weight)
        return DenseGraph(matrix.fill_diagonal_(0) if self.hollow else matrix)


def augmentation_graph(batch: int, views: int, device: torch.device | str | None = None) -> BlockGraph:
    """Return the graph in which the views of each of `batch` different samples are related, diagonal included.

    Raises:
        LossError: no samples or no views.
    """
    if batch < 1 or views < 1:
        raise LossError(f"There is no graph of {views} views of {batch} samples", "Pass positive numbers")
    return BlockGraph([(1.0, torch.arange(batch, device=device).repeat(views))])


def _term(weight: float, block: Tensor) -> _Term:
    if not torch.isfinite(torch.tensor(weight, dtype=torch.float64)):
        raise LossError(f"A term of a graph of blocks has the weight {weight}", "Pass a finite weight")
    if block.is_floating_point() or block.is_complex() or block.dtype == torch.bool:
        raise LossError(f"A graph of blocks has blocks of type {block.dtype}", "Number the blocks with integers")
    number = block.long().clamp(min=-1)
    last = int(number.max()) if number.numel() else -1
    if last >= number.numel():  # sample or component numbers of a large data set: sums are kept for the blocks at hand
        kinds, number = torch.unique(number, return_inverse=True)
        number, last = number - int(kinds[0] < 0), kinds.numel() - 1
    return _Term(float(weight), number, number, last + 1)


def _moved(term: _Term, device: torch.device) -> _Term:
    rows = term.row_block.to(device)
    columns = rows if term.column_block is term.row_block else term.column_block.to(device)
    return _Term(term.weight, rows, columns, term.blocks)


def _shared(one: _Term, other: _Term) -> Tensor:
    """Return the number of entries that two terms have in common, a float64 scalar."""
    counts = []
    for first, second in ((one.row_block, other.row_block), (one.column_block, other.column_block)):
        both = (first >= 0) & (second >= 0)
        counts.append(first[both] * other.blocks + second[both])
    kinds, number = torch.unique(torch.cat(counts), return_inverse=True)
    rows, columns = number.split([counts[0].numel(), counts[1].numel()])
    return (
        torch.bincount(rows, minlength=kinds.numel()).double()
        @ torch.bincount(columns, minlength=kinds.numel()).double()
    )
