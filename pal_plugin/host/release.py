"""What the release (1.0.2) lacks of main's API: `cfg` for keyword arguments, `backbone` for `encoder`."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from pal_plugin.errors import ConfigError
from pal_plugin.host.config import plain
from pal_plugin.host.solo import SoloBase
from pal_plugin.registry import near_matches

# Main fills these in where a config is silent; the release's own defaults sit in its argument parsers.
DEFAULTS: dict[str, dict[str, Any]] = {
    "barlow_twins": {"lamb": 0.0051, "scale_loss": 0.024},
    "deepclusterv2": {"temperature": 0.1, "num_prototypes": [3000, 3000, 3000], "kmeans_iters": 10},
    "dino": {
        "clip_grad": 0,
        "freeze_last_layer": 1,
        "norm_last_layer": True,
        "use_bn_in_head": False,
        "student_temperature": 0.1,
        "teacher_temperature": 0.07,
        "warmup_teacher_temperature": 0.04,
        "warmup_teacher_temperature_epochs": 0,
    },
    "mocov2plus": {"queue_size": 65536},
    "nnbyol": {"queue_size": 65536},
    "nnclr": {"queue_size": 65536},
    "nnsiam": {"queue_size": 65536},
    "ressl": {"queue_size": 65536},
    "swav": {
        "queue_size": 65536,
        "num_prototypes": 3000,
        "sk_epsilon": 0.05,
        "sk_iters": 3,
        "freeze_prototypes_epochs": 1,
        "epoch_queue_starts": 15,
    },
    "vicreg": {"sim_loss_weight": 25.0, "var_loss_weight": 25.0, "cov_loss_weight": 1.0},
    "wmse": {"whitening_iters": 1, "whitening_size": 256, "whitening_eps": 0.0},
}
_RENAMED = {"encoder": "backbone", "momentum_encoder": "momentum_backbone"}


class ReleaseNames(nn.Module):
    """Keep the networks under main's names, so that checkpoints of both solo-learns have the same keys.

    The release's code goes on reading and assigning `encoder` and `momentum_encoder`.
    """

    backbone: nn.Module
    momentum_backbone: nn.Module

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(_RENAMED.get(name, name), value)

    @property
    def encoder(self) -> nn.Module:
        """The release's name of `backbone`."""
        return self.backbone

    @property
    def momentum_encoder(self) -> nn.Module:
        """The release's name of `momentum_backbone`."""
        return self.momentum_backbone


class Whitening2d(nn.Module):
    """W-MSE's whitening by the Cholesky factor of the covariance (arXiv 2007.06346), without the removed functions.

    Args:
        output_dim: D.
        eps: shrinkage of the covariance towards the identity.
    """

    identity: Tensor

    def __init__(self, output_dim: int, eps: float = 0.0) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("identity", torch.eye(output_dim), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Whiten x (B, D) in float32, whatever the autocast."""
        with torch.autocast(x.device.type, enabled=False):
            centred = x.float() - x.float().mean(0)
            covariance = centred.T @ centred / (len(x) - 1)
            factor = torch.linalg.cholesky((1 - self.eps) * covariance + self.eps * self.identity)
            whitened: Tensor = torch.linalg.solve_triangular(factor, centred.T, upper=False).T
            return whitened


def release_arguments(solo_class: type, method: str, cfg: DictConfig) -> dict[str, Any]:
    """Translate main's config into the keyword arguments of the release's constructor.

    Args:
        solo_class: the release's method class.
        method: its name, the key of its defaults.
        cfg: a parsed config.

    Raises:
        ConfigError: a method argument that does not exist, or one that is needed and missing.
    """
    arguments = {**_common(cfg), **_method_arguments(solo_class, method, cfg)}
    if "base_tau_momentum" in _parameters(solo_class):
        arguments |= {
            "base_tau_momentum": cfg.momentum.base_tau,
            "final_tau_momentum": cfg.momentum.final_tau,
            "momentum_classifier": cfg.momentum.classifier,
        }
    return arguments


def _common(cfg: DictConfig) -> dict[str, Any]:
    return {
        "encoder": cfg.backbone.name,
        "num_classes": cfg.data.num_classes,
        "backbone_args": dict(cfg.backbone.kwargs),
        "max_epochs": cfg.max_epochs,
        "batch_size": cfg.optimizer.batch_size,
        "optimizer": cfg.optimizer.name,
        "lars": False,  # the adapter builds the optimiser
        "lr": cfg.optimizer.lr,
        "weight_decay": cfg.optimizer.weight_decay,
        "classifier_lr": cfg.optimizer.classifier_lr,
        "exclude_bias_n_norm": False,
        "accumulate_grad_batches": cfg.accumulate_grad_batches,
        "extra_optimizer_args": {},
        "scheduler": cfg.scheduler.name,
        "min_lr": cfg.scheduler.min_lr,
        "warmup_start_lr": cfg.scheduler.warmup_start_lr,
        "warmup_epochs": cfg.scheduler.warmup_epochs,
        "num_large_crops": cfg.data.num_large_crops,
        "num_small_crops": cfg.data.num_small_crops,
    }


def _method_arguments(solo_class: type, method: str, cfg: DictConfig) -> dict[str, Any]:
    arguments: dict[str, Any] = {**DEFAULTS.get(method, {}), **plain(cfg.method_kwargs)}
    shared = inspect.signature(SoloBase).parameters
    own = {
        name: parameter
        for name, parameter in inspect.signature(solo_class).parameters.items()
        if name not in shared and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    for name in arguments:
        if name not in own:
            raise ConfigError(f"{method} has no argument {name!r}", f"Set method_kwargs: {near_matches(name, own)}")
    missing = [n for n, p in own.items() if p.default is inspect.Parameter.empty and n not in arguments]
    if missing:
        raise ConfigError(
            f"{method} needs {', '.join(missing)}", f"Set {', '.join(f'method_kwargs.{name}' for name in missing)}"
        )
    return arguments


def _parameters(solo_class: type) -> set[str]:
    """Return the names that the constructors of a class and of its bases take."""
    constructors = [vars(parent)["__init__"] for parent in solo_class.__mro__ if "__init__" in vars(parent)]
    return {name for constructor in constructors[:-1] for name in inspect.signature(constructor).parameters}
