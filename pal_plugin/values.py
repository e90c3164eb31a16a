"""Whether a config's values can be what they are to be: Hydra composes whatever is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError
from pal_plugin.host.checkpoint import BACKBONES
from pal_plugin.host.optim import check_scheduler
from pal_plugin.registry import near_matches
from pal_plugin.trainer import LOGGERS

# the least that each may be
WHOLE = {
    "seed": 0,
    "max_epochs": 1,
    "max_steps": 1,
    "accumulate_grad_batches": 1,
    "num_nodes": 1,
    "optimizer.batch_size": 1,
    "data.crop_size": 1,
    "data.num_classes": 1,
    "data.num_workers": 0,
    "data.subset": 1,
    "data.subset_seed": 0,
    "graph.k": 1,
    "graph.seed": 0,
    "validation.every_n_epochs": 1,
    "validation.subset": 1,
    "checkpoint.every_n_epochs": 1,
    "checkpoint.every_n_steps": 1,
    "knn_eval.k": 1,
    "method_kwargs.proj_hidden_dim": 1,
    "method_kwargs.proj_output_dim": 1,
    "method_kwargs.pred_hidden_dim": 1,
    "method_kwargs.queue_size": 0,
    "method_kwargs.epoch_queue_starts": 0,
    "method_kwargs.freeze_prototypes_epochs": 0,
    "method_kwargs.whitening_size": 1,
}
REAL = {
    "optimizer.lr": 0.0,
    "optimizer.classifier_lr": 0.0,
    "optimizer.weight_decay": 0.0,
    "scheduler.warmup_epochs": 0.0,
    "scheduler.warmup_start_lr": 0.0,
    "scheduler.min_lr": 0.0,
    "gradient_clip_val": 0.0,
    "graph.relations": 0.0,
    "graph.noise": 0.0,
    "graph.probability": 0.0,
    "momentum.base_tau": 0.0,
    "momentum.final_tau": 0.0,
    "method_kwargs.scale_loss": 0.0,
    "method_kwargs.sim_loss_weight": 0.0,
    "method_kwargs.var_loss_weight": 0.0,
    "method_kwargs.cov_loss_weight": 0.0,
}
# where null says that there is none, or that the data set knows
MAY_BE_NULL = (
    "max_steps",
    "data.num_classes",
    "data.subset",
    "validation.subset",
    "checkpoint.every_n_steps",
    "gradient_clip_val",
)
TEMPERATURES = (
    *("temperature", "temperature_q", "temperature_k"),
    *("student_temperature", "teacher_temperature", "warmup_teacher_temperature"),
)
LARGEST_SEED = 2**32 - 1  # of NumPy's global generator
# Lightning's names and their short forms
PRECISIONS = ("auto", "32-true", "32", "16-mixed", "16", "bf16-mixed", "bf16")


def check_values(cfg: DictConfig) -> None:
    """Refuse a number that is none, or too small or large, and an unknown word, before anything is fetched or built.

    Raises:
        ConfigError: which one, what it is, and what it may be.
    """
    _check_word(cfg.backbone.name, BACKBONES, "backbone", "Choose another")
    for key, least in WHOLE.items():
        _check(cfg, key, least, whole=True)
    for key, low in REAL.items():
        _check(cfg, key, low, whole=False)
    if cfg.seed > LARGEST_SEED:
        raise ConfigError(f"seed is {cfg.seed}", f"Set it to {LARGEST_SEED} or less")
    _check_teacher(cfg)
    _check_temperatures(cfg)
    _check_prototypes(cfg.method_kwargs.get("num_prototypes", 1))
    check_scheduler(cfg.scheduler)
    device_count(cfg)
    _check_precision(cfg.precision)
    _check_limit(cfg.limit_train_batches)
    _check_word(cfg.knn_eval.distance_func, ("cosine", "euclidean"), "distance", "Set knn_eval.distance_func")
    if cfg.logger.name is not None:
        _check_word(cfg.logger.name, LOGGERS, "logger", "Set logger.name, or logger=none")
    place = OmegaConf.select(cfg, "data.on_device", default="auto")
    if place not in (True, False, "auto"):
        raise ConfigError(f"data.on_device is {place!r}", "Set it to auto, true or false")


def _check(cfg: DictConfig, key: str, least: float, *, whole: bool) -> None:
    value = OmegaConf.select(cfg, key, default=least)  # what a config does not have is not used
    if value is None and key in MAY_BE_NULL:
        return
    if _number(value) and value >= least and not (whole and isinstance(value, float)):
        return
    raise ConfigError(f"{key} is {value!r}", f"Set it to a {'whole ' if whole else ''}number of {least:g} or more")


def _check_word(value: Any, known: Iterable[str], what: str, mend: str) -> None:
    if value not in known:
        raise ConfigError(f"There is no {what} {value!r}", f"{mend}: {near_matches(str(value), known)}")


def _check_teacher(cfg: DictConfig) -> None:
    base, final = cfg.momentum.base_tau, cfg.momentum.final_tau
    if not base <= final <= 1:
        raise ConfigError(
            f"momentum.base_tau is {base} and momentum.final_tau {final}",
            "Set both to shares of the teacher that stay, from 0 to 1; the first may not be the larger one",
        )


def _check_temperatures(cfg: DictConfig) -> None:
    for name in TEMPERATURES:
        value = cfg.method_kwargs.get(name, 1.0)
        if not _number(value) or value <= 0:
            raise ConfigError(f"method_kwargs.{name} is {value!r}", "Set it to a number above 0")


def _check_prototypes(given: Any) -> None:
    """Refuse numbers of prototypes, one or (DeepCluster v2) one of each clustering, that are none."""
    counts = given if isinstance(given, Sequence) and not isinstance(given, str) and given else [given]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 1 for count in counts):
        raise ConfigError(
            f"method_kwargs.num_prototypes is {given!r}", "Set it to a whole number of 1 or more, or a list of such"
        )


def _check_precision(precision: Any) -> None:
    if str(precision) not in PRECISIONS:
        raise ConfigError(
            f"precision is {precision!r}: images, weights and EMA teachers are float32 here, and autocast computes in "
            "less",
            f"Set it to one of {', '.join(PRECISIONS)}",
        )


def _check_limit(limit: Any) -> None:
    if limit is None or (_number(limit) and limit > 0 and (isinstance(limit, int) or limit <= 1)):
        return
    raise ConfigError(
        f"limit_train_batches is {limit!r}", "Set it to a whole number of batches, a share such as 0.5, or null"
    )


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
