"""Whether a config's values can be what they are to be: Hydra composes whatever is written."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from pal_plugin.errors import ConfigError
from pal_plugin.host.checkpoint import BACKBONES
from pal_plugin.registry import near_matches

# the least that each may be; those that may be null are null where they are not used
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
}
REAL = {
    "optimizer.lr": 0.0,
    "optimizer.classifier_lr": 0.0,
    "optimizer.weight_decay": 0.0,
    "scheduler.warmup_epochs": 0.0,
    "graph.relations": 0.0,
    "graph.noise": 0.0,
    "graph.probability": 0.0,
    "momentum.base_tau": 0.0,
    "momentum.final_tau": 0.0,
}


def check_values(cfg: DictConfig) -> None:
    """Refuse a number that is none, or too small, and an unknown word, before anything is fetched or built.

    Raises:
        ConfigError: which one, what it is, and what it may be.
    """
    name = cfg.backbone.name
    if name not in BACKBONES:
        raise ConfigError(f"There is no backbone {name!r}", f"Choose another: {near_matches(str(name), BACKBONES)}")
    for key, least in WHOLE.items():
        _check(cfg, key, least, whole=True)
    for key, low in REAL.items():
        _check(cfg, key, low, whole=False)
    place = OmegaConf.select(cfg, "data.on_device", default="auto")
    if place not in (True, False, "auto"):
        raise ConfigError(f"data.on_device is {place!r}", "Set it to auto, true or false")


def _check(cfg: DictConfig, key: str, least: float, *, whole: bool) -> None:
    value = OmegaConf.select(cfg, key)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is None or (number and value >= least and not (whole and isinstance(value, float))):
        return
    raise ConfigError(f"{key} is {value!r}", f"Set it to a {'whole ' if whole else ''}number of {least:g} or more")
