"""The training of a round: its config, the run in a folder that it goes on in, and what is read of the network."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from numpy.typing import NDArray
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from pal_plugin.callbacks import LAST
from pal_plugin.data import ImageDataset, dataset_from_config
from pal_plugin.data.sources import available_splits
from pal_plugin.errors import ConfigError
from pal_plugin.evaluation import encode, knn_accuracy
from pal_plugin.host import load_backbone
from pal_plugin.launch import compose, explained
from pal_plugin.length import epochs_without_pairs
from pal_plugin.methods import find_method
from pal_plugin.train import METRICS, MODEL, train

Features = NDArray[np.float32]
_OURS = ("run_dir", "resume", "method", "data", "seed")
_FLAGS = {"method": "--method", "data": "--data", "seed": "--seed"}


def training_config(method: str, data: Mapping[str, Any], seed: int, overrides: tuple[str, ...]) -> DictConfig:
    """Return the config that every round of a run is trained with, up to its graph and where it writes.

    Args:
        method: a config whose method learns from known relations.
        data: what of the config group `data` is not to be as composed; `dataset` has to be there.
        seed: of the training.
        overrides: Hydra's.

    Raises:
        ConfigError: no such config or option, an override of what the rounds set, a method that does not learn from
            relations, or more than one device.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in _OURS or key.split(".")[0] == "graph":
            instead = f"Give {_FLAGS[key]}" if key in _FLAGS else "Leave it out"
            raise ConfigError(f"The rounds set {key} themselves, and {override!r} would too", instead)
    try:
        cfg = compose(method, [f"data={data['dataset']}", *overrides, f"seed={seed}", "graph=file"])
        cfg.data.update({key: value for key, value in data.items() if key != "dataset" and value is not None})
    except (HydraException, OmegaConfBaseException) as error:
        raise explained(error, method) from error
    learner: Any = find_method(cfg.method)
    if not getattr(learner, "wants_relations", False):
        raise ConfigError(f"{cfg.method} does not learn from known relations", "Choose one that does: --method pal_…")
    if cfg.num_nodes != 1 or cfg.devices not in (1, "1"):
        raise ConfigError(
            f"The rounds train within one process, and devices={cfg.devices} num_nodes={cfg.num_nodes} are several",
            "Set devices=1; or ask by --no-train, and train by pal train graph=answers graph.store=…",
        )
    learner.settings_of(cfg)
    return cfg


def config_of_round(cfg: DictConfig, graph: Path, folder: Path, *, related: bool) -> DictConfig:
    """Return the config of one round.

    Without a related pair it is the plain control: the same networks with their host's own loss (α = 0), for as many
    steps, within an epoch.

    Args:
        cfg: of `training_config`.
        graph: what is known.
        folder: where the run writes, and goes on.
        related: whether anything is known to be related.
    """
    made = copy.deepcopy(cfg)
    made.graph.path, made.run_dir, made.resume = str(graph), str(folder), "auto"
    if not related:
        learner: Any = find_method(cfg.method)
        made.max_epochs = epochs_without_pairs(cfg.max_epochs, learner.settings_of(cfg).related_share)
        made.method_kwargs.graph_alpha = 0.0
        if "importance" in made.method_kwargs:
            made.method_kwargs.importance = False
    return made


def trained(cfg: DictConfig) -> Path:
    """Train as `cfg` says, going on from where its run was stopped, and return the run's folder."""
    folder = Path(cfg.run_dir)
    if not (folder / METRICS).exists():  # the last thing that a run writes
        if not (folder / LAST).exists():  # nothing to go on from: no logs of an older attempt either
            shutil.rmtree(folder, ignore_errors=True)
        train(cfg)
    (folder / LAST).unlink(missing_ok=True)  # finished
    return folder


def evaluation_images(cfg: DictConfig, dataset: ImageDataset) -> ImageDataset | None:
    """Return the images that k-NN is read on, test or else val; None without labels or such a split.

    Nothing is chosen by what is read there.
    """
    known = available_splits(cfg.data)
    split = next((name for name in ("test", "val") if name in known), None)
    if split is None or not (dataset.labels >= 0).any():
        return None
    images = dataset_from_config(cfg.data, split)
    labelled = np.flatnonzero(images.labels >= 0)
    return images.take(labelled) if labelled.size else None


def features_of(folder: Path, dataset: ImageDataset, cfg: DictConfig) -> Features:
    """Return what the network of a finished run makes of `dataset`, (N, D) float32.

    Args:
        folder: of the run.
        dataset: N images.
        cfg: of the run.
    """
    backbone, _ = load_backbone(folder / MODEL)
    on_gpu = cfg.accelerator != "cpu" and torch.cuda.is_available()
    return encode(
        backbone,
        dataset,
        device="cuda" if on_gpu else "cpu",
        crop_size=cfg.data.crop_size,
        num_workers=cfg.data.num_workers,
    )


def accuracy(features: Features, dataset: ImageDataset, queries: Features, images: ImageDataset) -> float:
    """Return the k-NN accuracy in percent of `queries`, features of labelled `images`, by the labels of `dataset`."""
    bank = dataset.labels >= 0
    return round(knn_accuracy(features[bank], dataset.labels[bank], queries, images.labels)["top1"], 2)
