"""Optimiser and schedule, the same on both solo-learns: GitHub main's numerics, stepped once per optimiser step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches

ParamGroups = list[dict[str, Any]]


class LARS(Optimizer):
    """SGD with layer-wise adaptive rate scaling (You, Gitman, Ginsburg, arXiv 1708.03888, Eq. 6).

    The update of a weight w with gradient g is `ratio * (g + weight_decay * w)` with
    `ratio = eta * |w| / (|g| + weight_decay * |w| + eps)`, then momentum. Where either norm is zero, and for biases and
    norms when they are excluded, it is plain SGD without decay. Numerically equal to solo-learn main's `LARS`, without
    its host synchronisation per parameter: all parameters of a group, which are on one device, are updated together.

    Args:
        params: parameters or groups.
        lr: learning rate.
        momentum: momentum factor; dampening is 0.
        weight_decay: L2 penalty.
        eta: trust coefficient.
        eps: added to the denominator of the ratio.
        clip_lr: clip `ratio / lr` at 1 (LARC).
        exclude_bias_n_norm: leave one-dimensional parameters out of scaling and decay. Single numbers, which are no
            layers, always are.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        eta: float = 1e-3,
        eps: float = 1e-8,
        clip_lr: bool = False,
        exclude_bias_n_norm: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "eta": eta,
            "eps": eps,
            "clip_lr": clip_lr,
            "exclude_bias_n_norm": exclude_bias_n_norm,
        }
        negative = [name for name in ("lr", "momentum", "weight_decay") if defaults[name] < 0]
        if negative:
            raise ConfigError(f"LARS got a negative {' and '.join(negative)}", "Set optimizer.* to 0 or more")
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step.

        Args:
            closure: re-evaluates the model and returns the loss.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            gradients = {parameter: parameter.grad for parameter in group["params"] if parameter.grad is not None}
            if gradients:
                self._update(gradients, group)
        return loss

    def _update(self, gradients: dict[torch.Tensor, torch.Tensor], group: dict[str, Any]) -> None:
        parameters = list(gradients)
        layers = [p for p in parameters if p.ndim > 1 or (p.ndim == 1 and not group["exclude_bias_n_norm"])]
        if layers:
            scaled = _scaled(layers, [gradients[layer] for layer in layers], group)
            gradients = {**gradients, **dict(zip(layers, scaled, strict=True))}
        updates = list(gradients.values())
        if group["momentum"] != 0:
            for parameter in parameters:
                if "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, updates)
            updates = buffers
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])


def _scaled(
    layers: list[torch.Tensor], gradients: list[torch.Tensor], group: dict[str, Any]
) -> tuple[torch.Tensor, ...]:
    """Return the layers' gradients, decayed and scaled."""
    weight_norms = torch.stack(torch._foreach_norm(layers))
    gradient_norms = torch.stack(torch._foreach_norm(gradients))
    ratios = weight_norms / (gradient_norms + weight_norms * group["weight_decay"] + group["eps"]) * group["eta"]
    if group["clip_lr"]:
        ratios = (ratios / group["lr"]).clamp(max=1.0)
    # A weight without a norm has no decay, so that 1 makes plain SGD of it; a gradient without one is to leave nothing.
    ratios = ratios.where(weight_norms > 0, 1.0).where(gradient_norms > 0, 0.0)
    decayed: tuple[torch.Tensor, ...] = torch._foreach_add(gradients, layers, alpha=group["weight_decay"])
    torch._foreach_mul_(decayed, ratios.unbind())
    return decayed


class WarmupCosine(LRScheduler):
    """Linear warm-up from one common rate, then a half cosine down to `min_lr`, in closed form of the step.

    The closed form makes a resumed schedule equal to an uninterrupted one. Between the two ends it is solo-learn main's
    `LinearWarmupCosineAnnealingLR`.

    Args:
        optimizer: whose groups are scheduled.
        warmup_steps: steps of warm-up; the full rate is reached at this step.
        total_steps: the step at which `min_lr` is reached.
        warmup_start_lr: rate at step 0.
        min_lr: rate at the end.
        constant_groups: indices of groups that keep their rate (SimSiam's predictor).
        last_epoch: index of the last step, -1 for a fresh start (PyTorch's name for it).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: float,
        total_steps: int,
        warmup_start_lr: float = 0.0,
        min_lr: float = 0.0,
        constant_groups: Iterable[int] = (),
        last_epoch: int = -1,
    ) -> None:
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.warmup_start_lr = warmup_start_lr
        self.min_lr = min_lr
        self.constant_groups = list(constant_groups)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return each group's rate at the current step."""
        return [
            base if group in self.constant_groups else self._rate(float(base))
            for group, base in enumerate(self.base_lrs)
        ]

    def _rate(self, base: float) -> float:
        step = self.last_epoch
        if step < self.warmup_steps:
            return self.warmup_start_lr + step * (base - self.warmup_start_lr) / max(self.warmup_steps - 1, 1)
        span = max(self.total_steps - self.warmup_steps, 1)
        turn = min((step - self.warmup_steps) / span, 1.0)
        return self.min_lr + (base - self.min_lr) * (1 + math.cos(math.pi * turn)) / 2


class StepDecay(LRScheduler):
    """A tenth of the rate from each of some steps on, in closed form of the step.

    Args:
        optimizer: whose groups are scheduled.
        decay_steps: the steps.
        constant_groups: indices of groups that keep their rate.
        last_epoch: index of the last step, -1 for a fresh start (PyTorch's name for it).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        decay_steps: Iterable[float],
        constant_groups: Iterable[int] = (),
        last_epoch: int = -1,
    ) -> None:
        self.decay_steps = list(decay_steps)
        self.constant_groups = list(constant_groups)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Return each group's rate at the current step."""
        factor = 0.1 ** sum(self.last_epoch >= step for step in self.decay_steps)
        return [
            base if group in self.constant_groups else factor * float(base) for group, base in enumerate(self.base_lrs)
        ]


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": torch.optim.SGD,
    "lars": LARS,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
SCHEDULERS = ("warmup_cosine", "step", "none")


def check_optimizer(name: str) -> None:
    """Refuse a name that is not in `OPTIMIZERS`.

    Raises:
        ConfigError: it is not, with the near matches.
    """
    if name not in OPTIMIZERS:
        raise ConfigError(f"There is no optimizer {name!r}", f"Set optimizer.name: {near_matches(name, OPTIMIZERS)}")


def check_scheduler(settings: Mapping[str, Any]) -> None:
    """Refuse a schedule that there is not.

    Args:
        settings: the config's `scheduler`. As in solo-learn main, `lr_decay_steps` of `step` are epochs, whatever
            `interval` says.

    Raises:
        ConfigError: an unknown name, `step` without its list of epochs, or `warmup_cosine` by the epoch.
    """
    name, epochs, interval = settings["name"], settings.get("lr_decay_steps"), settings.get("interval", "step")
    if name not in SCHEDULERS:
        known = near_matches(str(name), SCHEDULERS)
        raise ConfigError(f"There is no scheduler {name!r}", f"Set scheduler.name: {known}")
    listed = isinstance(epochs, Sequence) and all(isinstance(epoch, (int, float)) for epoch in epochs)
    if name == "step" and not (listed and epochs):
        raise ConfigError(
            f"scheduler.lr_decay_steps is {epochs!r}, and the scheduler step divides the rate after so many epochs",
            "Set it to a list of epochs, for example scheduler.lr_decay_steps=[60,80]",
        )
    if interval not in (("step",) if name == "warmup_cosine" else ("step", "epoch")):
        raise ConfigError(
            f"scheduler.interval is {interval!r}, and the rate of {name} changes with every step of the optimiser",
            "Set it to step, or leave it out",
        )


def make_optimizer(
    name: str, groups: ParamGroups, *, lr: float, weight_decay: float, exclude_bias_n_norm_wd: bool, **kwargs: Any
) -> tuple[Optimizer, list[int]]:
    """Build the optimiser and return it with the indices of the groups whose rate is constant.

    Args:
        name: a key of `OPTIMIZERS`.
        groups: parameter groups as solo-learn's `learnable_params` gives them; `static_lr` marks a constant rate.
        lr: rate of the groups that name none.
        weight_decay: decay of the groups that name none.
        exclude_bias_n_norm_wd: split biases and norms off into groups without decay.
        **kwargs: further arguments of the optimiser.

    Raises:
        ConfigError: unknown name, or arguments that the optimiser does not take.
    """
    check_optimizer(name)
    groups = [{**group, "params": list(group["params"])} for group in groups]
    if exclude_bias_n_norm_wd:
        groups = [part for group in groups for part in _split_decay(group)]
    constant = [index for index, group in enumerate(groups) if group.pop("static_lr", False)]
    factory: Any = OPTIMIZERS[name]
    try:
        return factory(groups, lr=lr, weight_decay=weight_decay, **kwargs), constant
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The optimizer {name} cannot be made of this config: {error}",
            "Correct optimizer.kwargs, or the other values of optimizer.*",
        ) from error


def make_scheduler(
    name: str, optimizer: Optimizer, *, decay_steps: Sequence[float], constant_groups: list[int], **warmup_cosine: Any
) -> LRScheduler | None:
    """Build the schedule `name`, stepped once per optimiser step; `None` for a constant rate.

    Args:
        name: one of `SCHEDULERS`; see `check_scheduler`.
        optimizer: whose rates are scheduled.
        decay_steps: steps at which `step` divides the rate by ten.
        constant_groups: see `WarmupCosine`.
        **warmup_cosine: further arguments of `WarmupCosine`.
    """
    if name == "none":
        return None
    if name == "step":
        return StepDecay(optimizer, decay_steps, constant_groups)
    return WarmupCosine(optimizer, constant_groups=constant_groups, **warmup_cosine)


def _split_decay(group: dict[str, Any]) -> ParamGroups:
    decay = [parameter for parameter in group["params"] if parameter.ndim > 1]
    plain = [parameter for parameter in group["params"] if parameter.ndim <= 1]
    undecayed = {**group, "params": plain, "weight_decay": 0.0}
    if "name" in group:
        undecayed["name"] = f"{group['name']}_no_decay"  # Lightning wants every group to have a name of its own
    parts = [{**group, "params": decay}, undecayed]
    return [part for part in parts if part["params"]]
