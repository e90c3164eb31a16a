"""Weights that keep the loss of a composed batch unbiased."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.matrices import DenseGraph


class PairImportance(NamedTuple):
    """What a loss needs to be, in expectation over batches, that of all N samples at once.

    Attributes:
        weights: (M, M) W ≥ 0, the inverse of how often a batch is expected to show each pair of rows. Its diagonal is
            not used.
        edge_total: Σ of the full loss's G without its diagonal (for BYOL: over rows of different views).
        pair_total: the number of ordered pairs of distinct rows of the full loss, N·V·(N·V − 1).
    """

    weights: Tensor
    edge_total: float
    pair_total: float

    def checked(self, like: Tensor) -> PairImportance:
        """Return the same with weights of the type and on the device of the embeddings `like` (M, D).

        Raises:
            LossError: weights of another shape, negative or not finite, or a total that is not positive.
        """
        size = like.shape[0]
        if tuple(self.weights.shape) != (size, size):
            raise LossError(
                f"The importance weights have the shape {tuple(self.weights.shape)} for {size} rows",
                "Pass (M, M) weights",
            )
        weights = DenseGraph(self.weights).to(like)
        if weights.signed:
            raise LossError("An importance weight is negative", "Pass inverses of expected numbers of draws")
        for name, total in (("edge_total", self.edge_total), ("pair_total", self.pair_total)):
            if not 0 < total < float("inf"):
                raise LossError(f"{name} of the importance weights is {total}", "Count it on the full graph")
        return self._replace(weights=weights.matrix)

    def of_edges(self, graph: BatchGraph) -> DenseGraph:
        """Return the graph W∘G."""
        return DenseGraph(self.weights * graph.to_dense().matrix)
