"""The global batch on every rank: what losses need whose graphs have edges that cross ranks."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from pal_plugin.losses.checks import check_views, full_precision


def gather_views(z: Tensor, views: int) -> Tensor:
    """Return the embeddings of the global batch: (V·ΣB_r, D), view-major, the ranks' samples in rank order.

    Ranks may hold different numbers of samples. The gradient of a rank's rows is the sum of what all ranks' losses send
    back to them; when every rank computes the same loss of the gathered rows, DDP's mean over ranks is then the
    gradient that one process with the global batch would have. Every rank must call it, and go backward through it.
    Without a process group the rows come back as they are.

    Args:
        z: (V·B_r, D) embeddings of this rank, view-major.
        views: the number of views V.

    Returns:
        Float32, or float64 where z is.

    Raises:
        LossError: the views do not divide the rows, or z is not a matrix of floating-point numbers.
    """
    z = full_precision(z)
    check_views(z.shape[0], views, 1, "gathered")
    if _world_size() == 1:
        return z
    gathered: Tensor = _GatherRows.apply(_by_sample(z, views))
    return _by_view(gathered)


def gather_samples(index: Tensor) -> Tensor:
    """Return the rows of all ranks in rank order, (ΣB_r, …), without gradient.

    Ranks may hold different numbers of rows; every rank must call it. Without a process group they come back as they
    are.

    Args:
        index: (B_r, …) of this rank, for example sample numbers.
    """
    return index if _world_size() == 1 else torch.cat(_all_rows(index.detach()))


def _world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _by_sample(z: Tensor, views: int) -> Tensor:
    """(V·B, D) → (B, V, D)."""
    return z.reshape(views, z.shape[0] // views, z.shape[1]).transpose(0, 1)


def _by_view(z: Tensor) -> Tensor:
    """(B, V, D) → (V·B, D)."""
    return z.transpose(0, 1).flatten(0, 1)


def _all_rows(rows: Tensor) -> list[Tensor]:
    """Return the rows (B_r, …) of every rank, each on this one's device."""
    sizes = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(_world_size())]
    dist.all_gather(sizes, torch.tensor([rows.shape[0]], device=rows.device))
    counts = [int(size) for size in sizes]
    # all_gather wants equal shapes: what is short is filled up, and cut again.
    padded = rows.new_zeros(max(counts), *rows.shape[1:])
    padded[: rows.shape[0]] = rows
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return [part[:count] for part, count in zip(parts, counts, strict=True)]


class _GatherRows(torch.autograd.Function):
    """(B_r, …) of each rank → (ΣB_r, …) on every one; backward sums the ranks' gradients of this rank's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = _all_rows(rows)
        start = sum(part.shape[0] for part in parts[: dist.get_rank()])
        ctx.own = slice(start, start + rows.shape[0])
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        return summed[ctx.own]
