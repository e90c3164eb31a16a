"""What `method_kwargs` of an `adassl_*` says beside what its host reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from pal_plugin.errors import ConfigError
from pal_plugin.losses.adassl.wrapper import VARIANTS

EDITORS = ("mlp", "linear", "add", "sparse")
CONTRASTIVE = ("learnable_lambda", "logit_clamp")


class AdaSSLSettings(NamedTuple):
    """The settings; defaults are those of the authors' code where it has one.

    Attributes:
        variant: v (variational), s (sparse), gt (told the true factors) or vanilla (the host's own).
        latent_dim: d_r, the size of r; for gt the number of factors.
        latent_hidden_dims: the hidden widths of prior and posterior.
        editor: mlp, linear, add or sparse; None for the variant's own: mlp for v and gt, sparse for s.
        editor_hidden_dims: the hidden widths of the editor mlp.
        reg_beta: β, the weight of L_reg.
        reg_beta_warmup_steps: optimiser steps in which β rises to it from 0.
        reg_kl_target: what L_reg is held at by changing β; None for a β that stays (`BetaSchedule`).
        reg_free_bits: what every dimension of r may cost for nothing, in nats (likewise).
        additional_view: whether the posterior sees another augmentation of the target, which v and s read.
        learnable_lambda: whether SimCLR's logits are scaled by a number that is learnt.
        logit_clamp: the largest magnitude of SimCLR's logits; None for no bound.
    """

    variant: str = "v"
    latent_dim: int = 20
    latent_hidden_dims: Sequence[int] = (1024,)
    editor: str | None = None
    editor_hidden_dims: Sequence[int] = (512,)
    reg_beta: float = 0.5
    reg_beta_warmup_steps: int = 0
    reg_kl_target: float | None = None
    reg_free_bits: float = 0.0
    additional_view: bool = False
    learnable_lambda: bool = False
    logit_clamp: float | None = 20.0


def read_settings(cfg: DictConfig, *, contrastive: bool) -> AdaSSLSettings:
    """Return the settings in `cfg.method_kwargs`.

    Args:
        cfg: a composed config.
        contrastive: whether the host's loss is AdaSSL's own contrastive one, with λ and a clamp.

    Raises:
        ConfigError: a value that cannot be, a setting that the host's loss does not have, supervision by labels, or the
            editor add and an r of another size than the embeddings'.
    """
    kwargs = OmegaConf.to_container(cfg.method_kwargs, resolve=True)
    assert isinstance(kwargs, dict)
    if kwargs.get("supervised"):
        raise ConfigError(
            f"{cfg.method} learns from pairs, not from labels by method_kwargs.supervised",
            "Leave it out; graph=labels pairs images of one class",
        )
    given = {key: kwargs[key] for key in AdaSSLSettings._fields if key in kwargs}
    for key in CONTRASTIVE:
        if key in given and not contrastive:
            raise ConfigError(
                f"{cfg.method} has no method_kwargs.{key}: its loss is its host's", "Leave it out, or use adassl_simclr"
            )
    settings = AdaSSLSettings(**given)
    for key, value in settings._asdict().items():
        fits, allowed = _ALLOWED[key]
        if not fits(value):
            raise ConfigError(f"method_kwargs.{key} is {value!r}", f"Set it to {allowed}")
    if settings.reg_kl_target is not None and (settings.variant not in ("v", "s") or not settings.reg_beta):
        raise ConfigError(
            f"method_kwargs.reg_kl_target changes β, and with variant {settings.variant} and reg_beta "
            f"{settings.reg_beta:g} there is none to change",
            "Set reg_kl_target=null, or variant v or s and reg_beta above 0",
        )
    _check_additive(cfg, settings)
    return settings


def check_batches(cfg: DictConfig) -> None:
    """Check that batches will be of pairs, two views each, and of more than one.

    Raises:
        ConfigError: they will not; it says what to set.
    """
    crops = [(augmentation.crop_size, augmentation.num_crops) for augmentation in cfg.augmentations]
    if len({size for size, _ in crops}) > 1:
        raise ConfigError(
            f"{cfg.method} compares two views of one size, and the augmentations make small crops",
            "Set augmentation=strong_simclr or another without them, or give all augmentations one crop_size",
        )
    views = sum(number for _, number in crops)
    if views != 2:
        raise ConfigError(
            f"{cfg.method} compares two views, one of each image of a pair, and the augmentations make {views}",
            "Let augmentations.*.num_crops add up to 2, as augmentation=strong_simclr does",
        )
    if cfg.optimizer.batch_size < 2:
        raise ConfigError(
            f"optimizer.batch_size is {cfg.optimizer.batch_size}: one pair on a device has no other to compare it "
            f"with, and {cfg.method}'s networks no statistics of a batch",
            "Set optimizer.batch_size to 2 or more; a larger batch in steps is accumulate_grad_batches",
        )


def _check_additive(cfg: DictConfig, settings: AdaSSLSettings) -> None:
    size = cfg.method_kwargs.get("proj_output_dim")
    if settings.editor == "add" and settings.variant != "vanilla" and size != settings.latent_dim:
        raise ConfigError(
            f"method_kwargs.editor=add takes an r of the embeddings' size {size}, and latent_dim is "
            f"{settings.latent_dim}",
            f"Set method_kwargs.latent_dim={size}, or method_kwargs.editor=mlp or linear",
        )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _widths(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(_whole(width, 1) for width in value)


def _at_least_zero(value: Any) -> bool:
    return _number(value) and value >= 0


def _above_zero_or_null(value: Any) -> bool:
    return value is None or (_number(value) and value > 0)


def _truth(value: Any) -> bool:
    return isinstance(value, bool)


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "variant": (lambda value: value in VARIANTS, f"one of {', '.join(VARIANTS)}"),
    "latent_dim": (lambda value: _whole(value, 1), "a whole number of 1 or more"),
    "latent_hidden_dims": (_widths, "a list of widths, for example [1024]"),
    "editor": (lambda value: value is None or value in EDITORS, f"one of {', '.join(EDITORS)}, or null"),
    "editor_hidden_dims": (_widths, "a list of widths, for example [512]"),
    "reg_beta": (_at_least_zero, "a number of 0 or more"),
    "reg_beta_warmup_steps": (lambda value: _whole(value, 0), "a whole number of 0 or more"),
    "reg_kl_target": (_above_zero_or_null, "a number above 0, or null"),
    "reg_free_bits": (_at_least_zero, "a number of 0 or more"),
    "additional_view": (_truth, "true or false"),
    "learnable_lambda": (_truth, "true or false"),
    "logit_clamp": (_above_zero_or_null, "a number above 0, or null"),
}
