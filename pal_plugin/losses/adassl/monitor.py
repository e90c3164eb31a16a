"""What shows whether r is used, has collapsed, or carries everything: numbers without gradients.

How to read them of a Gaussian latent: r has collapsed where `kl` is near 0, `active_dims` is 0, and the loss by the
prior is that by the posterior, which then tell the same. The loss by the posterior below that by the prior, at a KL
above 0, is what r tells of the target that the context cannot. The shuffled loss alone does not tell the two apart: the
prior depends on the context, so that another pair's r does harm in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from pal_plugin.losses.adassl.wrapper import AdaSSL

ADD_UP = ("kl", "expected_l0", "active_l0")
BY_DIMENSION = ("kl", "active_l0")
LEAST_KL = 0.01  # nats, below which a dimension counts as unused


@torch.no_grad()
def log_values(statistics: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return scalars for the log from the statistics of a draw of r, (d_r,) each.

    Of a Gaussian latent: `kl` (all of it), `kl_dim0` …, `active_dims` (dimensions of 0.01 nats or more), `prior_std`,
    `posterior_std` (means). Of a sparse one: `expected_l0`, `active_l0` (open gates a sample), `active_l0_dim0` ….
    """
    values = {name: rows.sum() if name in ADD_UP else rows.mean() for name, rows in statistics.items()}
    for name in BY_DIMENSION:
        if name in statistics:
            values |= {f"{name}_dim{j}": value for j, value in enumerate(statistics[name])}
    if "kl" in statistics:
        values["active_dims"] = (statistics["kl"] >= LEAST_KL).sum().to(statistics["kl"])
    return values


@torch.no_grad()
def loss_by_source(
    module: AdaSSL,
    x: Tensor,
    y: Tensor,
    seen_x: Tensor,
    seen_y: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Return the loss with r from several sources: `posterior`, `prior` (where there is one) and `shuffled`.

    `shuffled` is the posterior's r of the next pair of the batch. Where it costs no more than the pair's own, the
    editor does not read r. Where it costs more, the editor does, but that says nothing of the target yet: an r that has
    collapsed onto the prior still goes with its own context, and harms another. What r tells of the target is the
    difference between `prior` and `posterior`; without a prior (variants s and gt) `shuffled` and the penalty have to
    do.

    The networks are in evaluation mode meanwhile, so that BatchNorm counts nothing, and the draws leave PyTorch's own
    generators alone.

    Args:
        module: what edits.
        x: (B, D), as are the next three, which are those of `AdaSSL.forward`.
        y: see there.
        seen_x: see there.
        seen_y: see there.
        loss: of edited_x and edited_y. Where it gathers, every rank must call this.
        generator: of the embeddings' device; None for one with the same numbers at every call.
    """
    generator = generator or torch.Generator(x.device).manual_seed(0)
    with evaluating(module):
        r_y, r_x = (module.latent(*pair, generator=generator).r for pair in ((x, seen_y), (y, seen_x)))
        sources = {"posterior": (r_x, r_y), "shuffled": (r_x.roll(1, 0), r_y.roll(1, 0))}
        if module.latent.has_prior:
            r_y, r_x = (module.latent.sample_prior(context, 1, generator=generator)[0] for context in (x, y))
            sources["prior"] = (r_x, r_y)
        return {name: loss(module.editor(y, r_x), module.editor(x, r_y)) for name, (r_x, r_y) in sources.items()}


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and its parts into evaluation mode, and each back into its own afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
