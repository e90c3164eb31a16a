"""The latent r: what a pair's context cannot tell about its target, and what it costs to know it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl.networks import check_rows, mlp
from pal_plugin.losses.checks import full_precision

LEAST_STD = 1e-6
STD_RANGE = (math.exp(-5), math.exp(5))  # log-variances of −10 and 10
LEAST_UNIFORM = 1e-6


class Gaussian(NamedTuple):
    """Independent normal distributions.

    Attributes:
        mean: (B, d_r).
        std: (B, d_r), positive.
    """

    mean: Tensor
    std: Tensor

    def at(self, noise: Tensor) -> Tensor:
        """Return mean + std·noise; noise (…, B, d_r) is standard normal."""
        return self.mean + self.std * noise

    def sample(self, *, draws: int | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Return one draw (B, d_r), or (draws, B, d_r), with the gradient of the reparametrisation.

        Args:
            draws: how many; None for one without an axis of its own.
            generator: of the device of `mean`; PyTorch's own where there is none.
        """
        shape = self.mean.shape if draws is None else (draws, *self.mean.shape)
        return self.at(torch.randn(shape, generator=generator, dtype=self.mean.dtype, device=self.mean.device))


def kl_divergence(q: Gaussian, p: Gaussian) -> Tensor:
    """Return KL(q ‖ p) of every dimension, (B, d_r), in nats."""
    distance = (q.mean - p.mean) / p.std
    log_ratio = 2 * (q.std.log() - p.std.log())
    # not ratio − 1: a small KL, which is what a latent near collapse has, would be lost in the rounding
    return (log_ratio.expm1() - log_ratio + distance.square()) / 2


class LatentDraw(NamedTuple):
    """One draw of r for every pair.

    Attributes:
        r: (B, d_r), float32, or float64 where the embeddings are.
        penalty: (B, d_r), what r is charged; its sum over dimensions and mean over the batch is L_reg. (B, 0) where r
            costs nothing.
        statistics: (d_r,) each, without gradient, for the log.
    """

    r: Tensor
    penalty: Tensor
    statistics: dict[str, Tensor]


class Latent(nn.Module, ABC):
    """What draws r for pairs of a context and what is seen of its target.

    Attributes:
        latent_dim: d_r.
        has_prior: whether r can be drawn from the context alone.
    """

    has_prior: ClassVar[bool] = False
    latent_dim: int

    @abstractmethod
    def forward(self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None) -> LatentDraw:
        """Draw r.

        Args:
            context: (B, D) embeddings of the contexts.
            seen: (B, D) embeddings of their targets or of other views of these; for given latents r itself.
            generator: of the embeddings' device; PyTorch's own where there is none.

        Raises:
            LossError: other shapes, or a training batch of one.
        """

    def sample_prior(self, context: Tensor, draws: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return (draws, B, d_r) of r from contexts (B, D) alone.

        Raises:
            LossError: this latent has no prior.
        """
        raise LossError(
            f"{type(self).__name__} has no prior: its r is known only where the target is",
            "Use variant v to draw targets that were not seen",
        )


class GaussianLatent(Latent):
    """AdaSSL-V's r: normal, from a posterior that sees the target and a prior that does not; charged the KL.

    Standard deviations are softplus(a) + 1e-6 with log-variances held within [−10, 10].

    Args:
        dim: D, the size of the embeddings.
        latent_dim: d_r.
        hidden_dims: the hidden widths of prior (D → … → 2·d_r) and posterior (2·D → … → 2·d_r).

    Raises:
        LossError: a size that is not positive.

    Source: Zhang et al., Self-Supervised Learning from Structural Invariance (arXiv 2602.02381).
    """

    has_prior: ClassVar[bool] = True

    def __init__(self, dim: int, latent_dim: int, hidden_dims: Sequence[int] = (1024,)) -> None:
        super().__init__()
        self.dim, self.latent_dim = dim, latent_dim
        self.prior_net = mlp([dim, *hidden_dims, 2 * latent_dim])
        self.posterior_net = mlp([2 * dim, *hidden_dims, 2 * latent_dim])

    def prior(self, context: Tensor) -> Gaussian:
        """Return p(r | context), of (B, D)."""
        return _gaussian(self.prior_net(check_rows(context, self.dim, "context")))

    def posterior(self, context: Tensor, seen: Tensor) -> Gaussian:
        """Return q(r | context, seen), of two (B, D)."""
        return _gaussian(self.posterior_net(_both(context, seen, self.dim)))

    def forward(self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None) -> LatentDraw:
        """Draw r from the posterior; see `Latent.forward`."""
        p, q = self.prior(context), self.posterior(context, seen)
        penalty = kl_divergence(q, p)
        statistics = {"kl": penalty, "prior_std": p.std, "posterior_std": q.std}
        return LatentDraw(q.sample(generator=generator), penalty, _batch_means(statistics))

    def sample_prior(self, context: Tensor, draws: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return (draws, B, d_r) from the prior of contexts (B, D)."""
        return self.prior(context).sample(draws=draws, generator=generator)


class SparseLatent(Latent):
    """AdaSSL-S's r: values behind gates that are open or shut, m·u; charged the expected number of open gates.

    s = sigmoid(ℓ + logit(U)) with U uniform; m = 1{s > ½}, with the gradient of s (straight through). A gate is open
    with probability sigmoid(ℓ), whose sum over gates is the expected L0. There is no prior.

    Args:
        dim: D, the size of the embeddings.
        latent_dim: d_r.
        hidden_dims: the hidden widths of the network 2·D → … → 2·d_r.

    Raises:
        LossError: a size that is not positive.

    Source: Zhang et al. (arXiv 2602.02381).
    """

    def __init__(self, dim: int, latent_dim: int, hidden_dims: Sequence[int] = (1024,)) -> None:
        super().__init__()
        self.dim, self.latent_dim = dim, latent_dim
        self.posterior_net = mlp([2 * dim, *hidden_dims, 2 * latent_dim])

    def gates(self, context: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gates' logits ℓ and the values u behind them, (B, d_r) each, of two (B, D)."""
        logits, values = full_precision(self.posterior_net(_both(context, seen, self.dim))).chunk(2, dim=1)
        return logits, values

    def forward(self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None) -> LatentDraw:
        """Draw r; see `Latent.forward`."""
        logits, values = self.gates(context, seen)
        uniform = torch.rand(logits.shape, generator=generator, dtype=logits.dtype, device=logits.device)
        mask = straight_through(logits, uniform)
        penalty = logits.sigmoid()
        return LatentDraw(mask * values, penalty, _batch_means({"expected_l0": penalty, "active_l0": mask}))


class GivenLatent(Latent):
    """The oracle's r: the true difference of the pair's factors, given in place of what is seen; it costs nothing.

    Args:
        latent_dim: d_r, how many factors there are.

    Raises:
        LossError: it is not positive.
    """

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        if latent_dim < 1:
            raise LossError(f"latent_dim is {latent_dim}", "Set it to the number of factors")
        self.latent_dim = latent_dim

    def forward(self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None) -> LatentDraw:
        """Return `seen` (B, d_r) as r."""
        r = full_precision(check_rows(seen, self.latent_dim, "difference of the factors"))
        return LatentDraw(r, r.new_zeros(r.shape[0], 0), {})


class NoLatent(Latent):
    """No r at all, (B, 0): the control."""

    has_prior: ClassVar[bool] = True
    latent_dim = 0

    def forward(self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None) -> LatentDraw:
        """Return nothing for every context (B, D); `seen` is not read."""
        nothing = context.new_zeros(context.shape[0], 0)
        return LatentDraw(nothing, nothing, {})

    def sample_prior(self, context: Tensor, draws: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return (draws, B, 0)."""
        return context.new_zeros(draws, context.shape[0], 0)


def straight_through(logits: Tensor, uniform: Tensor) -> Tensor:
    """Return gates of 0 and 1, (B, d_r), with the gradient of the soft gates sigmoid(logits + logit(uniform)).

    Args:
        logits: (B, d_r).
        uniform: (B, d_r) in [0, 1].
    """
    soft = (logits + uniform.clamp(LEAST_UNIFORM, 1 - LEAST_UNIFORM).logit()).sigmoid()
    return (soft > 0.5).to(soft) + (soft - soft.detach())  # the bracket is exactly zero


def _gaussian(parameters: Tensor) -> Gaussian:
    """(B, 2·d_r) → means and standard deviations. Not in half precision, where 1e-6 is lost."""
    mean, raw = full_precision(parameters).chunk(2, dim=1)
    return Gaussian(mean, (F.softplus(raw) + LEAST_STD).clamp(*STD_RANGE))


def _both(context: Tensor, seen: Tensor, dim: int) -> Tensor:
    check_rows(context, dim, "context")
    check_rows(seen, dim, "target that the posterior sees")
    if context.shape != seen.shape:
        raise LossError(f"{context.shape[0]} contexts and {seen.shape[0]} targets", "Pass one target for each context")
    return torch.cat([context, seen], dim=1)


def _batch_means(statistics: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: rows.detach().mean(0) for name, rows in statistics.items()}
