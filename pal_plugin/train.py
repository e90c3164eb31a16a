"""Pretraining: one config in, one run folder out (`last.ckpt`, `model.ckpt`, `metrics.json`, CSV logs)."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer, seed_everything
from lightning.pytorch.callbacks import LearningRateMonitor, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from pal_plugin.callbacks import LAST, AtomicCheckpointIO, Checkpoints, ProgressLines
from pal_plugin.data import ImageDataset, Policy, eval_loader, load_dataset, pair_loader
from pal_plugin.errors import CheckpointError, ConfigError, DeviceError
from pal_plugin.graph import SimilarityGraph, knn_graph
from pal_plugin.host import host_info, load_checkpoint, parse_cfg
from pal_plugin.host.config import plain
from pal_plugin.io import write_json, write_torch
from pal_plugin.methods import find_method
from pal_plugin.precision import fast_bfloat16
from pal_plugin.priors import embed, make_prior

MODEL = "model.ckpt"
METRICS = "metrics.json"
# What two configs of one run may differ in: where it writes and what it says.
FREE_KEYS = ("run_dir", "resume", "checkpoint", "logger", "name", "data.root", "data.num_workers")
IDENTITY = ("config", "dataset", "graph")


def train(cfg: DictConfig) -> dict[str, Any]:
    """Pretrain as `cfg` says.

    Args:
        cfg: a composed config.

    Returns:
        The final metrics, with `run_dir`; they are also in the run folder's `metrics.json`.

    Raises:
        PalError: what was asked for cannot be had; nothing half-written stays behind.
    """
    begun = time.monotonic()
    _quieten()
    _check_device(cfg)
    folder = _run_folder(cfg)
    module = build(cfg)
    data = PairData(cfg, pair_batch=module.wants_pair_batch)
    module.anchor_probe_only = data.graph is not None and not module.wants_pair_batch
    identity: dict[str, Any] = {
        "config": plain(cfg),
        "dataset": data.dataset.manifest.digest,
        "graph": None if data.graph is None else data.graph.digest,
    }
    resume = _checkpoint_to_resume(cfg, identity, folder)
    if resume is not None:
        data.cursor = tuple(load_checkpoint(resume)["cursor"])
    trainer = make_trainer(cfg, identity, folder)
    _say_what(cfg, data, folder, resume)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stop
    metrics = _final_metrics(trainer, time.monotonic() - begun)
    if trainer.is_global_zero:
        export(module, identity["config"], folder / MODEL)
        write_json(folder / METRICS, metrics)
    return {**metrics, "run_dir": str(folder)}


def build(cfg: DictConfig) -> Any:
    """Return the method that `cfg` describes, with the weights that a run of `cfg.seed` begins with."""
    seed_everything(cfg.seed, verbose=False)
    module = find_method(cfg.method)(parse_cfg(cfg))
    return module if cfg.performance.disable_channel_last else module.to(memory_format=torch.channels_last)


class PairData(LightningDataModule):
    """The images, their graph, and the loaders that the trainer asks for.

    Args:
        cfg: a composed config.
        pair_batch: whether the method takes pair batches.

    Attributes:
        cursor: the epoch and batch that training starts with.
    """

    def __init__(self, cfg: DictConfig, *, pair_batch: bool) -> None:
        super().__init__()
        self.cfg = cfg
        self.pair_batch = pair_batch
        self.cursor: tuple[int, int] = (0, 0)
        self.dataset = _load(cfg, "train", cfg.data.subset)
        self.graph = None if cfg.graph is None else make_graph(cfg.graph, self.dataset)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the graph-aware loader of this rank, set to the cursor."""
        trainer: Any = self.trainer
        loader = pair_loader(
            self.dataset,
            [Policy.from_config(policy) for policy in self.cfg.augmentations],
            batch_size=self.cfg.optimizer.batch_size,
            seed=self.cfg.seed,
            graph=self.graph,
            pair_batch=self.pair_batch,
            num_workers=self.cfg.data.num_workers,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
        )
        sampler: Any = loader.batch_sampler
        sampler.resume(*self.cursor)
        return loader

    def val_dataloader(self) -> DataLoader[Any]:
        """Return the official test split for the online probe: a diagnostic, nothing is chosen by it."""
        dataset = _load(self.cfg, "test", self.cfg.validation.subset)
        return eval_loader(dataset, self.cfg.optimizer.batch_size, self.cfg.data.crop_size)


def make_graph(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    """Load the graph at `graph.path`, or build the k-NN graph that `graph` describes, through the cache.

    Args:
        graph: the config group `graph`.
        dataset: the images it is to index.

    Raises:
        ManifestError: the graph at `graph.path` indexes another data set.
    """
    if graph.path is not None:
        return SimilarityGraph.load(graph.path)
    features = embed(dataset, make_prior(graph.prior))
    return knn_graph(
        features.features, graph.k, metric=graph.metric, include_self=graph.include_self, manifest=dataset.manifest
    )


def make_trainer(cfg: DictConfig, identity: dict[str, Any], folder: Path) -> Trainer:
    """Return Lightning's trainer for a run in `folder`; for `identity` see `Checkpoints`."""
    bar = sys.stderr.isatty()
    callbacks: list[Any] = [
        Checkpoints(folder, identity, **cfg.checkpoint),
        ProgressLines(bar=bar),
        LearningRateMonitor(logging_interval="step"),
        *([TQDMProgressBar()] if bar else []),
    ]
    return Trainer(
        accelerator=cfg.accelerator,
        devices=cfg.devices,
        num_nodes=cfg.num_nodes,
        strategy=DDPStrategy(find_unused_parameters=False) if cfg.strategy == "ddp" else cfg.strategy,
        precision=_precision(cfg),
        sync_batchnorm=cfg.sync_batchnorm,
        max_epochs=cfg.max_epochs,
        accumulate_grad_batches=cfg.accumulate_grad_batches,
        limit_train_batches=cfg.limit_train_batches,
        limit_val_batches=None if cfg.validation.enabled else 0,
        check_val_every_n_epoch=cfg.validation.every_n_epochs,
        num_sanity_val_steps=0,  # it would draw from the random state that a resumed run restores
        log_every_n_steps=10,
        logger=_loggers(cfg, folder),
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        use_distributed_sampler=False,  # our sampler knows its rank
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=bar,
    )


def export(module: torch.nn.Module, config: dict[str, Any], path: Path) -> None:
    """Write the trained networks and their config, without optimiser state, to `path`."""
    state = {key: value.detach().cpu() for key, value in module.state_dict().items()}
    write_torch(path, {"state_dict": state, "config": config, "host": host_info().kind})


def _load(cfg: DictConfig, split: str, subset: int | None) -> ImageDataset:
    root = None if cfg.data.root is None else Path(cfg.data.root)
    dataset = load_dataset(cfg.data.dataset, split, root=root)
    # a subset that is larger than a small data set means all of it
    return dataset if subset is None or subset >= len(dataset) else dataset.subset(subset, cfg.data.subset_seed)


def _check_device(cfg: DictConfig) -> None:
    if cfg.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"accelerator={cfg.accelerator} was asked for, but PyTorch sees no CUDA device",
            "Use accelerator=cpu, or run `pal doctor` to see what is there",
        )


def _quieten() -> None:
    """Keep Lightning's advice and other people's deprecations out of the run's output."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")


def _precision(cfg: DictConfig) -> Any:
    if cfg.precision != "auto":
        return str(cfg.precision)
    on_gpu = cfg.accelerator != "cpu" and torch.cuda.is_available()
    if fast_bfloat16("cuda" if on_gpu else "cpu"):
        return "bf16-mixed"
    return "16-mixed" if on_gpu else "32-true"


def _run_folder(cfg: DictConfig) -> Path:
    """Return a folder for the run: the named one, or the next free number beside it unless the run goes on there."""
    wanted = folder = Path(cfg.run_dir)
    number = 2
    while cfg.resume is None and (folder / LAST).exists():
        folder = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _checkpoint_to_resume(cfg: DictConfig, identity: dict[str, Any], folder: Path) -> Path | None:
    if cfg.resume is None:
        return None
    automatic = cfg.resume == "auto"
    path = folder / LAST if automatic else Path(cfg.resume)
    if automatic and not path.exists():
        return None
    checkpoint = load_checkpoint(path)
    if not {*IDENTITY, "cursor", "loops"} <= checkpoint.keys():
        raise CheckpointError(
            f"The checkpoint {path} holds no run to go on with", "Name a last.ckpt that pal train wrote"
        )
    changed = _differences({key: checkpoint[key] for key in IDENTITY}, identity)
    if not changed:
        return path
    if automatic:
        print(f"pal train: {path} belongs to another run ({changed[0]}); starting afresh", file=sys.stderr)
        return None
    raise CheckpointError(
        f"The checkpoint {path} belongs to another run: {'; '.join(changed)}",
        "Give the values that the run had, or start a new run with resume=null",
    )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return `key: old → new` of all that has to be the same in one run and is not."""
    before, after = _flat(old), _flat(new)
    free = tuple(f"config.{key}." for key in FREE_KEYS)
    keys = sorted(key for key in before.keys() | after.keys() if not f"{key}.".startswith(free))
    changed = [key for key in keys if before.get(key) != after.get(key)]
    return [f"{key.removeprefix('config.')}: {before.get(key)} → {after.get(key)}" for key in changed]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}" if prefix else key).items()}


def _loggers(cfg: DictConfig, folder: Path) -> list[Logger]:
    loggers: list[Logger] = [CSVLogger(folder, name="csv")]
    options = {key: value for key, value in cfg.logger.items() if key != "name"}
    try:
        if cfg.logger.name == "wandb":
            from lightning.pytorch.loggers import WandbLogger

            loggers.append(WandbLogger(name=cfg.name, save_dir=folder, **options))
        elif cfg.logger.name == "tensorboard":
            from lightning.pytorch.loggers import TensorBoardLogger

            loggers.append(TensorBoardLogger(folder, name="tensorboard", **options))
        elif cfg.logger.name == "dvclive":
            from dvclive.lightning import DVCLiveLogger

            loggers.append(DVCLiveLogger(run_name=cfg.name, dir=str(folder / "dvclive"), **options))
    except ImportError as error:
        raise ConfigError(
            f"logger={cfg.logger.name} needs a package that is not installed ({error})",
            f"Run pip install 'pal-plugin[{cfg.logger.name}]', or use logger=none",
        ) from error
    return loggers


def _say_what(cfg: DictConfig, data: PairData, folder: Path, resume: Path | None) -> None:
    images = f"{len(data.dataset)} images of {data.dataset.name}"
    pairs = "no graph" if data.graph is None else f"a graph of {data.graph.num_edges} edges"
    where = f"into {folder}" + ("" if resume is None else f", going on from epoch {data.cursor[0] + 1}")
    chosen = f"profile {cfg.profile} (or profile=debug|smoke|cpu|paper)"
    line = f"pal train: {chosen}: {cfg.method} on {images}, {pairs}, {cfg.max_epochs} epochs, {where}"
    print(line, file=sys.stderr, flush=True)


def _final_metrics(trainer: Trainer, wall: float) -> dict[str, Any]:
    logged = sorted(trainer.callback_metrics.items())  # what is logged by step and epoch stands there three times
    values = {key: float(value) for key, value in logged if not key.endswith(("_step", "_epoch"))}
    finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
    return {**finite, "epochs": trainer.current_epoch, "steps": trainer.global_step, "wall_s": round(wall, 2)}
