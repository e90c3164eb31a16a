"""Stage `adassl_moving_mnist_table`: one table, one small metrics file and one figure from the Moving-MNIST runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pal_plugin.io import atomic_path, write_json
from reproductions.adassl.moving_mnist.cells import LABELS, NOTES, SETTINGS, Cell, folder, table
from reproductions.adassl.moving_mnist.figure import draw
from reproductions.adassl.moving_mnist.runs import READINGS, Cells, read, untrained, values
from reproductions.markdown import heading, row
from reproductions.reading import Run
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run

Claims = dict[str, list[dict[str, Any]]]
READOUTS = [f"{part}_{name}" for name in ("digit", "position", "velocity_x", "velocity_y", "acceleration")
            for part in ("backbone", "projector")]  # fmt: skip
FUTURES = ["energy", "energy_mean", "energy_unchanged", "energy_law", "readout"]
USE = ["kl", "gates", "loss", "loss_shuffled", "loss_prior", "r_acceleration", "predicted_acceleration"]


def main(profile: str) -> None:
    """Summarise the Moving-MNIST runs of a profile, print the tables, and write them."""
    cells = read(folder(profile))
    text = markdown(profile, cells, load_claims())
    write_json(table(profile, ".json"), summarise(cells))
    with atomic_path(table(profile, ".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(table(profile, ".png"), profile, cells)
    print(f"\n{text}\nwritten to {table(profile, '.md')}, .json, .png")


def load_claims() -> Claims:
    """Return what was known before: `numbers`."""
    claims: Claims = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
    return claims


def summarise(cells: Cells) -> dict[str, Any]:
    """Return mean, deviation and count of every reading that a cell has."""
    found = {cell.name: {name: values(runs, name) for name in READINGS} for cell, runs in cells.items()}
    return {
        "cells": {
            cell: {name: spread(numbers) for name, numbers in readings.items() if numbers}
            for cell, readings in found.items()
        }
    }


def markdown(profile: str, cells: Cells, claims: Claims) -> str:
    """Return all tables in Markdown."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    head = [
        f"### AdaSSL on Moving-MNIST, profile `{profile}`",
        "",
        "A digit moves over 64×64 pixels and changes the velocity of one axis after the third frame. "
        f"{_size(runs[0])}. "
        "Setting A: either axis changes as often; B: the vertical one with probability .1 + .8·digit/9. The posterior "
        "sees frames 7–9. Mean ± standard deviation over seeds, of digits that were not trained on. "
        f"{said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.",
        *(["", NOTES[profile]] if profile in NOTES else []),
    ]
    readouts = [
        "",
        "Linear readouts of frozen embeddings: accuracy of the digit, R² of the rest. Acceleration is read from frames "
        "1–3 and 4–6 side by side, as nothing tells it before it comes.",
        "",
        *_readings(cells, READOUTS),
        *_before(cells),
    ]
    futures = [
        "",
        "#### Sampled futures",
        "",
        "Energy score of the velocity after the change, px a frame, lower is better: E‖F − S‖ − ½·E‖F − F′‖ over 64 "
        "draws F of the prior and 128 futures S of the law. Predictions are scaled to length one and read by a ridge "
        "regression that was fitted on real targets. *Law*: draws of the law itself, the least there is; *v′ = v*: "
        "told the velocity before. BYOL's draws are copies of one; AdaSSL-S has no prior to draw from.",
        "",
        *_readings(cells, FUTURES),
    ]
    use = [
        "",
        "#### Is r used?",
        "",
        "Loss 2 − 2·cos of test clips with r from the posterior, from another clip's and from the prior; R² of the "
        "acceleration from r alone, and from frames 1–3 and their prediction by the posterior's r side by side.",
        "",
        *_readings(cells, USE),
    ]
    parts = [head, readouts, futures, use, *(_numbers(cells, claim) for claim in claims["numbers"])]
    return "\n".join(line for part in parts for line in part) + "\n"


def _size(run: Run) -> str:
    widths = "-".join(str(width) for width in run["widths"])
    return (
        f"{run['steps']:,} steps of {run['batch']} clips, convolutions {widths}, embeddings {run['dim']}, heads "
        f"{run['hidden']}, β {run['beta']:g}, learning rate {run['learning_rate']:g}, EMA {run['momentum']:g}, "
        f"digits: {run['data']}"
    )


def _readings(cells: Cells, names: list[str]) -> list[str]:
    lines = heading(["method", "setting", *(READINGS[name][1] for name in names), "seeds"])
    for cell, runs in cells.items():
        lines.append(row([*_setting(cell), *(_told(values(runs, name)) for name in names), str(len(runs))]))
    return lines


def _before(cells: Cells) -> list[str]:
    """Return rows of the encoder before training; all methods of a seed begin with the same."""
    lines = []
    for setting in SETTINGS:
        by_seed = {run["seed"]: run for cell, runs in cells.items() if cell.setting == setting for run in runs}
        runs = [by_seed[seed] for seed in sorted(by_seed)]
        if runs:
            told = [_told(untrained(runs, name)) for name in READOUTS]
            lines.append(row(["untrained", setting, *told, str(len(runs))]))
    return lines


def _numbers(cells: Cells, claim: dict[str, Any]) -> list[str]:
    lines = [
        "",
        f"#### {claim['text']}",
        "",
        f"From: {claim['provenance']}.",
        "",
        *heading(["method", "setting", "reading", "now", "known before"]),
    ]
    for name, theirs in claim["cells"].items():
        cell = Cell.parse(name)
        for reading, number in theirs.items():
            ours = shown_spread(values(cells.get(cell, []), reading))
            lines.append(row([*_setting(cell), READINGS[reading][1], ours, number]))
    return lines


def _told(numbers: list[float]) -> str:
    return shown_spread(numbers) if numbers else ""


def _setting(cell: Cell) -> list[str]:
    return [LABELS[cell.method], cell.setting]


if __name__ == "__main__":
    run(main, "profile")
