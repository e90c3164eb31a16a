"""Barlow Twins' loss along a graph."""

from __future__ import annotations

from itertools import combinations, permutations

import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.checks import check_edges, check_views, full_precision, no_autocast, positive_graph


def graph_barlow_loss(
    z: Tensor, graph: Tensor | BatchGraph, *, views: int = 2, lamb: float = 5e-3, scale: float = 0.1
) -> Tensor:
    """Return Barlow Twins' loss with cross-correlations along the edges of a graph, a scalar.

    scale times the mean over ordered pairs of different views (v, w) of Σ_d (C_dd − 1)² + λ·Σ_{d≠e} C_de², where
    C = Z̃_vᵀ·G_vw·Z̃_w / ΣG_vw, each view standardised by itself. Edges within a view are not used, and pairs of views
    without edges are left out of the mean.

    Args:
        z: (M, D) embeddings, M = views × batch, view-major.
        graph: (M, M), weights ≥ 0; only what lies between different views is used.
        views: the number of views, two or more.
        lamb: λ.
        scale: factor of the whole.

    Raises:
        LossError: shapes that do not fit, weights that are negative or not finite, a graph without edges between
            different views, or fewer than two samples.

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256); Zbontar et al. (arXiv 2103.03230).
    """
    z = full_precision(z)
    batch = check_views(z.shape[0], views, 2, "Barlow Twins")
    if batch < 2:
        raise LossError("A batch of one sample cannot be standardised", "Use batches of two samples or more")
    edges = positive_graph(graph, z, "Barlow Twins")
    with no_autocast(z):
        standard = [F.batch_norm(view, None, None, training=True) for view in z.chunk(views)]
        across = edges.across(views)
        # Of a symmetric graph C_wv is the transpose of C_vw, and its loss the same.
        pairs = list((combinations if edges.symmetric else permutations)(range(views), 2))
        totals = torch.stack([across[pair].total() for pair in pairs])
        check_edges(totals.sum(), " between different views")
        losses = [
            _redundancy(standard[v].T @ across[v, w].matmul(standard[w]) / total, lamb)
            for (v, w), total in zip(pairs, totals, strict=True)
            if total > 0
        ]
        return scale * torch.stack(losses).mean()


def _redundancy(correlation: Tensor, lamb: float) -> Tensor:
    """Return ‖C − I‖² with weight λ off the diagonal."""
    diagonal = correlation.diagonal()
    off_diagonal = correlation.square().sum() - diagonal.square().sum()
    return (diagonal - 1).square().sum() + lamb * off_diagonal
