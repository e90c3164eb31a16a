"""The figure of training curves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TypeAlias

from reproductions.drawing import drawing, legend_below
from reproductions.gps_ssl.figure import COLOURS

LINES = ("-", "--", ":", "-.")  # of seeds

Curves: TypeAlias = dict[str, dict[str, list[tuple[int, float]]]]


def read(source: Path) -> Curves:
    """Return (step, loss) of each run of each panel, a method and augmentation.

    Args:
        source: a CSV with columns `run`, `step`, `loss`; a run is called METHOD-AUGMENTATION-ARM-SEED.
    """
    curves: Curves = {}
    with source.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            method, augmentation, arm, seed = row["run"].split("-")
            of_panel = curves.setdefault(f"{method}, {augmentation}", {})
            of_panel.setdefault(f"{arm} {seed}", []).append((int(row["step"]), float(row["loss"])))
    return curves


def draw(path: Path, profile: str, curves: Curves) -> None:
    """Draw the loss of every run against its steps, a panel a method and augmentation, a colour an arm, a line a seed.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        curves: what `read` returned, of at least one run.
    """
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    size = (max(5.2, 3.6 * columns), 2.6 * rows + 0.7)
    with drawing(path, f"Loss against steps, profile {profile}: a colour an arm, a line a seed", size) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (panel, runs) in zip(axes, curves.items(), strict=False):
            for run, points in runs.items():
                arm, seed = run.split()
                steps, losses = zip(*points, strict=True)
                line = LINES[int(seed) % len(LINES)]
                axis.plot(steps, losses, line, color=COLOURS[arm], linewidth=1.2, label=f"{arm}, seed {seed}")
            axis.set_title(panel, fontsize=9, loc="left")
            axis.set_xlabel("step", fontsize=9)
            axis.set_ylabel("loss", fontsize=9)
            axis.tick_params(labelsize=8)
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes[len(curves) :]:
            axis.set_axis_off()
        legend_below(figure, axes, columns=4)
