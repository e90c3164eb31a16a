"""The figure of the numerical runs: what is read of content and style against temperature, with and without a clamp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproductions.adassl.numerical_cells import BETAS, CLAMP, LABELS, Cell
from reproductions.adassl.numerical_runs import Cells, at, mean, untrained, values
from reproductions.drawing import BLUE, GREEN, GREY, OCHRE, RED, TEAL, drawing, ink, legend_below

STYLES = {
    "infonce": (GREY, "o", "-"),
    "aninfonce": (TEAL, "s", "-"),
    "hinfonce": (BLUE, "D", "-"),
    "v": (RED, "P", "-"),
    "v.3": (OCHRE, "v", "-"),
    "s": (GREEN, "^", "-"),
    "gt": ("", "*", "--"),  # in the colour of text
}
ROWS = {"content": "content, R²", "style": "style, R²"}
LOWEST = -0.1  # of the axes: what is below stands at the edge


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a row of panels for content and one for style: in and out of distribution, each with and without a clamp.

    A line a method through the means, a mark a seed, the untrained encoder dotted. Where the clamp cannot bind, the
    runs with it stand in both panels, and a line below says so.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell.
    """
    columns = [(suffix, clamp) for suffix in ("", "_out") for clamp in (CLAMP, None)]
    title = f"AdaSSL on pairs with known factors, profile {profile}: a mark a seed"
    with drawing(path, title, (12, 6)) as figure:
        axes = figure.subplots(2, 4, sharex=True, sharey=True)
        for row, (reading, label) in zip(axes, ROWS.items(), strict=True):
            for axis, (suffix, clamp) in zip(row, columns, strict=True):
                _panel(axis, cells, reading + suffix, clamp)
            row[0].set_ylabel(label, fontsize=9)
        for axis, (suffix, clamp) in zip(axes[0], columns, strict=True):
            where = "out of distribution" if suffix else "in distribution"
            axis.set_title(f"{where}, {'no clamp' if clamp is None else f'logits within ±{clamp:g}'}", fontsize=9)
        for axis in axes[1]:
            axis.set_xlabel("temperature τ", fontsize=9)
        legend_below(figure, axes.flat, columns=8, note=same_runs(cells))


def same_runs(cells: Cells) -> str:
    """Return what says at which temperatures, and of which methods, the runs without a clamp are those with it."""
    temperatures = sorted({cell.temperature for cell in cells})
    kept: dict[tuple[float, ...], list[str]] = {}
    for method, label in LABELS.items():
        copied = tuple(t for t in temperatures if (cell := Cell(method, t, CLAMP)) in cells and not cell.can_bind)
        kept.setdefault(copied, []).append(label)
    told = [
        f"τ {', '.join(f'{temperature:g}' for temperature in copied)} ({'; '.join(labels)})"
        for copied, labels in kept.items()
        if copied
    ]
    if not told:
        return ""
    where = " and ".join(told)
    return f"No logit reaches ±{CLAMP:g} at {where}: what stands there without a clamp is the runs with it."


def _panel(axis: Any, cells: Cells, reading: str, clamp: float | None) -> None:
    before = untrained(cells, reading)
    axis.axhline(sum(before) / len(before), color=ink(), linestyle=":", label="untrained")
    temperatures = sorted({cell.temperature for cell in cells})
    for shift, method in enumerate(BETAS):
        colour, marker, line = STYLES[method]
        colour = colour or ink()
        found = {temperature: at(cells, method, temperature, clamp) for temperature in temperatures}
        found = {temperature: runs for temperature, runs in found.items() if runs}
        # side by side, so that marks of several methods do not hide each other
        places = [temperature * 1.03 ** (shift - 3) for temperature in found]
        means = [max(LOWEST, mean(runs, reading)) for runs in found.values()]
        axis.plot(places, means, line, color=colour, linewidth=1.2)
        if found:
            axis.plot([], [], line, marker=marker, color=colour, markersize=4.5, mfc="white", label=LABELS[method])
        for place, runs in zip(places, found.values(), strict=True):
            scores = [max(LOWEST, score) for score in values(runs, reading)]
            axis.plot([place] * len(scores), scores, marker, color=colour, markersize=4.5, mfc="white", clip_on=False)
    axis.set_xscale("log")
    axis.set_xticks(temperatures, [f"{temperature:g}" for temperature in temperatures])
    axis.set_xticks([], minor=True)
    axis.set_xlim(temperatures[0] / 1.3, temperatures[-1] * 1.3)
    axis.set_ylim(LOWEST, 1)
    axis.tick_params(labelsize=9)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
