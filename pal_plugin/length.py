"""How long a run is: where its config says it in steps, and where its control has shorter epochs."""

from __future__ import annotations

import copy
import math

from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, PairComposition
from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError


def batch_of_all(cfg: DictConfig) -> int:
    """Return how many samples a batch of all processes together has."""
    return int(cfg.optimizer.batch_size * device_count(cfg) * cfg.num_nodes)


def epochs_without_pairs(epochs: int, related_share: float) -> int:
    """Return how many epochs without related pairs take as many steps as `epochs` with them, within an epoch.

    Related pairs are beside the samples that an epoch goes through, so that it has more batches.

    Args:
        epochs: of a run whose batches hold related pairs.
        related_share: the share of those batches that is composed along known relations, in [0, 1).

    Raises:
        ConfigError: a share outside [0, 1).
    """
    if not 0 <= related_share < 1:
        raise ConfigError(f"The share of related pairs is {related_share}", "Set related_share in [0, 1)")
    return round(epochs / (1 - related_share))


def with_length(cfg: DictConfig, dataset: ImageDataset, composition: PairComposition | None = None) -> DictConfig:
    """Return `cfg` with `max_epochs` lowered to what `max_steps` takes at most: schedules end with the run.

    Args:
        cfg: a composed config.
        dataset: the training images.
        composition: of the batches, where they hold related pairs.
    """
    if cfg.max_steps is None:
        return cfg
    batches = len(dataset) // (batch_of_all(cfg) if composition is None else composition.uniform)
    limit = cfg.limit_train_batches
    if limit is not None:
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = math.ceil(batches / cfg.accumulate_grad_batches)
    cfg = copy.deepcopy(cfg)
    cfg.max_epochs = min(cfg.max_epochs, math.ceil(cfg.max_steps / max(steps, 1)))
    return cfg
