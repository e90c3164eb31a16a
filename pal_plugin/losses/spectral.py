"""The spectral contrastive loss along a graph."""

from __future__ import annotations

from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.checks import check_edges, full_precision, no_autocast, positive_graph
from pal_plugin.losses.importance import PairImportance


def graph_spectral_loss(z: Tensor, graph: Tensor | BatchGraph, *, importance: PairImportance | None = None) -> Tensor:
    """Return the spectral contrastive loss with the edges of a graph for positives, a scalar.

    −2·Σ_{a≠b} (G / ΣG)_ab z_a·z_b + mean_{a≠b} (z_a·z_b)². The rows of z are taken as they are.

    With importance weights W the two sums are estimates of those of the whole data set:
    −2·Σ_{a≠b} W_ab·G_ab·z_a·z_b / edge_total + Σ_{a≠b} W_ab·(z_a·z_b)² / pair_total. A batch without edges is then
    one like any other. This takes (M, M) matrices.

    Args:
        z: (M, D) embeddings, M = views × batch, view-major.
        graph: (M, M), weights ≥ 0; its diagonal is not used.
        importance: how often the batch's pairs are drawn, where it was composed along known relations.

    Raises:
        LossError: shapes that do not fit, weights that are negative or not finite, fewer than two rows, or (without
            importance weights) a graph without edges off its diagonal.

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256); HaoChen et al. (arXiv 2106.04156).
    """
    z = full_precision(z)
    if z.shape[0] < 2:
        raise LossError("There are no pairs among fewer than two rows", "Use larger batches")
    edges = positive_graph(graph, z, "spectral contrastive").without_diagonal()
    with no_autocast(z):
        if importance is None:
            pairs = z.shape[0] * (z.shape[0] - 1)
            return -2 * edges.inner(z, z) / check_edges(edges.total()) + _repulsion(z) / pairs
        known = importance.checked(z)
        pairs_apart = known.weights.clone().fill_diagonal_(0)
        repulsion = (pairs_apart * (z @ z.T).square()).sum()
        return -2 * known.of_edges(edges).inner(z, z) / known.edge_total + repulsion / known.pair_total


def _repulsion(z: Tensor) -> Tensor:
    """Return Σ_{a≠b} (z_a·z_b)², from the smaller of ZᵀZ and ZZᵀ: both have the same norm."""
    gram = z.T @ z if z.shape[1] < z.shape[0] else z @ z.T
    return gram.square().sum() - z.square().sum(1).square().sum()
