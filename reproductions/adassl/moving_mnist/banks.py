"""The clips that models are read on, and what a model makes of them. All runs of a setting are read on the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pal_plugin.losses.adassl import log_values, traverse
from reproductions.adassl.moving_mnist.cells import Sizes
from reproductions.adassl.moving_mnist.generator import Digits, Numbers, Scenes, clips, draw
from reproductions.adassl.moving_mnist.network import WorldModel

SEED = 0  # of all that is read
BULK = 256  # clips embedded at once


class Clips:
    """The clips of one setting that models are read on.

    Attributes:
        scenes: by purpose: `fit` readouts on, `choose` their penalty by, `test` them on, and `queries`, sources whose
            futures are predicted. Digits of the last two are the test split's.

    Args:
        digits: by `generator.load_digits`.
        setting: A or B.
        sizes: how many clips of each.
    """

    def __init__(self, digits: dict[str, Digits], setting: str, sizes: Sizes) -> None:
        self._digits, self._setting = digits, setting
        counts = {"fit": sizes.fit, "choose": sizes.choose, "test": sizes.test, "queries": sizes.queries}
        self.scenes = {purpose: self.draw(purpose, np.arange(count)) for purpose, count in counts.items()}

    def draw(self, purpose: str, numbers: Numbers, futures: int = 0) -> Scenes:
        """Return scenes of a purpose; see `generator.draw`."""
        return draw(SEED, purpose, numbers, self.digits(purpose).labels, self._setting, futures)

    def digits(self, purpose: str) -> Digits:
        """Return the digits that a purpose may see."""
        return self._digits[{"fit": "train", "choose": "choose"}.get(purpose, "test")]


class Bank(NamedTuple):
    """Clips as a model sees them, in evaluation mode; on the CPU, single precision.

    Attributes:
        scenes: what they were made from.
        backbone_x: (B, 3·W).
        backbone_y: (B, 3·W).
        x: (B, D), the projector's.
        y: (B, D).
        u: (B, D).
        target: (B, D), the teacher's of y.
    """

    scenes: Scenes
    backbone_x: Tensor
    backbone_y: Tensor
    x: Tensor
    y: Tensor
    u: Tensor
    target: Tensor


class Drawn(NamedTuple):
    """Predictions with r from the posterior.

    Attributes:
        predicted: (B, D).
        r: (B, d_r).
        monitor: what `log_values` says of the draw.
    """

    predicted: Tensor
    r: Tensor
    monitor: dict[str, float]


@torch.no_grad()
def embed(model: WorldModel, digits: Digits, scenes: Scenes) -> Bank:
    """Return clips as the model sees them."""
    model.eval()
    parts: list[tuple[Tensor, ...]] = []
    for start in range(0, len(scenes.label), BULK):
        x, y, u = clips(digits, scenes.take(slice(start, start + BULK)))
        of_x, of_y = model.encoder.embed(x), model.encoder.embed(y)
        seen = (of_x.backbone, of_y.backbone, of_x.projector, of_y.projector, model.encoder(u), model.teacher(y))
        parts.append(tuple(rows.cpu() for rows in seen))
    return Bank(scenes, *(torch.cat(rows) for rows in zip(*parts, strict=True)))


@torch.no_grad()
def by_posterior(model: WorldModel, bank: Bank) -> Drawn:
    """Return the model's predictions of a bank with r from the posterior, the same at every call."""
    model.eval()
    device = device_of(model)
    predicted, drawn = model.predict(bank.x.to(device), bank.u.to(device), generator(device))
    monitor = {name: round(float(value), 4) for name, value in log_values(drawn.statistics).items()}
    return Drawn(predicted.cpu(), drawn.r.cpu(), monitor)


@torch.no_grad()
def by_prior(model: WorldModel, x: Tensor, draws: int) -> Tensor:
    """Return predictions (draws, B, D) from embeddings (B, D) of x, r from the prior; the same at every call."""
    model.eval()
    device = device_of(model)
    return model.sample(x.to(device), draws, generator(device)).cpu()


@torch.no_grad()
def at_mean(model: WorldModel, x: Tensor) -> Tensor:
    """Return predictions (1, B, D) from embeddings (B, D) of x, r the prior's mean."""
    if model.adassl.variant == "vanilla":
        return by_prior(model, x, 1)
    model.eval()
    return model.predict_edited(traverse(model.adassl, x.to(device_of(model)), 0, torch.zeros(1))).cpu()


@torch.no_grad()
def edited_by(model: WorldModel, x: Tensor, r: Tensor) -> Tensor:
    """Return predictions (B, D) from embeddings (B, D) of x by given r (B, d_r)."""
    model.eval()
    device = device_of(model)
    predicted: Tensor = model.predictor(model.adassl.editor(x.to(device), r.to(device)))
    return predicted.cpu()


def device_of(model: WorldModel) -> torch.device:
    """Return where a model is."""
    return next(model.parameters()).device


def generator(device: torch.device) -> torch.Generator:
    """Return the source of all draws of r that are read."""
    return torch.Generator(device).manual_seed(SEED)
