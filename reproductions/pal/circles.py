"""Stage `pal_circles`: one of the authors' five experiments on circles, under their protocol and a clean one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from pal_plugin.errors import ConfigError
from pal_plugin.io import write_json
from pal_plugin.progress import progress
from reproductions.pal.circles_names import EXPERIMENTS, result
from reproductions.pal.experiments import (
    COUNTS,
    MISSING,
    QUERIES,
    REDRAWN,
    Curves,
    active,
    contrastive,
    interpolation,
    missing,
    noise,
)
from reproductions.pal.names import PAPER
from reproductions.pal.toy import PROTOCOLS, Protocol
from reproductions.provenance import provenance
from reproductions.stage import run

SEED = 0
PUBLISHED = {"active": 100, "contrastive": 100, "interpolation": 10, "missing": 100, "noise": 100}  # the notebooks'
TRIALS: dict[str, dict[str, int]] = {
    "debug": dict.fromkeys(EXPERIMENTS, 1),
    "smoke": {"active": 12, "contrastive": 12, "interpolation": 3, "missing": 50, "noise": 30},
    "cpu": PUBLISHED,
    "paper": PUBLISHED,
}

Trial = Callable[[np.random.Generator, Protocol], Curves]
TRIAL: dict[str, tuple[Trial, npt.NDArray[Any]]] = {
    "active": (active, QUERIES),
    "contrastive": (contrastive, QUERIES),
    "interpolation": (interpolation, COUNTS),
    "missing": (missing, MISSING),
    "noise": (noise, REDRAWN),
}


def main(profile: str, experiment: str) -> None:
    """Run the trials of one experiment under both protocols, and write its curves."""
    if profile not in TRIALS or experiment not in EXPERIMENTS:
        raise ConfigError(
            f"There is no experiment {experiment!r} of profile {profile!r}",
            f"Pass --experiment {' | '.join(EXPERIMENTS)} and --profile {' | '.join(TRIALS)}",
        )
    begun = time.monotonic()
    count = TRIALS[profile][experiment]
    with threadpool_limits(1):  # many threads make matrices of this size slower by far
        runs = {protocol.name: trials(experiment, count, protocol) for protocol in PROTOCOLS}
    content = {
        "paper": PAPER,
        "profile": profile,
        "experiment": experiment,
        "seed": SEED,
        "trials": count,
        "runs": len(next(iter(runs["authors"].values()))),
        "x": np.round(TRIAL[experiment][1], 4).tolist(),
        "protocols": {name: {curve: spread(found) for curve, found in of.items()} for name, of in runs.items()},
        "wall_s": round(time.monotonic() - begun, 1),
        **provenance(gpu=False),
    }
    write_json(result(profile, experiment), content)


def trials(experiment: str, count: int, protocol: Protocol) -> Curves:
    """Return the curves of `count` trials under a protocol, (runs, points); both protocols see the same points."""
    trial, _ = TRIAL[experiment]
    numbers = progress(range(count), f"{experiment}, {protocol.name} protocol")
    curves = [trial(np.random.default_rng([SEED, number]), protocol) for number in numbers]
    return {name: np.concatenate([of_trial[name] for of_trial in curves]) for name in curves[0]}


def spread(runs: npt.NDArray[np.float64]) -> dict[str, list[float]]:
    """Return mean and standard deviation (population, as the authors have it) over runs (runs, points)."""
    return {"mean": np.round(runs.mean(axis=0), 4).tolist(), "std": np.round(runs.std(axis=0), 4).tolist()}


if __name__ == "__main__":
    run(main, "profile", "experiment")
