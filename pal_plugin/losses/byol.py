"""BYOL's loss along a graph."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.checks import check_edges, check_views, full_precision, no_autocast, positive_graph
from pal_plugin.losses.importance import PairImportance

EPSILON = 1e-12  # the least length of a row, as in torch.nn.functional.normalize


def graph_byol_loss(
    p: Tensor,
    z_target: Tensor,
    graph: Tensor | BatchGraph,
    *,
    views: int = 2,
    importance: PairImportance | None = None,
) -> Tensor:
    """Return BYOL's loss with the edges of a graph for positives, a scalar.

    V·Σ_ij G_ij·‖p̃_i − z̃'_j‖² / Σ_ij G_ij over rows i and j of different views, p̃ and z̃' scaled to length one, without
    a gradient to z̃'. The factor V is there since solo-learn sums its V directions.

    With importance weights W the sum is an estimate of that of the whole data set: V·Σ_ij W_ij·G_ij·‖p̃_i − z̃'_j‖² /
    edge_total, edge_total being the sum of the full loss's G over rows of different views (`pair_total` is not used). A
    batch without edges is then one like any other. This takes (M, M) matrices.

    Args:
        p: (M, D) predictions, M = views × batch, view-major.
        z_target: (M, D) projections of the momentum network, in the same order.
        graph: (M, M), weights ≥ 0; only what lies between different views is used.
        views: the number of views V, two or more.
        importance: how often the batch's pairs are drawn, where it was composed along known relations.

    Raises:
        LossError: shapes that do not fit, weights that are negative or not finite, or (without importance weights) a
            graph without edges between different views.

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256); Grill et al. (arXiv 2006.07733).
    """
    p, targets = full_precision(p), full_precision(z_target).detach()
    if p.shape != targets.shape:
        raise LossError(
            f"The predictions have the shape {tuple(p.shape)} and their targets {tuple(targets.shape)}",
            "Pass one target for each prediction",
        )
    check_views(p.shape[0], views, 2, "BYOL")
    edges = positive_graph(graph, p, "BYOL")
    with no_autocast(p), torch.no_grad():
        known = importance.checked(p) if importance is not None else None
        weighted = edges if known is None else known.of_edges(edges)
        pulls, total = weighted.pull(F.normalize(targets, dim=1), views)
        norm = check_edges(total, " between different views") if known is None else known.edge_total
    with no_autocast(p):
        along: Tensor = _Along.apply(p, pulls)
        return 2 * views * (total - along) / norm  # ‖p̃ − z̃'‖² = 2 − 2·p̃·z̃'


class _Along(torch.autograd.Function):
    """Σ_i p̃_i·t_i. By itself autograd goes over (M, D) numbers some ten times, the best part of what the loss costs."""

    @staticmethod
    def forward(ctx: Any, p: Tensor, t: Tensor) -> Tensor:
        inverse = torch.linalg.vecdot(p, p).clamp(min=EPSILON**2).rsqrt()
        cosines = torch.linalg.vecdot(p, t) * inverse
        ctx.save_for_backward(p, t, inverse, cosines)
        total: Tensor = cosines.sum()
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (p, t, inverse, cosines), (gradient,) = ctx.saved_tensors, gradients
        scale = gradient * inverse
        return (scale.unsqueeze(1) * t).addcmul_((scale * inverse * cosines).unsqueeze(1), p, value=-1), None
