"""VICReg's loss along a graph, and VIC², its square form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.checks import (
    check_edges,
    check_views,
    fitting_graph,
    full_precision,
    no_autocast,
    positive_graph,
)

EPSILON = 1e-4  # under the root of the variance, as in the reference implementation and in solo-learn


def graph_vicreg_loss(
    z: Tensor,
    graph: Tensor | BatchGraph,
    *,
    views: int = 2,
    sim_weight: float = 25.0,
    var_weight: float = 25.0,
    cov_weight: float = 1.0,
) -> Tensor:
    """Return VICReg's loss with its invariance along the edges of a graph, a scalar.

    Invariance is Σ_ij G_ij‖z_i − z_j‖² / (D·Σ_ij G_ij). Variance and covariance are those of each view, summed over
    views: mean_d max(0, 1 − √(Var_d + 1e-4)) and Σ_{d≠e} Cov_de² / D.

    Invariance is a difference of sums of squares: where related rows are a thousand times nearer to each other than
    the batch is wide, float32 leaves nothing of it.

    Args:
        z: (M, D) embeddings, M = views × batch, view-major.
        graph: (M, M), weights ≥ 0; its diagonal is not used.
        views: the number of views.
        sim_weight: weight of the invariance.
        var_weight: weight of the variance.
        cov_weight: weight of the covariance.

    Raises:
        LossError: shapes that do not fit, weights that are negative or not finite, a graph without edges off its
            diagonal, or fewer than two samples.

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256); Bardes et al. (arXiv 2105.04906).
    """
    z = full_precision(z)
    batch = check_views(z.shape[0], views, 1, "VICReg")
    if batch < 2:
        raise LossError("There is no variance over a batch of one sample", "Use batches of two samples or more")
    edges = positive_graph(graph, z, "VICReg").without_diagonal()
    with no_autocast(z):
        loss = sim_weight * _invariance(z, edges)
        for view in z.chunk(views):
            variance, covariance = _spread(view)
            loss = loss + var_weight * variance + cov_weight * covariance
        return loss


def _invariance(z: Tensor, edges: BatchGraph) -> Tensor:
    # Differences do not change when all rows move, and small rows lose fewer digits to the cancellation below.
    z = z - z.detach().mean(0)
    rows = edges.row_sums()
    total = check_edges(rows.sum())
    squares = (rows + edges.column_sums()) @ z.square().sum(1)
    return (squares - 2 * edges.inner(z, z)) / (total * z.shape[1])


def _spread(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return the variance and the covariance term of one view (B, D)."""
    batch, dim = z.shape
    centred = z - z.mean(0)
    covariance = centred.T @ centred / (batch - 1)
    variances = covariance.diagonal()
    off_diagonal = covariance.square().sum() - variances.square().sum()
    return F.relu(1 - torch.sqrt(variances + EPSILON)).mean(), off_diagonal / dim


def graph_vic2_loss(z: Tensor, graph: Tensor | BatchGraph) -> Tensor:
    """Return VIC²'s loss ‖Z·Zᵀ − G‖²_F, a scalar; unlike the other losses it uses the diagonal of G.

    It is computed as ‖ZᵀZ‖² − 2·tr(ZᵀGZ) + ‖G‖², which needs no (M, M) product; near zero its error is that of its
    three parts, 1e-7 of ‖G‖² in float32.

    Args:
        z: (M, D) embeddings.
        graph: (M, M), of any sign: −1 says that two rows are known to be unrelated.

    Raises:
        LossError: shapes that do not fit, or weights that are not finite.

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256).
    """
    z = full_precision(z)
    edges = fitting_graph(graph, z)
    with no_autocast(z):
        return (z.T @ z).square().sum() - 2 * edges.inner(z, z) + edges.square_norm()
