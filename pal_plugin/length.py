"""How long a run is where its config says it in steps."""

from __future__ import annotations

import copy
import math

from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, PairComposition
from pal_plugin.devices import device_count


def batch_of_all(cfg: DictConfig) -> int:
    """Return how many samples a batch of all processes together has."""
    return int(cfg.optimizer.batch_size * device_count(cfg) * cfg.num_nodes)


def with_length(cfg: DictConfig, dataset: ImageDataset, composition: PairComposition | None = None) -> DictConfig:
    """Return `cfg` with `max_epochs` lowered to what `max_steps` takes at most: schedules end with the run.

    Args:
        cfg: a composed config.
        dataset: the training images.
        composition: of the batches, where they hold related pairs: these are beside the samples that an epoch goes
            through, so that it has more batches.
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
