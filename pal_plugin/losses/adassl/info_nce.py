"""AdaSSL's contrastive loss: edited contexts against targets, which stay as they are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.checks import full_precision, no_autocast
from pal_plugin.losses.gather import gather_samples, gather_views


class Targets(NamedTuple):
    """The targets of all ranks, and where this rank's stand among them.

    Attributes:
        rows: (2·ΣB_r, D): all x, then all y, each in rank order.
        start: the slot of this rank's first pair in [0, ΣB_r).
        pairs: ΣB_r.
    """

    rows: Tensor
    start: int
    pairs: int


class LearnableScale(nn.Module):
    """λ = softplus(λ̂), one positive number that scales the logits; it starts at 1.

    λ̂ has no dimensions: keep it out of weight decay and of LARS.
    """

    def __init__(self) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.tensor(math.log(math.e - 1)))

    def forward(self) -> Tensor:
        """Return λ, a scalar."""
        return F.softplus(self.raw)


def adassl_info_nce(
    edited_x: Tensor,
    edited_y: Tensor,
    target_x: Tensor,
    target_y: Tensor,
    *,
    temperature: float = 0.1,
    scale: Tensor | float = 1.0,
    clamp: float | None = 20.0,
) -> Tensor:
    """Return AdaSSL's contrastive loss, a scalar.

    Rows are the contexts [edited_x; edited_y], columns the targets [target_x; target_y], all scaled to length one.
    Logits are λ·cos/τ, held within ±clamp. The positive of row i is column i; of the other columns one is dropped, the
    view that row i was edited from. The loss is the mean over rows of −log softmax at the positive. With contexts that
    were not edited (edited_x = target_y, edited_y = target_x) and without a clamp it is NT-Xent.

    Under torch.distributed the columns are the targets of all ranks, which may hold different numbers of pairs; every
    rank must call it, and go backward through it. The mean over ranks of what they return, and of its gradients as DDP
    takes it, is what one process with all pairs has.

    Args:
        edited_x: (B, D), edited from y towards x.
        edited_y: (B, D), edited from x towards y.
        target_x: (B, D), embeddings of x.
        target_y: (B, D), embeddings of y.
        temperature: τ.
        scale: λ, a number or a tensor without dimensions.
        clamp: the largest magnitude of a logit; None for no bound.

    Raises:
        LossError: shapes that differ, a single pair among all ranks, or a temperature or clamp that is not positive.

    Source: Zhang et al. (arXiv 2602.02381).
    """
    contexts = _contexts(edited_x, edited_y, target_x, target_y, temperature, clamp)
    targets = gather_targets(target_x, target_y)
    logits = cosine_logits(contexts, targets.rows, temperature=temperature, scale=scale)
    return contrast(logits, targets, clamp=clamp)


def clamped_share(
    edited_x: Tensor,
    edited_y: Tensor,
    target_x: Tensor,
    target_y: Tensor,
    *,
    temperature: float = 0.1,
    scale: Tensor | float = 1.0,
    clamp: float | None = 20.0,
) -> Tensor:
    """Return the share of logits that the clamp cuts off, a scalar without gradient.

    It counts this rank's contexts against this rank's targets and gathers nothing. It is 0 while λ/τ ≤ clamp.

    Args and errors are those of `adassl_info_nce`.
    """
    with torch.no_grad():
        contexts = _contexts(edited_x, edited_y, target_x, target_y, temperature, clamp)
        rows = full_precision(torch.cat([target_x, target_y]))
        logits = cosine_logits(contexts, rows, temperature=temperature, scale=scale)
        if clamp is None:
            return logits.new_zeros(())
        beyond = (logits.abs() > clamp).to(logits)
        _, own = _columns(target_x.shape[0], Targets(rows, 0, target_x.shape[0]))
        left_out = beyond.gather(1, own.unsqueeze(1))
        return (beyond.sum() - left_out.sum()) / (beyond.numel() - left_out.numel())


def gather_targets(target_x: Tensor, target_y: Tensor) -> Targets:
    """Return the targets of all ranks, with gradients; every rank must call it.

    Raises:
        LossError: a single pair among all ranks.
    """
    rows = gather_views(torch.cat([target_x, target_y]), 2)
    pairs, start = rows.shape[0] // 2, 0
    if pairs < 2:
        raise LossError(f"A contrastive loss of {pairs} pair has no negatives", "Use batches of two or more")
    if _ranks() > 1:
        sizes = gather_samples(torch.tensor([target_x.shape[0]], device=rows.device))
        start = int(sizes[: dist.get_rank()].sum())
    return Targets(rows, start, pairs)


def cosine_logits(contexts: Tensor, targets: Tensor, *, temperature: float, scale: Tensor | float = 1.0) -> Tensor:
    """Return λ·cos/τ of contexts (M, D) and targets (N, D): (M, N)."""
    with no_autocast(contexts):
        scaled = F.normalize(contexts, dim=1) * (scale / temperature)  # here, where there are fewer numbers
        return scaled @ F.normalize(targets, dim=1).T


def contrast(logits: Tensor, targets: Targets, *, clamp: float | None) -> Tensor:
    """Return this rank's part of the loss: the sum over its rows of −log softmax at the positive, over 2·ΣB_r / ranks.

    Args:
        logits: (2·B_r, 2·ΣB_r), rows [edited_x; edited_y].
        targets: what the columns are.
        clamp: the largest magnitude of a logit; None for no bound.
    """
    if clamp is not None:
        logits = logits.clamp(-clamp, clamp)
    positives, own = _columns(logits.shape[0] // 2, targets)
    logits = logits.scatter(1, own.unsqueeze(1), -torch.inf)
    return F.cross_entropy(logits, positives, reduction="sum") * _ranks() / (2 * targets.pairs)


def _columns(pairs: int, targets: Targets) -> tuple[Tensor, Tensor]:
    """Return each row's positive and the view that it was edited from, as columns, (2·B_r,) both.

    By slot, not by sample: a batch may hold a sample more than once.
    """
    x = targets.start + torch.arange(pairs, device=targets.rows.device)
    y = targets.pairs + x
    return torch.cat([x, y]), torch.cat([y, x])


def _contexts(
    edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor, temperature: float, clamp: float | None
) -> Tensor:
    """Return [edited_x; edited_y] in full precision, once everything fits."""
    shapes = {tuple(rows.shape) for rows in (edited_x, edited_y, target_x, target_y)}
    if len(shapes) > 1:
        raise LossError(
            f"The edited embeddings and their targets have the shapes {sorted(shapes)}", "Pass (B, D) four times"
        )
    check_logits(temperature, clamp)
    return full_precision(torch.cat([edited_x, edited_y]))


def _ranks() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def check_logits(temperature: float, clamp: float | None) -> None:
    """Check what logits are made with.

    Raises:
        LossError: a temperature or clamp that is not positive.
    """
    if not temperature > 0:
        raise LossError(f"The temperature is {temperature}", "Choose a positive one")
    if clamp is not None and not clamp > 0:
        raise LossError(f"Logits are clamped to ±{clamp}", "Choose a positive bound, or None for none")
