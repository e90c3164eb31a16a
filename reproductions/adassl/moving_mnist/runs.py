"""The Moving-MNIST runs of a profile, and what is asked of them. Light: no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from reproductions.adassl.moving_mnist.cells import Cell, grid
from reproductions.reading import Run, read_runs

Cells: TypeAlias = dict[Cell, list[Run]]

# where each number of a result is, and what it is called
READINGS = {
    "backbone_digit": (("metrics", "backbone", "digit"), "digit, backbone"),
    "projector_digit": (("metrics", "projector", "digit"), "digit, projector"),
    "backbone_position": (("metrics", "backbone", "position"), "position, backbone"),
    "projector_position": (("metrics", "projector", "position"), "position, projector"),
    "backbone_velocity_x": (("metrics", "backbone", "velocity_x"), "velocity x, backbone"),
    "projector_velocity_x": (("metrics", "projector", "velocity_x"), "velocity x, projector"),
    "backbone_velocity_y": (("metrics", "backbone", "velocity_y"), "velocity y, backbone"),
    "projector_velocity_y": (("metrics", "projector", "velocity_y"), "velocity y, projector"),
    "backbone_acceleration": (("metrics", "backbone", "acceleration"), "acceleration of pairs, backbone"),
    "projector_acceleration": (("metrics", "projector", "acceleration"), "acceleration of pairs, projector"),
    "predicted_acceleration": (("metrics", "latent", "predicted"), "acceleration of predictions"),
    "r_acceleration": (("metrics", "latent", "r"), "acceleration of r"),
    "readout": (("metrics", "readout", "velocity"), "velocity after, real targets"),
    "energy": (("metrics", "energy", "prior"), "energy score"),
    "energy_mean": (("metrics", "energy", "mean"), "energy score of the prior's mean"),
    "energy_law": (("metrics", "energy", "law"), "energy score of the law"),
    "energy_unchanged": (("metrics", "energy", "unchanged"), "energy score of v′ = v"),
    "loss": (("loss", "posterior"), "loss, r from the posterior"),
    "loss_shuffled": (("loss", "shuffled"), "loss, r of another clip"),
    "loss_prior": (("loss", "prior"), "loss, r from the prior"),
    "kl": (("monitor", "kl"), "KL, nats"),
    "gates": (("monitor", "expected_l0"), "open gates"),
    "train_s": (("train_s",), "training, s"),
}


def read(folder: Path) -> Cells:
    """Return the runs of each cell, in the order of `grid`, the seeds of a cell in order."""
    cells = read_runs(folder, Cell.parse, lambda run: [_at(run, path) for path, _ in READINGS.values()])
    return {cell: cells[cell] for cell in grid() if cell in cells}


def values(runs: list[Run], reading: str) -> list[float]:
    """Return a reading of each run that has it."""
    found = [_at(run, READINGS[reading][0]) for run in runs]
    return [value for value in found if value is not None]


def by_seed(runs: list[Run], reading: str) -> dict[int, float]:
    """Return a reading of each run that has it, by seed."""
    return {run["seed"]: found[0] for run in runs if (found := values([run], reading))}


def untrained(runs: list[Run], reading: str) -> list[float]:
    """Return a reading of each run's encoder before training; those of `latent`, `energy` and so on have none."""
    path = READINGS[reading][0]
    found = [_at(run, ("untrained", *path[1:])) if path[0] == "metrics" else None for run in runs]
    return [value for value in found if value is not None]


def _at(run: Run, path: tuple[str, ...]) -> float | None:
    found: Any = run
    for key in path:
        found = found.get(key, {})
    return float(found) if found != {} else None
