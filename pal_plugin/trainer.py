"""Lightning's trainer as a run's config asks for it: callbacks, loggers and limits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig

from pal_plugin.callbacks import (
    AtomicCheckpointIO,
    Checkpoints,
    GraphFigures,
    GraphRefresh,
    OracleEdges,
    ProgressLines,
)
from pal_plugin.compiling import CompileCost
from pal_plugin.errors import ConfigError
from pal_plugin.slurm import check_tasks, slurm_environment

LOGGERS = ("dvclive", "tensorboard", "wandb")  # that there are beside the CSV
LOGS = ("csv", *LOGGERS)
"""The folders, in that of a run, that its loggers write to."""


def make_trainer(
    cfg: DictConfig,
    identity: dict[str, Any],
    folder: Path,
    *,
    precision: Any,
    validate: bool,
    refresh_every: int | None,
    profiler: Profiler | None = None,
) -> Trainer:
    """Return Lightning's trainer for a run.

    Args:
        cfg: a composed config.
        identity: what the run is; see `Checkpoints`.
        folder: where it writes.
        precision: in Lightning's names.
        validate: whether there are images to validate on.
        refresh_every: after how many epochs each time the graph is built anew; None for never.
        profiler: what its parts are timed by.

    Raises:
        ConfigError: Lightning has no such accelerator, devices or strategy, a logger's package is not installed, or
            SLURM's tasks are not one for each device.
    """
    bar, slurm = sys.stderr.isatty(), slurm_environment()
    callbacks: list[Any] = [
        *([GraphRefresh(refresh_every)] if refresh_every else []),
        Checkpoints(folder, {**identity, "precision": precision}, **cfg.checkpoint),
        GraphFigures(),
        OracleEdges(),
        ProgressLines(bar=bar),
        LearningRateMonitor(logging_interval="step"),
        *([CompileCost()] if cfg.compile else []),
        *([TQDMProgressBar()] if bar else []),
    ]
    options: dict[str, Any] = {
        **_of_config(cfg),
        "precision": precision,
        "limit_val_batches": None if validate else 0,
        "num_sanity_val_steps": 0,  # it would draw from the random state that a resumed run restores
        "log_every_n_steps": 10,
        "logger": _loggers(cfg, folder),
        "callbacks": callbacks,
        "plugins": [AtomicCheckpointIO(), *slurm],
        "profiler": profiler,
        "default_root_dir": folder,
        "reload_dataloaders_every_n_epochs": 1 if refresh_every else 0,  # workers hold a copy of the graph
        "use_distributed_sampler": False,  # our sampler knows its rank
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": bar,
    }
    try:
        trainer = Trainer(**options)
    except (KeyError, MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(
            f"Lightning makes no trainer of this config: {' '.join(str(error).split())}",
            "Correct accelerator, devices, strategy or what else it names",
        ) from error
    for environment in slurm:
        check_tasks(trainer, environment)
    return trainer


def _of_config(cfg: DictConfig) -> dict[str, Any]:
    """Return what the config itself says to Lightning's trainer."""
    return {
        "accelerator": cfg.accelerator,
        "devices": cfg.devices,
        "num_nodes": cfg.num_nodes,
        "strategy": DDPStrategy(find_unused_parameters=False) if cfg.strategy == "ddp" else cfg.strategy,
        "sync_batchnorm": cfg.sync_batchnorm,
        "max_epochs": cfg.max_epochs,
        "max_steps": -1 if cfg.max_steps is None else cfg.max_steps,
        "accumulate_grad_batches": cfg.accumulate_grad_batches,
        "gradient_clip_val": cfg.get("gradient_clip_val"),
        "limit_train_batches": cfg.limit_train_batches,
        "check_val_every_n_epoch": cfg.validation.every_n_epochs,
    }


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
