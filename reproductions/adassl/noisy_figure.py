"""The figure of the runs on noisy pairs: accuracy against noise, and for neighbours by weak priors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproductions.adassl.noisy_cells import ARMS, NOISES, PRIORS, Cell
from reproductions.drawing import GREEN, GREY, RED, drawing, ink, legend_below

STYLES = {"vanilla": (GREY, "o"), "v": (RED, "s"), "s": (GREEN, "^")}
READINGS = {"knn": "k-NN, top-1 in percent", "linear": "linear probe, top-1 in percent"}


def draw(path: Path, profile: str, cells: dict[Cell, list[dict[str, Any]]]) -> None:
    """Draw a panel for each reading: a line a method through the means over noise, then the priors; a mark a seed.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell.
    """
    with drawing(path, f"Noisy pairs on CIFAR-10, profile {profile}: a mark a seed", (10, 4)) as figure:
        axes = figure.subplots(1, 2)
        for axis, (reading, label) in zip(axes, READINGS.items(), strict=True):
            _panel(axis, cells, reading)
            axis.set_ylabel(label, fontsize=9)
        legend_below(figure, axes, columns=4)


def _panel(axis: Any, cells: dict[Cell, list[dict[str, Any]]], reading: str) -> None:
    kinds: tuple[float | str, ...] = (*NOISES, *PRIORS)
    places = {pairs: place + (place >= len(NOISES)) * 0.5 for place, pairs in enumerate(kinds)}
    by_seed = {run["seed"]: run["untrained"][reading]["top1"] for runs in cells.values() for run in runs}
    axis.axhline(sum(by_seed.values()) / len(by_seed), color=ink(), linestyle=":", label="untrained network")
    for shift, (arm, (colour, mark)) in enumerate(STYLES.items()):
        found = {
            pairs: [run["metrics"][reading]["top1"] for run in cells.get(Cell(arm, pairs), [])] for pairs in places
        }
        line = [(places[p], sum(found[p]) / len(found[p])) for p in NOISES if found[p]]
        if line:
            axis.plot(*zip(*line, strict=True), color=colour, linewidth=1.2)
        marks = [(places[p] + (shift - 1) * 0.08, score) for p in places for score in found[p]]
        if marks:
            axis.plot(*zip(*marks, strict=True), mark, color=colour, mfc="white", markersize=5, label=ARMS[arm])
    axis.set_xticks(list(places.values()), [*(f"{p:g}" for p in NOISES), *PRIORS])
    axis.axvline(len(NOISES) - 0.25, color=ink(), linewidth=0.6)
    axis.set_xlabel("noise: how probable a pair of one coarse class only is | neighbours by", fontsize=9)
    axis.tick_params(labelsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
