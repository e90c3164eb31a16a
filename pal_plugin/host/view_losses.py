"""The hosts' losses of two views' embeddings, as their own training steps call them."""

from __future__ import annotations

from torch import Tensor

from pal_plugin.host.solo import INFO, losses


def byol_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Return 2 − 2·cos of predictions and the teacher's embeddings, (B, D) both, a scalar: one direction of two."""
    loss: Tensor = losses.byol_loss_func(predicted, target)
    return loss


def moco_loss(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Return the cross-entropy of the key among itself and the queue, a scalar: one direction of two.

    Args:
        query: (B, D) of length one.
        key: (B, D) of the teacher, of length one.
        queue: (D, K) of other images, of length one.
        temperature: τ.
    """
    name = "moco_loss_func" if INFO.kind == "release" else "mocov2plus_loss_func"
    loss: Tensor = getattr(losses, name)(query, key, queue, temperature)
    return loss


def vicreg_loss(x: Tensor, y: Tensor, *, sim_weight: float, var_weight: float, cov_weight: float) -> Tensor:
    """Return VICReg's loss of embeddings (B, D) of two views, a scalar."""
    loss: Tensor = losses.vicreg_loss_func(
        x, y, sim_loss_weight=sim_weight, var_loss_weight=var_weight, cov_loss_weight=cov_weight
    )
    return loss
