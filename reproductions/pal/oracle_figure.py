"""The figure of the oracle runs: known pairs and accuracy against clicks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from reproductions.drawing import BLUE, GREY, ORANGE, drawing, ink, legend_below
from reproductions.pal.oracle_cells import OracleCell

Cells = dict[OracleCell, list[dict[str, Any]]]
STYLES = {"random": (GREY, "o"), "active": (BLUE, "s"), "merging": (ORANGE, "^")}
NAMES = {"random": "passive: random pairs", "active": "active: the authors'", "merging": "component-merging"}
PANELS = {
    "related": "pairs known to be related",
    "related_purity": "… share of them that truly are",
    "accuracy": "k-NN, top-1 in percent",
}


def draw(path: Path, profile: str, cells: Cells, without: list[float]) -> None:
    """Draw known pairs, how many of them are right, and accuracy, against clicks.

    A line a cell, through the means of its rounds, and a mark a seed; dashed where some answers are wrong. What learnt
    from no relation is dotted.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell.
        without: accuracies without relations, one a seed.
    """
    data = next(iter(cells.values()))[0]["data"]
    with drawing(path, f"An oracle on {data}, profile {profile}: a mark a seed", (10.2, 3.6)) as figure:
        axes = figure.subplots(1, len(PANELS))
        for axis, (key, title) in zip(axes, PANELS.items(), strict=True):
            for cell, runs in cells.items():
                _line(axis, cell, runs, key)
            axis.set_title(title, fontsize=9, loc="left")
            axis.set_xlabel("clicks", fontsize=9)
            axis.set_xlim(0, 1.05 * axis.dataLim.xmax)
            axis.tick_params(labelsize=9)
            axis.spines[["top", "right"]].set_visible(False)
        if _magnitudes(cells) > 1:
            axes[0].set_yscale("log")
            axes[0].yaxis.set_major_formatter("{x:,g}")  # powers of ten would be too small to read
        else:
            axes[0].set_ylim(0, 1.05 * axes[0].dataLim.ymax)
        axes[1].set_ylim(0, 1.05)
        if without:
            axes[2].axhline(sum(without) / len(without), color=ink(), linestyle=":", label="without relations")
        legend_below(figure, axes, columns=4)


def _magnitudes(cells: Cells) -> float:
    """Return over how many powers of ten the numbers of known pairs go."""
    known = [row["related"] for runs in cells.values() for run in runs for row in run["curve"] if row["related"]]
    return math.log10(max(known) / min(known)) if known else 0.0


def _line(axis: Any, cell: OracleCell, runs: list[dict[str, Any]], key: str) -> None:
    """Draw the rounds of a cell that have a figure `key`."""
    curves = [[row for row in run["curve"] if row["questions"] and row[key] is not None] for run in runs]
    rounds = list(zip(*curves, strict=False))  # as far as every seed has got
    if not rounds:
        return
    (colour, mark), wrong = STYLES[cell.strategy], f", {100 * cell.noise:g} % wrong" if cell.noise else ""
    means = [[sum(row[name] for row in rows) / len(rows) for name in ("clicks", key)] for rows in rounds]
    style = {"color": colour, "linestyle": "--" if cell.noise else "-", "linewidth": 1.2}
    axis.plot(*zip(*means, strict=True), **style)
    axis.plot([], [], **style, marker=mark, markersize=4, mfc="white", label=f"{NAMES[cell.strategy]}{wrong}")
    for rows in rounds:
        marks = [row["clicks"] for row in rows], [row[key] for row in rows]
        axis.plot(*marks, mark, color=colour, markersize=4, mfc="white")
