"""What a world model knows: linear readouts of frozen embeddings, the use of r, and the futures that it draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from sklearn.pipeline import Pipeline
from torch import Tensor

from pal_plugin.evaluation import linear_probe
from reproductions.adassl.moving_mnist.banks import Bank, Clips, at_mean, by_posterior, by_prior, edited_by, embed
from reproductions.adassl.moving_mnist.generator import Scenes
from reproductions.adassl.moving_mnist.network import WorldModel
from reproductions.adassl.moving_mnist.readouts import energy_score, fitted, r2, unit
from reproductions.adassl.readouts import Rows, Sample

FORECASTS, TRUTHS = 64, 128  # futures of a query, drawn by the model and by the law
PARTS = ("fit", "choose", "test")
Scores = dict[str, Any]


def banks(model: WorldModel, clips: Clips) -> list[Bank]:
    """Return the clips to fit on, choose by and test on, as the model sees them."""
    return [embed(model, clips.digits(part), clips.scenes[part]) for part in PARTS]


def readings(found: list[Bank]) -> dict[str, Scores]:
    """Return what linear readouts find in `backbone` and `projector`.

    `digit` (accuracy, a share), `position` (R² of the centre in frame 1) and `velocity_x`, `velocity_y` (R², before the
    change) are read from x. `acceleration` (R² of v′ − v, the mean of both axes) is read from x and y side by side:
    from x alone it cannot be known, whatever the embedding.
    """
    views: dict[str, Callable[[Bank], tuple[Tensor, Tensor]]] = {
        "backbone": lambda bank: (bank.backbone_x, bank.backbone_y),
        "projector": lambda bank: (bank.x, bank.y),
    }
    scores: dict[str, Scores] = {}
    for name, view in views.items():
        x, pairs = [view(bank)[0].numpy() for bank in found], [beside(*view(bank)) for bank in found]
        labels = [bank.scenes.label for bank in found]
        velocity = _r2(found, x, lambda scenes: scenes.velocity)
        scores[name] = {
            "digit": round(linear_probe(x[0], labels[0], x[2], labels[2])["top1"] / 100, 4),
            "position": round(float(_r2(found, x, lambda scenes: scenes.centre).mean()), 4),
            "velocity_x": round(float(velocity[0]), 4),
            "velocity_y": round(float(velocity[1]), 4),
            "acceleration": _acceleration(found, pairs),
        }
    return scores


def predictions(model: WorldModel, found: list[Bank], clips: Clips) -> dict[str, Scores]:
    """Return what becomes of r, and how good the futures are.

    `latent`: R² of the acceleration, read from `r` by the posterior, and from x and the prediction by that r side by
    side (`predicted`): what of the change r carries, and what of it reaches the prediction. `loss`: 2 − 2·cos of test
    clips, r from the posterior, another clip's posterior and the prior. `energy`: see `energies`; `readout`: R² of the
    velocity after the change of real targets, by the readout that predictions are read by. `monitor`: KL or open gates.
    """
    drawn = [by_posterior(model, bank) for bank in found]
    latent = {
        "predicted": _acceleration(
            found, [beside(bank.x, one.predicted) for bank, one in zip(found, drawn, strict=True)]
        )
    }
    if model.has_posterior:
        latent["r"] = _acceleration(found, [one.r.numpy() for one in drawn])
    targets = [Sample(unit(bank.target.numpy()), bank.scenes.after) for bank in found]
    readout = fitted(targets[0], targets[1])
    return {
        "latent": latent,
        "loss": _losses(model, found[2], drawn[2].predicted, drawn[2].r),
        "energy": energies(model, readout, clips),
        "readout": {"velocity": round(float(r2(*targets).mean()), 4)},
        "monitor": drawn[2].monitor,
    }


def energies(model: WorldModel, readout: Pipeline, clips: Clips) -> Scores:
    """Return mean energy scores of the velocity after the change, px a frame; predictions are read by `readout`.

    `prior`: `FORECASTS` draws of the prior. `mean`: one prediction, r the prior's mean. For comparison `law`, as many
    draws of the true law, which no forecast is better than; and `unchanged`, the true velocity before the change. A
    model without a prior has the latter two alone.
    """
    scenes = clips.scenes["queries"]
    numbers = np.arange(len(scenes.label))
    futures = np.stack([clips.draw("queries", numbers, 1 + copy).after for copy in range(FORECASTS + TRUTHS)])
    forecasts = {"law": futures[:FORECASTS], "unchanged": scenes.velocity[None]}
    if model.adassl.latent.has_prior:
        x = embed(model, clips.digits("queries"), scenes).x
        forecasts["prior"] = decoded(readout, by_prior(model, x, FORECASTS))
        forecasts["mean"] = decoded(readout, at_mean(model, x))
    truths = futures[FORECASTS:]
    return {name: round(float(energy_score(drawn, truths).mean()), 4) for name, drawn in forecasts.items()}


def decoded(readout: Pipeline, predicted: Tensor) -> npt.NDArray[np.float64]:
    """Return what a readout of embeddings of length one says of predictions (n, B, D), (n, B, F).

    The loss compares directions: the length of a prediction is nobody's choice, and a readout of rows as they are
    would read it all the same.
    """
    rows = np.asarray(readout.predict(unit(predicted.flatten(0, 1).numpy())), np.float64)
    return rows.reshape(*predicted.shape[:2], -1)


def beside(x: Tensor, other: Tensor) -> Rows:
    """Return [x; other], (B, 2·D), each part of length one row by row."""
    return np.concatenate([unit(x.numpy()), unit(other.numpy())], axis=1)


def _losses(model: WorldModel, bank: Bank, predicted: Tensor, r: Tensor) -> Scores:
    """Return the loss of predictions with r from the posterior, and from elsewhere where there is an r."""
    found = {"posterior": predicted}
    if model.has_posterior:
        found["shuffled"] = edited_by(model, bank.x, r.roll(1, 0))
    if model.adassl.latent.has_prior:
        found["prior"] = by_prior(model, bank.x, 1)[0]
    return {
        name: round(float(2 - 2 * F.cosine_similarity(rows, bank.target).mean()), 4) for name, rows in found.items()
    }


def _r2(found: list[Bank], rows: list[Rows], factors: Callable[[Scenes], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    fit, choose, test = (Sample(part, factors(bank.scenes)) for bank, part in zip(found, rows, strict=True))
    return r2(fit, choose, test)


def _acceleration(found: list[Bank], rows: list[Rows]) -> float:
    return round(float(_r2(found, rows, lambda scenes: scenes.acceleration).mean()), 4)
