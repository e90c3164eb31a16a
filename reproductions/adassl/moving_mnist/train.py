"""Training of a world model: a plain loop that goes on from where it was killed, to the same weights."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pal_plugin.data import uniforms
from pal_plugin.data.draws import LATENT
from pal_plugin.errors import LossError
from pal_plugin.io import read_run, write_torch
from reproductions.adassl.moving_mnist.cells import Cell, Sizes
from reproductions.adassl.moving_mnist.generator import Digits, clips, draw
from reproductions.adassl.moving_mnist.network import WorldModel, make_model

INTERVAL_S = 30.0  # between two checkpoints, each with a line of progress


def train(cell: Cell, seed: int, sizes: Sizes, digits: Digits, path: Path) -> tuple[WorldModel, float]:
    """Return the model after `sizes.steps` steps, and the seconds that they took, all parts of the run together.

    Step n trains on the clips of the numbers from n·batch on, and draws r by a generator of its own: methods of one
    seed see the same clips, none twice, and a run that was killed goes on to the same weights (on a GPU, as far as its
    kernels add up in one order).

    Args:
        cell: what is trained.
        seed: of weights, clips and r.
        sizes: how large.
        digits: to train on; the model is trained on their device.
        path: the checkpoint, written now and then and after the last step; where there is one the run goes on from it.

    Raises:
        CheckpointError: the checkpoint is damaged or of another run.
        LossError: a loss or weights that are not finite; the last checkpoint is kept.
    """
    device = digits.images.device
    model = make_model(cell.method, sizes, seed).to(device)
    learnable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learnable, lr=sizes.learning_rate, weight_decay=sizes.weight_decay)
    run = {"cell": cell.name, "seed": seed, **sizes._asdict()}
    first, spent = restore(path, run, model, optimizer)
    told = time.monotonic()
    begun = told - spent
    for step in range(first, sizes.steps):
        optimizer.param_groups[0]["lr"] = sizes.learning_rate * (1 + math.cos(math.pi * step / sizes.steps)) / 2
        numbers = np.arange(step * sizes.batch, (step + 1) * sizes.batch)
        x, y, u = clips(digits, draw(seed, "train", numbers, digits.labels, cell.setting))
        # for tensor cores; what heads and losses need in single precision they keep in it
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss, drawn = model(x, y, u, generator=noise(seed, step, device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.update_teacher()
        done, now = step + 1, time.monotonic()
        if done == sizes.steps or now - told >= INTERVAL_S:
            told = now
            _check(f"{cell.name}, step {done}", loss, model)
            size = drawn.penalty.sum(1).mean().item()
            status = f"{now - begun:.0f} s, loss {loss.item():.4f}, L_reg {size:.3f}"
            print(f"{cell.name}: step {done}/{sizes.steps}, {status}", file=sys.stderr, flush=True)
            state = {"run": run, "step": done, "spent": now - begun}
            write_torch(path, {**state, "model": model.state_dict(), "optimizer": optimizer.state_dict()})
    return model, time.monotonic() - begun if first < sizes.steps else spent


def restore(path: Path, run: dict[str, Any], model: WorldModel, optimizer: torch.optim.Optimizer) -> tuple[int, float]:
    """Put model and optimizer back into a checkpoint's state; return its number of steps and seconds, 0 without one.

    Raises:
        CheckpointError: it is damaged, or of another run.
    """
    state = read_run(path, run)
    if state is None:
        return 0, 0.0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["spent"]


def noise(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Return the source of r's noise in a step."""
    number = uniforms(seed, step, np.zeros(1, np.int64), LATENT, 1)
    return torch.Generator(device).manual_seed(int(number.item() * 2**53))


def _check(where: str, loss: Tensor, model: WorldModel) -> None:
    """Refuse to write a checkpoint that nothing can go on from.

    Raises:
        LossError: the loss or weights are not finite.
    """
    bad = [name for name, parameter in model.named_parameters() if not parameter.isfinite().all()]
    if bad or not loss.isfinite():
        weights = f", and {len(bad)} tensors of weights are not finite, {bad[0]} first" if bad else ""
        raise LossError(
            f"{where}: the loss is {loss.item()}{weights}",
            "The last checkpoint is kept: lower the learning rate in cells.py, and remove it",
        )
