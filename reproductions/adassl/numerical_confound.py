"""The confound map: temperature and clamp beside the method, and what each does to what is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from reproductions.adassl.numerical_cells import BETAS, CLAMP, LABELS, Cell
from reproductions.adassl.numerical_runs import Cells, at, mean
from reproductions.drawing import drawing, ink

PANELS = {"content": "content, R²", "style": "style, R²"}


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a map a reading: a row a method, a column a temperature with and without a clamp; a number the mean of runs.

    Where the clamp cannot bind, the runs with it stand in both columns, the second time as `= ±20`. What was not run
    says so.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell.
    """
    temperatures = sorted({cell.temperature for cell in cells})
    settings = [(temperature, clamp) for clamp in (CLAMP, None) for temperature in temperatures]
    title = f"Method, temperature and clamp, profile {profile}: mean R² in distribution"
    with drawing(path, title, (max(6.4, 2.2 + 1.05 * len(settings)), 3.9)) as figure:
        for axis, (reading, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            found = [[at(cells, method, *setting) for setting in settings] for method in BETAS]
            scores = [[mean(runs, reading) if runs else float("nan") for runs in row] for row in found]
            axis.imshow(scores, vmin=0, vmax=1, cmap="cividis", aspect="auto", clip_on=False)
            _numbers(axis, scores, settings)
            axis.set_xticks(range(len(settings)), [_named(*setting) for setting in settings], fontsize=8)
            axis.set_yticks(range(len(BETAS)), [LABELS[method] for method in BETAS], fontsize=8)
            axis.set_title(label, fontsize=9, loc="left")
            axis.spines[:].set_visible(False)


def _numbers(axis: Any, scores: list[list[float]], settings: list[tuple[float, float | None]]) -> None:
    for line, (method, row) in enumerate(zip(BETAS, scores, strict=True)):
        for column, (score, setting) in enumerate(zip(row, settings, strict=True)):
            told, colour = "not\nrun", ink()
            if not math.isnan(score):
                cell = Cell(method, *setting)
                same = cell.clamp is None and not cell.can_bind
                told = f"{score:.2f}" + (f"\n= ±{CLAMP:g}" if same else "")
                colour = "black" if score > 0.47 else "white"  # 4.5:1 or more, on this map
            axis.text(column, line, told, ha="center", va="center", fontsize=8, linespacing=1.0, color=colour)


def _named(temperature: float, clamp: float | None) -> str:
    return f"τ {temperature:g}\n{'free' if clamp is None else f'±{clamp:g}'}"
