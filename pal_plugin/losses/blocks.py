"""Graphs of blocks: rows of one block are related to each other. Products with them need no M×M matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import permutations

import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.matrices import DenseGraph, SparseGraph


@dataclass(frozen=True, eq=False)
class _Side:
    """Which of `blocks` blocks each of `size` rows is in: row `rows[m]` is in block `block[m]`, the others in none.

    `rows` is None when every row is in a block.
    """

    size: int
    blocks: int
    rows: Tensor | None
    block: Tensor

    @classmethod
    def of(cls, numbers: Tensor, blocks: int | None = None) -> _Side:
        """Make one of (size,) numbers, negative for none; all are below `blocks` if that is given."""
        size, inside = numbers.numel(), (numbers >= 0).nonzero().squeeze(1)
        everywhere = inside.numel() == size
        block = numbers if everywhere else numbers.index_select(0, inside)
        if blocks is None:
            blocks = int(block.max()) + 1 if block.numel() else 0
            if blocks > size:  # numbers of samples or components of a large data set
                kinds, block = torch.unique(block, return_inverse=True)
                blocks = kinds.numel()
        return cls(size, blocks, None if everywhere else inside, block)

    @cached_property
    def counts(self) -> Tensor:
        """(blocks,) float64, how many rows each block has: numbers of pairs outgrow the integers of float32."""
        return torch.bincount(self.block, minlength=self.blocks).double()

    @property
    def numbers(self) -> Tensor:
        """(size,) int64, the block of every row, -1 for none."""
        return self.put(self.block + 1) - 1

    @property
    def positions(self) -> Tensor:
        """(m,) int64, the rows that are in a block."""
        return torch.arange(self.size, device=self.block.device) if self.rows is None else self.rows

    def take(self, x: Tensor) -> Tensor:
        """Return the rows of x (size, …) that are in a block, (m, …)."""
        return x if self.rows is None else x.index_select(0, self.rows)

    def put(self, x: Tensor) -> Tensor:
        """Return (size, …), zero but for the rows that are in a block, which are x (m, …)."""
        return x if self.rows is None else x.new_zeros(self.size, *x.shape[1:]).index_copy_(0, self.rows, x)

    def views(self, views: int) -> list[_Side]:
        """Return the side of each view."""
        if self.rows is None:
            return [_Side(len(block), self.blocks, None, block) for block in self.block.chunk(views)]
        return [_Side.of(numbers, self.blocks) for numbers in self.numbers.chunk(views)]

    def to(self, device: torch.device) -> _Side:
        rows = None if self.rows is None else self.rows.to(device)
        return _Side(self.size, self.blocks, rows, self.block.to(device))


@dataclass(frozen=True, eq=False)
class _Term:
    """w·1{a and b are in one block}; rows and columns are numbered by the same blocks."""

    weight: float
    rows: _Side
    columns: _Side

    def product(self, x: Tensor) -> Tensor:
        """Return the term's product with x (C, D) for the rows that are in a block, (m, D): the block's sum."""
        sums = x.new_zeros(self.columns.blocks, x.shape[1]).index_add_(0, self.columns.block, self.columns.take(x))
        return sums.index_select(0, self.rows.block).mul_(self.weight)

    def pull(self, x: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Return the term's product with those rows of x that are of other views than each row, as `product` does.

        And, second, the sum of those entries, a float64 scalar.
        """
        side, blocks = self.rows, self.rows.blocks
        view = side.positions // (side.size // views)
        # Sums are kept for every view and block: places[s] is where a row's block stands s views on.
        places = [(view + shift) % views * blocks + side.block for shift in range(views)]
        sums = x.new_zeros(views * blocks, x.shape[1]).index_add_(0, places[0], side.take(x))
        counts = torch.bincount(places[0], minlength=views * blocks)
        pull = reduce(torch.add, [sums.index_select(0, place) for place in places[1:]])
        total = reduce(torch.add, [counts.index_select(0, place).sum() for place in places[1:]])
        return pull.mul_(self.weight), self.weight * total.double()

    def total(self, hollow: bool) -> Tensor:
        """Return the sum of the term's entries, those on the diagonal left out if `hollow`, a float64 scalar."""
        entries = self.rows.counts @ self.columns.counts
        return self.weight * (entries - self.rows.block.numel() if hollow else entries)

    def places(self) -> Tensor:
        """Return the (2, E) entries of the term."""
        counts = self.columns.counts.long()
        first = counts.cumsum(0) - counts  # where each block starts among the sorted columns
        sorted_columns = self.columns.positions[self.columns.block.argsort()]
        reach = counts[self.rows.block]
        rows = self.rows.positions.repeat_interleave(reach)
        within = torch.arange(rows.numel(), device=rows.device) - (reach.cumsum(0) - reach).repeat_interleave(reach)
        return torch.stack([rows, sorted_columns[first[self.rows.block].repeat_interleave(reach) + within]])


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
        return self.terms[0].rows.size, self.terms[0].columns.size

    @property
    def signed(self) -> bool:
        """Whether a term is negative (terms that outweigh it are not looked at)."""
        return any(term.weight < 0 for term in self.terms)

    @property
    def symmetric(self) -> bool:
        """Whether G = Gᵀ; two views of the same blocks are not compared."""
        return all(term.rows is term.columns for term in self.terms)

    @property
    def transposed(self) -> BlockGraph:
        """Gᵀ."""
        return self._new([_Term(term.weight, term.columns, term.rows) for term in self.terms], self.hollow)

    def to(self, like: Tensor) -> BlockGraph:
        """Return the graph with the type and on the device of `like`."""
        terms: Sequence[_Term] = self.terms
        if like.device != self._like.device:
            terms = [_moved(term, like.device) for term in terms]
        return BlockGraph.__new__(BlockGraph)._hold(terms, like.new_empty(0), self.hollow)

    def row_sums(self) -> Tensor:
        """Return Σ_b G_ab, (R,)."""
        # Here and in `total` the diagonal leaves before the weights come: where nothing else is, zero is exact.
        sums = self._like.new_zeros(self.shape[0])
        for term in self.terms:
            degree = term.columns.counts.index_select(0, term.rows.block)
            sums.add_(term.rows.put(degree - 1 if self.hollow else degree), alpha=term.weight)
        return sums

    def column_sums(self) -> Tensor:
        """Return Σ_a G_ab, (C,)."""
        return self.transposed.row_sums()

    def total(self) -> Tensor:
        """Return Σ_ab G_ab, a scalar."""
        return reduce(torch.add, [term.total(self.hollow) for term in self.terms]).to(self._like)

    def square_norm(self) -> Tensor:
        """Return Σ_ab G_ab²."""
        total = self._like.new_zeros((), dtype=torch.float64)
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
            diagonal.add_(term.rows.put(torch.ones_like(term.rows.block)), alpha=term.weight)
        return diagonal

    def product(self, x: Tensor) -> Tensor:
        """Return G·x, (R, D), without a gradient."""
        product = self._sum([term.product(x) for term in self.terms])
        return product.addcmul_(self._diagonal().unsqueeze(1), x, value=-1) if self.hollow else product

    def _sum(self, parts: list[Tensor]) -> Tensor:
        """Return the sum of the terms' parts, each for the rows that are in a block of its term, (R, D)."""
        total = self.terms[0].rows.put(parts[0])
        for term, part in zip(self.terms[1:], parts[1:], strict=True):
            total.index_add_(0, term.rows.positions, part)
        return total

    def pull(self, x: Tensor, views: int) -> tuple[Tensor, Tensor]:
        """Return Σ_b G_ab·x_b over the rows b of other views than a's, (M, D), and the sum of those G_ab."""
        parts, totals = zip(*[term.pull(x, views) for term in self.terms], strict=True)
        return self._sum(list(parts)), reduce(torch.add, totals).to(self._like)

    def without_diagonal(self) -> BlockGraph:
        """Return the graph with G_aa = 0."""
        return self._new(self.terms, hollow=True)

    def across(self, views: int) -> dict[tuple[int, int], BlockGraph]:
        """Return, for every two different views (v, w), the (B, B) graph from v to w."""
        sides = [(term.weight, term.rows.views(views)) for term in self.terms]
        return {
            (v, w): self._new([_Term(weight, side[v], side[w]) for weight, side in sides], hollow=False)
            for v, w in permutations(range(views), 2)
        }

    def scaled(self, weight: float) -> BlockGraph:
        """Return weight·G."""
        return self._new([_Term(weight * term.weight, term.rows, term.columns) for term in self.terms], self.hollow)

    def plus(self, other: BlockGraph) -> BlockGraph:
        """Return the sum with another graph of blocks, of the same shape and as hollow or not."""
        return self._new([*self.terms, *other.terms], self.hollow)

    def to_sparse(self) -> SparseGraph:
        """Return the same graph as a list of its entries."""
        places = [term.places() for term in self.terms]
        weights = [term.weight for term in self.terms]
        values = [self._like.new_full(here.shape[1:], weight) for here, weight in zip(places, weights, strict=True)]
        matrix = torch.sparse_coo_tensor(
            torch.cat(places, 1), torch.cat(values), self.shape, check_invariants=False
        )  # places are within the shape by construction
        graph = SparseGraph(matrix)
        return graph.without_diagonal() if self.hollow else graph

    def to_dense(self) -> DenseGraph:
        """Return the same graph as a matrix."""
        matrix = self._like.new_zeros(self.shape)
        for term in self.terms:
            rows, columns = term.rows.numbers[:, None], term.columns.numbers
            matrix.add_((rows == columns) & (rows >= 0), alpha=term.weight)
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
    if not math.isfinite(weight):
        raise LossError(f"A term of a graph of blocks has the weight {weight}", "Pass a finite weight")
    if block.is_floating_point() or block.is_complex() or block.dtype == torch.bool:
        raise LossError(f"A graph of blocks has blocks of type {block.dtype}", "Number the blocks with integers")
    side = _Side.of(block.long())
    return _Term(float(weight), side, side)


def _moved(term: _Term, device: torch.device) -> _Term:
    rows = term.rows.to(device)
    return _Term(term.weight, rows, rows if term.columns is term.rows else term.columns.to(device))


def _shared(one: _Term, other: _Term) -> Tensor:
    """Return the number of entries that two terms have in common, a float64 scalar."""
    both = []
    for first, second in ((one.rows.numbers, other.rows.numbers), (one.columns.numbers, other.columns.numbers)):
        inside = (first >= 0) & (second >= 0)
        both.append(first[inside] * other.rows.blocks + second[inside])
    kinds, number = torch.unique(torch.cat(both), return_inverse=True)
    rows, columns = (
        torch.bincount(part, minlength=kinds.numel()).double() for part in number.split([len(part) for part in both])
    )
    return rows @ columns
