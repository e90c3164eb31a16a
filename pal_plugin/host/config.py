"""Main's config on both solo-learns: defaults that a config may leave out, and what is derived from the rest."""

from __future__ import annotations

import copy
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError
from pal_plugin.host.optim import check_optimizer

DEFAULTS: dict[str, Any] = {
    "name": "run",
    "seed": 5,
    "accumulate_grad_batches": 1,
    "devices": 1,
    "num_nodes": 1,
    "backbone": {"kwargs": {}, "stem": "auto"},
    "method_kwargs": {},
    "momentum": {"base_tau": 0.99, "final_tau": 1.0, "classifier": False},
    "optimizer": {"exclude_bias_n_norm_wd": False, "kwargs": {}},
    "scheduler": {
        "name": "warmup_cosine",
        "lr_decay_steps": None,
        "min_lr": 0.0,
        "warmup_start_lr": 3e-5,
        "warmup_epochs": 10,
        "interval": "step",
    },
    "knn_eval": {"enabled": False, "k": 20, "distance_func": "euclidean"},
    "performance": {"disable_channel_last": False},
}
OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {"momentum": 0.9},
    "lars": {"momentum": 0.9, "eta": 1e-3, "clip_lr": False, "exclude_bias_n_norm": False},
    "adamw": {"betas": [0.9, 0.999]},
}
NEEDED = (
    "method",
    "backbone.name",
    "data.dataset",
    "data.num_classes",
    "augmentations",
    "optimizer.name",
    "optimizer.batch_size",
    "optimizer.lr",
    "optimizer.classifier_lr",
    "optimizer.weight_decay",
    "max_epochs",
)


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return a config as plain containers, its interpolations resolved."""
    content = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def with_defaults(cfg: DictConfig) -> DictConfig:
    """Return a copy of `cfg` with main's defaults where it is silent; applying it twice changes nothing.

    Raises:
        ConfigError: a value that a method cannot do without is missing, or there is no such optimiser.
    """
    given = copy.deepcopy(cfg)
    OmegaConf.set_struct(given, False)
    complete = OmegaConf.merge(DEFAULTS, given)
    assert isinstance(complete, DictConfig)
    missing = [key for key in NEEDED if OmegaConf.select(complete, key, default=None) is None]
    if missing:
        raise ConfigError(f"The config lacks {', '.join(missing)}", f"Set {missing[0]}=…")
    check_optimizer(complete.optimizer.name)  # before optimizer.kwargs, which a config may look up by this name
    kwargs = OPTIMIZER_DEFAULTS.get(complete.optimizer.name, {})
    complete.optimizer.kwargs = OmegaConf.merge(kwargs, complete.optimizer.kwargs)
    return complete


def parse_cfg(cfg: DictConfig) -> DictConfig:
    """Return a copy of `cfg` with main's defaults filled in and the derived values set.

    Derived, as in main: the number of large and small crops from `augmentations`, and the learning rates scaled by
    `batch_size * devices * num_nodes / 256`.

    Raises:
        ConfigError: a value that a method cannot do without is missing, or `devices` cannot be read.
    """
    parsed = with_defaults(cfg)
    sizes = [(pipeline.crop_size, pipeline.num_crops) for pipeline in parsed.augmentations]
    parsed.data.num_large_crops = sum(count for size, count in sizes if size == sizes[0][0])
    parsed.data.num_small_crops = sum(count for size, count in sizes if size != sizes[0][0])
    scale = parsed.optimizer.batch_size * device_count(parsed) * parsed.num_nodes / 256
    parsed.optimizer.lr *= scale
    parsed.optimizer.classifier_lr *= scale
    return parsed
