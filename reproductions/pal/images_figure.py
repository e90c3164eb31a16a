"""The figure of the image runs: accuracy against known relations, α, and noise in the oracle's answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproductions.drawing import BLUE, BROWN, GREEN, ORANGE, PURPLE, drawing, legend_below
from reproductions.pal.images_cells import Cell

Cells = dict[Cell, list[dict[str, Any]]]
READINGS = {"knn": "k-NN", "linear": "linear probe"}
STYLES = {
    "simclr": (ORANGE, "o"),
    "byol": (BLUE, "s"),
    "vicreg": (GREEN, "^"),
    "barlow_twins": (PURPLE, "D"),
    "spectral": (BROWN, "v"),
}
LABELS = {
    "relations": "relations known, of all pairs",
    "alpha": "α, their share in the graph",
    "noise": "wrong labels, of those told",
}


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a row of panels a reading: what each of relations, α and noise does while the other two stay.

    A line a method through the means, a mark a seed, its untrained network dotted. The panel of relations begins with
    the plain method. What was not varied has no panel.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        cells: the runs of each cell.
    """
    shown = _shown(cells)
    data = next(iter(cells.values()))[0]["data"]
    size = (3.2 * len(shown) + 0.6, 5.4)
    with drawing(path, f"PAL on {data}, profile {profile}: a mark a seed", size) as figure:
        axes = figure.subplots(2, len(shown), sharey="row", squeeze=False)
        for row, (reading, title) in zip(axes, READINGS.items(), strict=True):
            begun = untrained(cells, reading)
            for axis, (key, lines) in zip(row, shown.items(), strict=True):
                for method, of_method in lines.items():
                    level = sum(begun[method]) / len(begun[method])
                    axis.axhline(level, color=STYLES[method][0], linestyle=":", label=f"{method}, untrained")
                    _line(axis, [(float(getattr(cell, key)), cells[cell]) for cell in of_method], reading, method)
                _axis(axis, key)
            row[0].set_ylabel(f"{title}, top-1 in percent", fontsize=9)
        legend_below(figure, axes[0], columns=4)


def varied(cells: Cells) -> list[str]:
    """Return what the panels are of, in words."""
    return [LABELS[key].partition(",")[0] for key in _shown(cells)]


def untrained(cells: Cells, reading: str) -> dict[str, list[float]]:
    """Return by method the network's accuracies before training, one a seed: each method draws weights of its own."""
    found: dict[str, dict[int, float]] = {}
    for cell, runs in cells.items():
        found.setdefault(cell.method, {}).update({run["seed"]: run["untrained"][reading]["top1"] for run in runs})
    return {method: list(by_seed.values()) for method, by_seed in found.items()}


def _shown(cells: Cells) -> dict[str, dict[str, list[Cell]]]:
    """Return the panels: by what is varied, the cells of each method."""
    shown = {key: found for key in LABELS if (found := _lines(key, cells))}
    return shown or {"relations": {cell.method: [cell] for cell in cells}}  # nothing was varied


def _lines(key: str, cells: Cells) -> dict[str, list[Cell]]:
    """Return the cells of each method that differ in `key` alone, in its order; methods with one value are left out."""
    lines = {}
    for method in sorted({cell.method for cell in cells}):
        usual = _usual(cells, method)
        alike = [cell for cell in cells if cell.method == method and _varies(cell, usual, key)]
        if len({getattr(cell, key) for cell in alike}) > 1:
            lines[method] = sorted(alike, key=lambda cell: float(getattr(cell, key)))
    return lines


def _varies(cell: Cell, usual: Cell, key: str) -> bool:
    """Return whether a cell is the usual one but for `key`; without relations α and noise say nothing."""
    if key == "relations" and cell.relations == 0:
        return True
    return all(getattr(cell, other) == getattr(usual, other) for other in LABELS if other != key)


def _usual(cells: Cells, method: str) -> Cell:
    """Return the cell that the others vary: most of the method's cells share each of its values."""
    graphs = [cell for cell in cells if cell.method == method and cell.relations] or [Cell(method, 0, 0, 0)]
    alphas = [cell.alpha for cell in graphs if cell.alpha] or [0.0]
    columns = [[cell.relations for cell in graphs], alphas, [cell.noise for cell in graphs]]
    return Cell(method, *(max(sorted(set(column)), key=column.count) for column in columns))


def _line(axis: Any, points: list[tuple[float, list[dict[str, Any]]]], reading: str, method: str) -> None:
    """Draw the runs at each position, and a line through their means."""
    colour, marker = STYLES[method]
    scores = [(position, [run["metrics"][reading]["top1"] for run in runs]) for position, runs in points]
    means = [sum(of_cell) / len(of_cell) for _, of_cell in scores]
    axis.plot([position for position, _ in scores], means, color=colour, linewidth=1.2, label=f"pal_{method}")
    for position, of_cell in scores:
        axis.plot([position] * len(of_cell), of_cell, marker, color=colour, markersize=5, mfc="white")


def _axis(axis: Any, key: str) -> None:
    if key == "relations":
        axis.set_xscale("symlog", linthresh=1e-3)
        axis.set_xticks([0, 1e-3, 1e-2, 1e-1, 1], ["none", ".1 %", "1 %", "10 %", "100 %"])
    axis.set_xlabel(LABELS[key], fontsize=9)
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
