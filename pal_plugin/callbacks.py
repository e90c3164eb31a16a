"""What `pal train` adds to Lightning's trainer: checkpoints that survive a kill, and progress in plain lines."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from os import PathLike
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pal_plugin.io import write_torch
from pal_plugin.relations import figures

LAST = "last.ckpt"
WITHOUT_EDGES = "anchors_without_edges"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file and renames it, so that a kill leaves the previous one whole."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | PathLike[str], storage_options: Any | None = None
    ) -> None:
        """Write `checkpoint` to `path`."""
        write_torch(path, checkpoint)


class Checkpoints(Callback):
    """Keeps `last.ckpt` in the run's folder, from which the run can go on exactly.

    Beside Lightning's state it holds what the run is; the cursor: epoch and batch that come next; and what was logged,
    for the metrics of a run that is resumed when there is little or nothing left to log.

    Args:
        folder: the run's folder.
        identity: what a checkpoint has to agree in to be gone on from: `config` (resolved, as plain containers), how
            many `devices`, and the digests of `dataset` and `graph`; and what it goes on with, its `precision`.
        every_n_epochs: how often at the end of an epoch; the last epoch is always kept.
        every_n_steps: how often within an epoch, in batches; None for never.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], *, every_n_epochs: int = 1, every_n_steps: int | None = None
    ) -> None:
        self.path = folder / LAST
        self.identity = identity
        self.every_n_epochs = every_n_epochs
        self.every_n_steps = every_n_steps
        self._cursor = (0, 0)
        self._logged: dict[str, float] = {}

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Save before a batch: only here has the teacher of the previous step been updated."""
        every = self.every_n_steps
        if every and batch_idx and batch_idx % every == 0 and batch_idx % trainer.accumulate_grad_batches == 0:
            self._save(trainer, (trainer.current_epoch, batch_idx))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after every n-th epoch and after the last."""
        done = trainer.current_epoch + 1
        last = done == trainer.max_epochs or 0 < trainer.max_steps <= trainer.global_step  # -1: no limit of steps
        if last or done % self.every_n_epochs == 0:
            self._save(trainer, (done, 0))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add identity, cursor and what was logged."""
        checkpoint.update(self.identity, cursor=self._cursor, logged=self._logged)

    def _save(self, trainer: Trainer, cursor: tuple[int, int]) -> None:
        self._cursor = cursor
        self._logged = {name: float(value) for name, value in trainer.callback_metrics.items()}  # asked on every rank
        trainer.save_checkpoint(self.path, weights_only=False)  # with optimiser and loops


class GraphRefresh(Callback):
    """Builds the graph anew from the network in training, after every n-th epoch but the last.

    It has to come before `Checkpoints`: a checkpoint at the end of an epoch holds the graph of the next.

    Args:
        every_n_epochs: n.
    """

    def __init__(self, every_n_epochs: int) -> None:
        self.every_n_epochs = every_n_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refresh the graph where it is time, and say how much of it changed."""
        done = trainer.current_epoch + 1
        if done % self.every_n_epochs or done == trainer.max_epochs:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        new = data.refresh(pl_module.backbone)
        if trainer.is_global_zero:
            _say(f"graph refreshed after epoch {done}: {100 * new:.0f} % of its {data.graph.num_edges} edges are new")


class GraphFigures(Callback):
    """Gives the loggers, once for every graph, how many anchors are without an edge in it, or are known by it."""

    def __init__(self) -> None:
        self._logged: Any = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the graph of this epoch, unless it is that of the last."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if data.graph is None or data.graph is self._logged:
            return
        self._logged = data.graph
        found = {WITHOUT_EDGES: data.without_edges}
        if data.relations is not None:
            found = figures(data.graph, data.relations)
        for logger in trainer.loggers:
            logger.log_metrics(found, step=trainer.global_step)


class OracleEdges(Callback):
    """Says once, where there are known relations to learn from, that no batch of an epoch held a related pair."""

    def __init__(self) -> None:
        self._said = False

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the mean of `oracle_edges` over the batches of the epoch."""
        edges = trainer.callback_metrics.get("oracle_edges_epoch")  # asked for on every rank
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self._said or edges is None or edges > 0 or not data.relations.num_pairs or not trainer.is_global_zero:
            return
        self._said = True
        _say(
            f"no batch of epoch {trainer.current_epoch + 1} held a pair that is known to be related: the graph adds "
            "nothing to the loss. Raise method_kwargs.related_share, the batch size, or the number of known relations"
        )


class ProgressLines(Callback):
    """Says after a few steps how long the run will take, then a line an interval: for logs and pipes.

    Args:
        bar: a progress bar is shown, so only the estimate is said.
        interval: seconds between lines.
    """

    warm_steps = 3

    def __init__(self, *, bar: bool, interval: float = 30.0) -> None:
        self.bar = bar
        self.interval = interval
        self._begun = self._said = 0.0
        self._first = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._first = trainer.global_step
        self._begun = self._said = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print the estimate once, then a line an interval."""
        if not trainer.is_global_zero:
            return
        now, done, total = time.monotonic(), trainer.global_step, int(trainer.estimated_stepping_batches)
        if done - self._first == 1:  # the first step warms up; time from here
            self._begun = now
            return
        pace = (now - self._begun) / max(done - self._first - 1, 1)
        if done - self._first == self.warm_steps:
            left = duration((total - done) * pace)
            _say(f"about {left} to go: {total - done} steps of {trainer.max_epochs} epochs at {pace:.2f} s a step")
        elif not self.bar and now - self._said >= self.interval:
            self._said = now
            _say(
                f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}, step {done}/{total}, "
                f"loss {_loss(outputs):.3f}, {duration((total - done) * pace)} to go"
            )


def duration(seconds: float) -> str:
    """Return `seconds` as a person would say it: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _loss(outputs: Any) -> float:
    return float(outputs["loss"] if isinstance(outputs, dict) else outputs)


def _say(line: str) -> None:
    print(f"pal train: {line}", file=sys.stderr, flush=True)


def quieten() -> None:
    """Keep Lightning's advice and other people's deprecations out of the run's output."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated")
    warnings.filterwarnings("ignore", message="The number of training batches .* is smaller than the logging interval")
