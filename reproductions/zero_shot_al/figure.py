"""The figure of the table: accuracy, class frequencies and the time to choose, against budget."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproductions.drawing import BLUE, GREEN, GREY, OCHRE, PINK, PURPLE, RED, TEAL, drawing, ink, legend_below
from reproductions.zero_shot_al.names import ARMS, NONE, Cell
from reproductions.zero_shot_al.runs import Cells, budgets, values

# the shape of a mark tells them apart where colours do not
STYLES = {
    "random": (GREY, "o"),
    "coreset": ("", "X"),  # in the colour of text
    "kcenter": (RED, "s"),
    "kcenter_random": (OCHRE, "v"),
    "kcenter_cosine": (OCHRE, "<"),
    "kcenter_trimmed": (OCHRE, ">"),
    "kcenter_balanced": (PINK, "P"),
    "kmedoids": (TEAL, "D"),
    "typiclust": (BLUE, "^"),
    "probcover": (GREEN, "p"),
    "facility": (PURPLE, "*"),
}
READINGS = {
    "top1": "top-1 in percent",
    "kl_to_uniform": "KL of classes from equal, nats",
    "select_s": "seconds to choose",
}


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a row of three panels for each kind of features: a line a way to choose through the means, a mark a seed.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell; those without features stand in every row.
    """
    kinds = list(dict.fromkeys(cell.features for cell in cells if cell.features != NONE)) or [NONE]
    data = next(iter(cells.values()))[0]["data"]
    title = f"Which images to label, {data}, profile {profile}: a mark a seed"
    with drawing(path, title, (11, 2.9 * len(kinds) + 0.9)) as figure:
        axes = figure.subplots(len(kinds), 3, squeeze=False)
        for line, features in zip(axes, kinds, strict=True):
            shown = {cell: runs for cell, runs in cells.items() if cell.features in (NONE, features)}
            for axis, (reading, label) in zip(line, READINGS.items(), strict=True):
                _panel(axis, shown, reading, label)
            line[0].set_title(f"features: {features}", fontsize=9, loc="left")
        legend_below(figure, axes[:, 0], columns=4)


def _panel(axis: Any, cells: Cells, reading: str, label: str) -> None:
    wanted = budgets(cells)
    for cell, runs in cells.items():
        _line(axis, cell, {budget: values(runs, budget, reading) for budget in wanted})
    axis.set_xscale("log")
    axis.set_xticks(wanted, [f"{budget:,}" for budget in wanted])
    axis.minorticks_off()
    if reading == "select_s":
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")  # powers of ten would be too small to read
    axis.set_xlabel("labels", fontsize=9)
    axis.set_ylabel(label, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def _line(axis: Any, cell: Cell, scores: dict[int, list[float]]) -> None:
    colour, mark = STYLES[cell.arm]
    colour = colour or ink()
    means = [(budget, sum(found) / len(found)) for budget, found in scores.items() if found]
    if not means:
        return
    axis.plot(*zip(*means, strict=True), color=colour, linewidth=1.2)
    marks = [(budget, score) for budget, found in scores.items() for score in found]
    axis.plot(*zip(*marks, strict=True), mark, color=colour, mfc="white", markersize=5, label=ARMS[cell.arm].label)
