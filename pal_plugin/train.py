"""Pretraining: one config in, one run folder out (`last.ckpt`, `model.ckpt`, `metrics.json`, CSV logs)."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from pal_plugin.arrays import read_json
from pal_plugin.callbacks import LAST, WITHOUT_EDGES, quieten
from pal_plugin.compiling import compile_backbones
from pal_plugin.data import ImageDataset, PairComposition, dataset_from_config
from pal_plugin.datamodule import PairData, labelled, validation_images
from pal_plugin.devices import device_count
from pal_plugin.errors import CheckpointError, ConfigError, DeviceError, GraphError, LossError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import relations
from pal_plugin.graphs import make_graph, refresh_interval
from pal_plugin.host import host_info, load_checkpoint, needs_pair_batch, parse_cfg
from pal_plugin.host.adapt import without_late_state
from pal_plugin.host.config import plain
from pal_plugin.host.limits import check_limits
from pal_plugin.io import write_json, write_torch
from pal_plugin.length import batch_of_all, with_length
from pal_plugin.methods import find_method
from pal_plugin.precision import training_precision
from pal_plugin.profiling import StepProfiler
from pal_plugin.relations import check_method, describe, doubts, figures, share_of_batches
from pal_plugin.resume import checkpoint_to_resume, run_folder
from pal_plugin.trainer import LOGS, make_trainer
from pal_plugin.values import check_values

MODEL = "model.ckpt"
METRICS = "metrics.json"
# What is logged about labels; without any it is all zeros and ones.
OF_LABELS = ("train_acc", "train_class_loss", "train_momentum_", "train_nn_acc")


def train(cfg: DictConfig) -> dict[str, Any]:
    """Pretrain as `cfg` says.

    Args:
        cfg: a composed config.

    Returns:
        The final metrics, with `run_dir`; they are also in the run folder's `metrics.json`. Where `resume=auto` finds
        that the run has ended there, it is from that file.

    Raises:
        PalError: what was asked for cannot be had; nothing half-written stays behind.
    """
    begun = time.monotonic()
    quieten()
    _check(cfg)
    dataset = dataset_from_config(cfg.data, "train")
    cfg = with_classes(cfg, dataset)
    method: Any = find_method(cfg.method)
    # Known relations come before the networks: how many batches an epoch has, and so their schedules, depends on them.
    known = make_graph(cfg.graph, dataset, num_workers=cfg.data.num_workers) if method.wants_relations else None
    cfg = with_length(cfg, dataset, _composition(cfg, dataset, known))
    module = build(cfg)
    compile_backbones(module, cfg.compile)
    folder = run_folder(cfg)
    data = _data(cfg, dataset, module, known)
    identity: dict[str, Any] = {
        "config": plain(cfg),
        "devices": device_count(cfg),  # `auto` may be another number when it is resumed, and so another batch
        "dataset": dataset.manifest.digest,
        "graph": None if data.graph is None else data.graph.digest,
    }
    resume = checkpoint_to_resume(cfg, identity, folder, (METRICS, MODEL, *LOGS))
    begun_run = {} if resume is None else load_checkpoint(resume)
    data.cursor = tuple(begun_run.get("cursor", data.cursor))
    in_place = resume is not None and resume.resolve() == (folder / LAST).resolve()
    if in_place and (ended := _ended(cfg, begun_run, folder)):
        _say(f"the run in {folder} has ended: nothing is left to do")
        return {**ended, "run_dir": str(folder)}
    # as it began, also on a machine where `auto` means another
    precision = begun_run.get("precision", training_precision(cfg))
    seed_everything(cfg.seed, verbose=False)  # what embedding drew, and whether it was in the cache, must not matter
    every = refresh_interval(cfg.graph)
    options = {"validate": data.validation is not None, "refresh_every": every, "precision": precision}
    profiler = StepProfiler(module) if cfg.get("profiler") else None
    trainer = make_trainer(cfg, identity, folder, profiler=profiler, **options)
    _say_what(cfg, data, folder, resume)
    _say_how(cfg, precision, trainer)
    for doubt in _doubts(cfg, data, module, trainer.world_size):
        _say(doubt)
    _fit(trainer, module, data, folder, resume)
    # what was logged before it was resumed, and not since: nothing at all may have been left to do
    logged = {**begun_run.get("logged", {}), **trainer.callback_metrics}
    metrics = _final_metrics(trainer, data, logged, time.monotonic() - begun)
    if trainer.is_global_zero:
        seen_as = {"mean": list(dataset.mean), "std": list(dataset.std)}  # data sets of one's own share a name
        export(module, {**identity["config"], "normalisation": seen_as}, folder / MODEL)
        write_json(folder / METRICS, metrics)
    return {**metrics, "run_dir": str(folder)}


def with_classes(cfg: DictConfig, dataset: ImageDataset) -> DictConfig:
    """Return `cfg` with the data set's number of classes where `data.num_classes` is null: 1 if there are none.

    Raises:
        ConfigError: `data.num_classes` is smaller than a label.
    """
    if cfg.data.num_classes is None:
        cfg = copy.deepcopy(cfg)
        cfg.data.num_classes = max(1, dataset.num_classes)
    if dataset.labels.max() >= cfg.data.num_classes:
        raise ConfigError(
            f"data.num_classes is {cfg.data.num_classes}, but {dataset.name} has the label {dataset.labels.max()}",
            f"Set data.num_classes={dataset.num_classes}, or null",
        )
    return cfg


def build(cfg: DictConfig) -> Any:
    """Return the method that `cfg` describes, with the weights that a run of `cfg.seed` begins with."""
    seed_everything(cfg.seed, verbose=False)
    module = find_method(cfg.method)(parse_cfg(cfg))
    return module if cfg.performance.disable_channel_last else module.to(memory_format=torch.channels_last)


def export(module: torch.nn.Module, config: dict[str, Any], path: Path) -> None:
    """Write the trained networks and their config, without optimiser state and memories of the run, to `path`."""
    state = without_late_state(getattr(module, "host_name", ""), module.state_dict())
    state = {key: value.detach().cpu() for key, value in state.items()}
    write_torch(path, {"state_dict": state, "config": config, "host": host_info().kind})


def _check(cfg: DictConfig) -> None:
    """Refuse what is wrong in the config before anything is fetched, embedded or written."""
    check_values(cfg)
    _check_device(cfg)
    method: Any = find_method(cfg.method)
    check_method(method, cfg)
    check_limits(method, cfg)
    refresh_interval(cfg.graph)


def _ended(cfg: DictConfig, checkpoint: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """Return the metrics of a run that has ended in `folder`, or None: what was logged is not logged a second time."""
    by_steps = cfg.max_steps is not None and checkpoint.get("global_step", 0) >= cfg.max_steps
    if not (by_steps or checkpoint["cursor"][0] >= cfg.max_epochs):
        return None
    written = [folder / name for name in (LAST, MODEL, METRICS)]
    # in this order; one that is older than the checkpoint is of another run, which was in the folder before
    if not all(file.exists() and file.stat().st_mtime_ns >= written[0].stat().st_mtime_ns for file in written):
        return None
    try:
        return read_json(folder / METRICS, CheckpointError, "It is written anew")
    except CheckpointError:
        return None


def _fit(trainer: Trainer, module: Any, data: PairData, folder: Path, resume: Path | None) -> None:
    """Train, and say how to go on where that ends early."""
    try:
        trainer.fit(module, datamodule=data, ckpt_path=resume, weights_only=True)
    except LossError:
        if (folder / LAST).exists():
            _say(f"the last good checkpoint is {folder / LAST}; resume=auto goes on from it with the config as it was")
        raise
    except SystemExit as stop:  # what Lightning makes of Ctrl-C
        if (folder / LAST).exists():
            print(f"pal train: to go on, add run_dir={folder} resume=auto", file=sys.stderr)
        raise KeyboardInterrupt from stop


def _composition(cfg: DictConfig, dataset: ImageDataset, graph: SimilarityGraph | None) -> PairComposition | None:
    """Return what the batches of a run that ends by steps are made of, where they are to hold related pairs."""
    if graph is None or cfg.max_steps is None:
        return None
    method: Any = find_method(cfg.method)
    settings, known = method.settings_of(cfg), relations(graph)
    alpha, share = settings.graph_alpha, settings.related_share
    share = share_of_batches(known, alpha=alpha, share=share, dataset=dataset.name)
    return PairComposition(known, batch_of_all(cfg), share) if share else None


def _data(cfg: DictConfig, dataset: ImageDataset, module: Any, known: SimilarityGraph | None) -> PairData:
    if module.wants_factors:
        module.use_factors(dataset)
    pair_batch = module.wants_pair_batch
    module.anchor_probe_only = cfg.graph is not None and not pair_batch
    if module.anchor_probe_only and needs_pair_batch(module):
        raise ConfigError(
            f"{cfg.method} mixes up the images of a graph's pairs, which it takes for views of one image",
            f"Set method=gps_{cfg.method}, or graph=none",
        )
    graph = known
    if graph is None and cfg.graph is not None:
        graph = make_graph(cfg.graph, dataset, num_workers=cfg.data.num_workers)
    if graph is not None and not module.wants_relations and not len(graph.positive_rows[1]):
        raise GraphError(
            f"The graph of {dataset.name} has no positive edge: every image would be paired with itself",
            "Look at it by `pal graph inspect`, or set graph=none",
        )
    validation, reason = validation_images(cfg, dataset)
    if reason:
        _say(f"no validation: {reason}")
    share = module.settings.related_share if module.wants_relations else None
    views: dict[str, Any] = {"pair_batch": pair_batch, "extra_views": module.extra_views}
    data = PairData(cfg, dataset, graph, validation, **views, related_share=share)
    if data.relations is not None and share is not None:
        alpha = module.settings.graph_alpha
        data.related_share = share_of_batches(data.relations, alpha=alpha, share=share, dataset=dataset.name)
    return data


def _doubts(cfg: DictConfig, data: PairData, module: Any, world_size: int) -> list[str]:
    if data.graph is None or data.relations is None:
        return []
    return doubts(
        data.graph,
        data.relations,
        alpha=module.settings.graph_alpha,
        share=data.related_share or 0.0,
        batch_size=cfg.optimizer.batch_size * world_size,
    )


def _check_device(cfg: DictConfig) -> None:
    if cfg.accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise DeviceError(
            f"accelerator={cfg.accelerator} was asked for, but PyTorch sees no CUDA device",
            "Use accelerator=cpu, or run `pal doctor` to see what is there",
        )


def _say_what(cfg: DictConfig, data: PairData, folder: Path, resume: Path | None) -> None:
    images = f"{len(data.dataset)} images of {data.dataset.name}"
    pairs = "no graph" if data.graph is None else f"a graph of {data.graph.num_edges} edges"
    if data.graph is not None and data.relations is not None:
        pairs = describe(data.graph, data.relations)
    where = f"into {folder}" + ("" if resume is None else f", going on from epoch {data.cursor[0] + 1}")
    chosen = f"profile {cfg.profile} (or profile=debug|smoke|cpu|paper)"
    _say(f"{chosen}: {cfg.method} on {images}, {pairs}, {cfg.max_epochs} epochs, {where}")


def _say_how(cfg: DictConfig, precision: str, trainer: Trainer) -> None:
    layout = "contiguous" if cfg.performance.disable_channel_last else "channels_last"
    chosen = " (what precision=auto means here)" if cfg.precision == "auto" else ""
    _say(f"{trainer.num_devices} × {trainer.strategy.root_device.type}, {precision}{chosen}, images {layout}")


@rank_zero_only
def _say(line: str) -> None:
    """Say something once, however many processes train."""
    print(f"pal train: {line}", file=sys.stderr, flush=True)


def _final_metrics(trainer: Trainer, data: PairData, logged: Mapping[str, Any], wall: float) -> dict[str, Any]:
    # what is logged by step and epoch stands there three times
    values = {key: float(value) for key, value in sorted(logged.items()) if not key.endswith(("_step", "_epoch"))}
    if not labelled(data.dataset):
        values = {key: value for key, value in values.items() if not key.startswith(OF_LABELS)}
    finite = {key: value if math.isfinite(value) else None for key, value in values.items()}
    graph = {} if data.graph is None else {WITHOUT_EDGES: data.without_edges}
    if data.graph is not None and data.relations is not None:
        graph = figures(data.graph, data.relations)
    # Lightning forgets the epoch of a run that ended by steps, where it is resumed and nothing is left to do
    steps = {"epochs": max(trainer.current_epoch, data.cursor[0]), "steps": trainer.global_step}
    return {**finite, **graph, **steps, "wall_s": round(wall, 2)}
