"""β, the weight of L_reg: a warm-up, and two ways to hold the latent at a size."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pal_plugin.errors import LossError

LARGEST_FACTOR = 1e4


class BetaSchedule(nn.Module):
    """β by the number of optimiser steps taken, and what a step's loss is charged.

    Warm-up: β·min(1, (step + 1)/warmup_steps), as the authors' code counts. A step is an optimiser step (Lightning's
    `global_step`), so that accumulation does not hasten it and a resumed run goes on where it was.

    `free_bits`: a dimension whose mean penalty over the batch is below it is charged that much, without a gradient
    (Kingma et al., arXiv 1606.04934): it is pushed no further. The mean is this rank's, of both directions.

    `kl_target`: once warm, β is multiplied at every step by exp(rate·e), e = (L_reg − target)/target within ±1, where
    L_reg is the last step's mean over micro-batches and ranks: β rises while the KL is above its target and falls while
    it is below. It is the multiplicative update of a Lagrange multiplier that Rezende & Viola (arXiv 1810.00597) hold a
    reconstruction error with, put on the KL; the relative error, its bounds, and β's of 10⁻⁴ and 10⁴ times what was
    given are ours. Its state is in `state_dict`. With a sparse latent the target is an expected L0.

    Args:
        beta: β after the warm-up, and where `kl_target` starts from.
        warmup_steps: 0 for none.
        kl_target: what L_reg is held at; None for a β that stays.
        rate: the largest relative change of β in one step.
        free_bits: in nats, per dimension.

    Raises:
        LossError: a value that is negative or not finite, a target or rate that is not positive, or a target for β = 0.
    """

    log_factor: Tensor
    observed: Tensor

    def __init__(
        self,
        beta: float,
        warmup_steps: int = 0,
        *,
        kl_target: float | None = None,
        rate: float = 0.01,
        free_bits: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value in {"beta": beta, "warmup_steps": warmup_steps, "free_bits": free_bits}.items():
            if not (math.isfinite(value) and value >= 0):
                raise LossError(f"{name} is {value}", "Set it to 0 or more")
        if kl_target is not None:
            for name, value in {"kl_target": kl_target, "rate": rate, "beta": beta}.items():
                if not (math.isfinite(value) and value > 0):
                    raise LossError(f"{name} is {value}, and β is to hold the KL at a target", "Set it above 0")
            self.register_buffer("log_factor", torch.zeros((), dtype=torch.float64))
            # step, and sum and number of the L_reg seen in it
            self.register_buffer("observed", torch.zeros(3, dtype=torch.float64))
        self.beta, self.warmup_steps = beta, warmup_steps
        self.kl_target, self.rate, self.free_bits = kl_target, rate, free_bits

    def at(self, step: int) -> float:
        """Return β at an optimiser step, counted from 0."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        adapted = math.exp(float(self.log_factor)) if self.kl_target is not None else 1.0
        return self.beta * warm * adapted

    def forward(self, per_dimension: Tensor, step: int) -> Tensor:
        """Return what the loss is charged: β·Σ_j max(free_bits, penalty_j), a scalar.

        With `kl_target` every rank must call it once for each micro-batch of training. What is called without
        gradients, or in evaluation mode, changes nothing.

        Args:
            per_dimension: (d_r,), a batch's `Edited.per_dimension`.
            step: the number of optimiser steps taken before this one.

        Raises:
            LossError: a target for a latent that costs nothing.
        """
        if self.kl_target is not None and self.training and torch.is_grad_enabled():
            if not per_dimension.numel():
                raise LossError("kl_target is set, and the latent of this variant costs nothing", "Leave it out")
            self._adapt(step)
            self._observe(per_dimension.detach().double().sum())
        return self.at(step) * per_dimension.clamp(min=self.free_bits).sum()

    def _adapt(self, step: int) -> None:
        """Take the change that the last step's L_reg asks for, once this is another step."""
        assert self.kl_target is not None
        last, total, count = self.observed.tolist()
        if count and step == last:
            return
        if count and last + 1 >= self.warmup_steps:
            error = max(-1.0, min(1.0, (total / count - self.kl_target) / self.kl_target))
            bound = math.log(LARGEST_FACTOR)
            self.log_factor.add_(self.rate * error).clamp_(-bound, bound)
        self.observed.copy_(torch.tensor([step, 0, 0]))

    def _observe(self, penalty: Tensor) -> None:
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(penalty)
            penalty = penalty / dist.get_world_size()
        self.observed[1] += penalty
        self.observed[2] += 1
