"""SimCLR's loss along a graph."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.checks import check_edges, full_precision, no_autocast, positive_graph


def graph_simclr_loss(z: Tensor, graph: Tensor | BatchGraph, *, temperature: float = 0.2) -> Tensor:
    """Return SimCLR's loss with the edges of a graph for positives, a scalar.

    The mean, over the rows i that have a positive, of −Σ_j (G_ij / Σ_j G_ij)·log softmax_{k≠i}(z̃_i·z̃_k / τ)_j, with
    z̃ the rows of z scaled to length one. This is the out-form: the sum over positives stands outside the logarithm.

    Args:
        z: (M, D) embeddings, M = views × batch, view-major.
        graph: (M, M), weights ≥ 0; its diagonal is not used.
        temperature: τ.

    Raises:
        LossError: shapes that do not fit, weights that are negative or not finite, a graph without edges off its
            diagonal, or a temperature that is not positive.

    Example:
        On the graph of two views of two samples it is NT-Xent, here −log(e / (e + 2)):

        >>> from pal_plugin.losses import augmentation_graph
        >>> graph_simclr_loss(torch.eye(2).repeat(2, 1), augmentation_graph(batch=2, views=2), temperature=1.0)
        tensor(0.5514)

    Source: Cabannes et al., Active Self-Supervised Learning (arXiv 2303.15256); Chen et al. (arXiv 2002.05709).
    """
    if not temperature > 0:
        raise LossError(f"The temperature is {temperature}", "Choose a positive one")
    z = full_precision(z)
    edges = positive_graph(graph, z, "SimCLR").without_diagonal()
    with no_autocast(z):
        positives = edges.row_sums()
        check_edges(positives.sum())
        share = (positives > 0).to(z)
        share = share / share.sum()
        unit = F.normalize(z, dim=1)
        scaled = unit / temperature
        logits = (scaled @ unit.T).fill_diagonal_(-torch.inf)
        pull = (share / positives.clamp(min=torch.finfo(z.dtype).tiny)).unsqueeze(1) * edges.matmul(unit)
        return share @ logits.logsumexp(1) - (scaled * pull).sum()
