"""The figure of the image runs: accuracy against known relations, α, and noise in the oracle's answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path
from reproductions.pal.images_cells import Cell

Cells = dict[Cell, list[dict[str, Any]]]
READINGS = {"knn": "k-NN", "linear": "linear probe"}
STYLES = (("#d1793a", "o"), ("#5b7db1", "s"), ("#4f9d69", "^"), ("#8e6bb0", "D"), ("#9aa0a6", "v"))


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a row of panels a reading: what each of relations, α and noise does while the other two stay.

    A line a method through the means, a mark a seed. The panel of relations begins with the plain method.

    Args:
        path: the PNG to write.
        profile: named in the title.
        cells: the runs of each cell.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    sweeps: dict[str, Callable[[Cell, Cell], bool]] = {
        "relations": lambda cell, usual: (cell.alpha, cell.noise) == usual[2:] or cell.relations == 0,
        "alpha": lambda cell, usual: (cell.relations, cell.noise) == (usual.relations, usual.noise),
        "noise": lambda cell, usual: (cell.relations, cell.alpha) == (usual.relations, usual.alpha),
    }
    methods = sorted({cell.method for cell in cells})
    figure, axes = plt.subplots(2, 3, figsize=(9.6, 5.4), sharey="row", layout="constrained")
    for row, (reading, title) in zip(axes, READINGS.items(), strict=True):
        for axis, (key, chosen) in zip(row, sweeps.items(), strict=True):
            for method, (colour, marker) in zip(methods, STYLES, strict=False):
                usual = _usual(cells, method)
                shown = [cell for cell in cells if cell.method == method and chosen(cell, usual)]
                _line(axis, key, shown, cells, reading, f"pal_{method}", colour, marker)
            _axis(axis, key)
        row[0].set_ylabel(f"{title}, top-1 in percent", fontsize=9)
    axes[0, 0].legend(fontsize=8, frameon=False)
    data = next(iter(cells.values()))[0]["data"]
    figure.suptitle(f"PAL on {data}, profile {profile}: a mark a seed", fontsize=10, x=0.01, ha="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)


def _usual(cells: Cells, method: str) -> Cell:
    """Return the cell that the others vary: most of the method's cells share each of its values."""
    graphs = [cell for cell in cells if cell.method == method and cell.relations] or [Cell(method, 0, 0, 0)]
    alphas = [cell.alpha for cell in graphs if cell.alpha] or [0.0]
    columns = [[cell.relations for cell in graphs], alphas, [cell.noise for cell in graphs]]
    return Cell(method, *(max(sorted(set(column)), key=column.count) for column in columns))


def _line(
    axis: Any, key: str, shown: list[Cell], cells: Cells, reading: str, label: str, colour: str, marker: str
) -> None:
    if len(shown) < 2:
        return
    scores = {cell: [run["metrics"][reading]["top1"] for run in cells[cell]] for cell in shown}
    ordered = sorted(shown, key=lambda cell: float(getattr(cell, key)))
    positions = [float(getattr(cell, key)) for cell in ordered]
    means = [sum(scores[cell]) / len(scores[cell]) for cell in ordered]
    axis.plot(positions, means, color=colour, linewidth=1.2, label=label)
    for position, cell in zip(positions, ordered, strict=True):
        axis.plot([position] * len(scores[cell]), scores[cell], marker, color=colour, markersize=5, mfc="white")


def _axis(axis: Any, key: str) -> None:
    if key == "relations":
        axis.set_xscale("symlog", linthresh=1e-3)
        axis.set_xticks([0, 1e-3, 1e-2, 1e-1, 1], ["none", ".1 %", "1 %", "10 %", "100 %"])
    axis.set_xlabel(
        {
            "relations": "relations known, of all pairs",
            "alpha": "α, their share in the graph",
            "noise": "wrong labels, of those told",
        }[key],
        fontsize=9,
    )
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
