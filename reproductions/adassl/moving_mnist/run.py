"""Stage `adassl_moving_mnist`: one method learns from clips of a moving digit, and is read."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from PIL import Image

from pal_plugin.errors import ConfigError
from pal_plugin.io import atomic_path, write_json
from reproductions.adassl.moving_mnist.banks import Clips
from reproductions.adassl.moving_mnist.cells import PROFILES, Cell, checkpoint, result
from reproductions.adassl.moving_mnist.evaluate import banks, predictions, readings
from reproductions.adassl.moving_mnist.generator import Digits, clips, cut, draw, load_digits
from reproductions.adassl.moving_mnist.network import WorldModel, make_model
from reproductions.adassl.moving_mnist.pictures import futures
from reproductions.adassl.moving_mnist.train import train
from reproductions.adassl.names import PAPER
from reproductions.provenance import provenance
from reproductions.stage import run

TIMED = 20  # batches


def main(profile: str, cell: str, seed: int) -> None:
    """Train one cell with one seed, on a GPU where there is one, read it, and draw futures that it predicts."""
    setting = parse(profile, cell)
    sizes, path = PROFILES[profile], checkpoint(profile, setting, seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    begun = time.monotonic()
    digits = load_digits(sizes.data, device)
    model, spent = train(setting, seed, sizes, digits["train"], path)
    of = Clips(digits, setting.setting, sizes)
    content = {
        "paper": PAPER,
        "profile": profile,
        **setting._asdict(),
        "seed": seed,
        **sizes._asdict(),
        **read(model, of),
        "untrained": readings(banks(make_model(setting.method, sizes, seed).to(device), of)),
        "cut": [round(float(share), 5) for share in cut(of.scenes["test"]).mean(axis=0)],
        "clips_per_s": speed(digits["train"], setting.setting, sizes.batch),
        "train_s": round(spent, 1),
        "wall_s": round(time.monotonic() - begun, 1),
        **provenance(),
    }
    with atomic_path(result(profile, setting, seed, ".png")) as temporary:
        Image.fromarray(futures(model, of)).save(temporary, format="png")
    write_json(result(profile, setting, seed), content)
    path.unlink()  # another run is to begin anew


def read(model: WorldModel, of: Clips) -> dict[str, Any]:
    """Return what is read of a trained model: `metrics`, and how r is used as `loss` and `monitor`."""
    found = banks(model, of)
    scores = predictions(model, found, of)
    use = {name: scores.pop(name) for name in ("loss", "monitor")}
    return {"metrics": {**readings(found), **scores}, **use}


def speed(digits: Digits, setting: str, batch: int) -> int:
    """Return how many clips are made a second, x, y and u of each, in batches as in training."""
    begun = time.monotonic()
    for number in range(TIMED):
        numbers = np.arange(number * batch, (number + 1) * batch)
        made = clips(digits, draw(0, "train", numbers, digits.labels, setting))
    made[0].sum().item()  # a GPU is waited for
    return round(TIMED * batch / (time.monotonic() - begun))


def parse(profile: str, cell: str) -> Cell:
    """Return the cell called `cell`.

    Raises:
        ConfigError: there is no such cell or profile.
    """
    try:
        if profile not in PROFILES:
            raise ValueError(f"no profile {profile!r}")
        return Cell.parse(cell)
    except ValueError as error:
        raise ConfigError(
            f"There is no cell {cell!r} of profile {profile!r}: {error}",
            f"Pass --profile {' | '.join(PROFILES)} and --cell METHOD-SETTING, for example v-A",
        ) from error


if __name__ == "__main__":
    run(main, "profile", "cell", "seed", trains=True)
