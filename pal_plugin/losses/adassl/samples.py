"""Targets that were not seen: drawn from the prior, looked up in a bank, or along one dimension of r."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl.info_nce import check_logits, cosine_logits
from pal_plugin.losses.adassl.latents import GaussianLatent
from pal_plugin.losses.adassl.monitor import evaluating
from pal_plugin.losses.adassl.networks import check_rows
from pal_plugin.losses.adassl.wrapper import AdaSSL
from pal_plugin.losses.checks import full_precision


class Retrieved(NamedTuple):
    """The best of a bank for every context.

    Attributes:
        rows: (B, k) of the bank, best first.
        score: (B, k).
    """

    rows: Tensor
    score: Tensor


@torch.no_grad()
def sample_targets(module: AdaSSL, x: Tensor, n: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Return (n, B, D) embeddings of targets that contexts x (B, D) may have, r drawn from the prior.

    BatchNorm uses its running statistics. Vanilla has one target for each context, n times.

    Args:
        module: a trained one.
        x: (B, D).
        n: how many draws for each context.
        generator: of the embeddings' device; PyTorch's own where there is none.

    Raises:
        LossError: a variant without a prior (s and gt), n below 1, or other shapes.
    """
    if n < 1:
        raise LossError(f"n is {n}", "Draw one target or more")
    check_rows(x, module.dim, "context")
    with evaluating(module):
        r = module.latent.sample_prior(x, n, generator=generator)
        return _edit_all(module, x, r)


@torch.no_grad()
def retrieve(targets: Tensor, bank: Tensor, k: int, *, temperature: float = 0.1) -> Retrieved:
    """Return the k rows of a bank that best fit drawn targets.

    A row scores the logarithm of its mean over draws of exp(cos/τ): high where some draws come close, as the targets
    of one context may lie in several places. This takes B·N numbers at a time.

    Args:
        targets: (n, B, D), see `sample_targets`.
        bank: (N, D) embeddings to be looked up.
        k: how many for each context.
        temperature: τ; the training's.

    Raises:
        LossError: shapes that do not fit, k outside [1, N], or a temperature that is not positive.
    """
    check_logits(temperature, None)
    if targets.ndim != 3 or not len(targets):
        raise LossError(f"The drawn targets have the shape {tuple(targets.shape)}", "Pass (n, B, D)")
    rows = full_precision(check_rows(bank, targets.shape[2], "bank"))
    if not 1 <= k <= len(rows):
        raise LossError(f"k is {k}, and the bank has {len(rows)} rows", "Choose k within it")
    scores = targets.new_full((targets.shape[1], len(rows)), -torch.inf, dtype=rows.dtype)
    for draw in targets:
        scores = scores.logaddexp(cosine_logits(full_precision(draw).to(rows), rows, temperature=temperature))
    best = (scores - math.log(len(targets))).topk(k, dim=1)
    return Retrieved(best.indices, best.values)


@torch.no_grad()
def traverse(module: AdaSSL, x: Tensor, dimension: int, deviations: Tensor) -> Tensor:
    """Return (S, B, D): contexts x (B, D) edited with the prior's mean r, one dimension moved by S deviations.

    Args:
        module: of variant v.
        x: (B, D).
        dimension: which of r, in [0, d_r).
        deviations: (S,), in the prior's standard deviations.

    Raises:
        LossError: a variant without a Gaussian prior, no such dimension, or other shapes.
    """
    if not isinstance(module.latent, GaussianLatent):
        raise LossError(f"Variant {module.variant} has no prior to traverse r along", "Use variant v")
    if not 0 <= dimension < module.latent.latent_dim:
        raise LossError(f"r has no dimension {dimension}", f"Choose one below {module.latent.latent_dim}")
    with evaluating(module):
        prior = module.latent.prior(x)
        steps = F.one_hot(torch.tensor(dimension, device=x.device), module.latent.latent_dim).to(prior.mean)
        r = prior.at(deviations.to(prior.mean).view(-1, 1, 1) * steps)
        return _edit_all(module, x, r)


def _edit_all(module: AdaSSL, x: Tensor, r: Tensor) -> Tensor:
    """Edit x (B, D) with every r of (n, B, d_r): (n, B, D)."""
    edited: Tensor = module.editor(x.repeat(len(r), 1), r.flatten(0, 1))
    return edited.view(len(r), *x.shape)
