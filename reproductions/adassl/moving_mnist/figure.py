"""The figure of the Moving-MNIST runs: what is read of each method, and futures that it predicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reproductions.adassl.moving_mnist.cells import LABELS, SETTINGS, Cell, result
from reproductions.adassl.moving_mnist.runs import Cells, values
from reproductions.drawing import BLUE, GREEN, RED, drawing, ink

STYLES = {"byol": (BLUE, "o"), "v": (RED, "s"), "s": (GREEN, "^")}
PANELS = {
    "projector_digit": "digit, projector: accuracy",
    "projector_velocity_x": "velocity x, projector: R²",
    "predicted_acceleration": "acceleration, predictions: R²",
    "energy": "energy score: low is good",
}
LINES = {"energy": {"energy_law": "the law itself", "energy_unchanged": "v′ = v"}}


def draw(path: Path, profile: str, cells: Cells) -> None:
    """Draw a panel for each of some readings, a mark a seed, and below the futures of one seed of each method.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title; the runs' own pictures are beside their results.
        cells: the runs of each cell.
    """
    from matplotlib.image import imread  # heavy

    shown = _shown(profile, cells)
    pictures = [imread(result(profile, cell, seed, ".png")) for cell, seed in shown]
    with drawing(path, f"AdaSSL on Moving-MNIST, profile {profile}: a mark a seed", (11, 7)) as figure:
        top, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 4))[:, 0]
        for axis, (reading, label) in zip(top.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            _panel(axis, cells, reading)
            axis.set_title(label, fontsize=9)
        widths = [picture.shape[1] for picture in pictures]
        axes = below.subplots(1, len(pictures), squeeze=False, width_ratios=widths)[0]
        for axis, picture, (cell, _) in zip(axes, pictures, shown, strict=True):
            axis.imshow(picture, interpolation="nearest", clip_on=False)  # a clip's id in an SVG is chance
            axis.set_title(f"{LABELS[cell.method]}\n{_columns(cell)}", fontsize=8, loc="left")
            axis.axis("off")
        below.supxlabel(
            "Real clips nearest to what is predicted: frames 1–3 grey, frames 4, 5, 6 yellow, orange, red. "
            f"Setting {shown[0][0].setting}, a row a source.",
            fontsize=8,
        )


def _shown(profile: str, cells: Cells) -> list[tuple[Cell, int]]:
    """Return the first run of each method, in the first setting that there is."""
    setting = next(setting for setting in SETTINGS if any(cell.setting == setting for cell in cells))
    return [(cell, int(runs[0]["seed"])) for cell, runs in cells.items() if cell.setting == setting]


def _columns(cell: Cell) -> str:
    """Return what the columns of a method's picture are."""
    first = {"byol": "what came · predicted", "s": "what came · posterior's r"}
    return first.get(cell.method, "what came · posterior's r · draws of the prior")


def _panel(axis: Any, cells: Cells, reading: str) -> None:
    places = {cell: place for place, cell in enumerate(cells)}
    for cell, runs in cells.items():
        scores = values(runs, reading)
        colour, mark = STYLES[cell.method]
        axis.plot([places[cell]] * len(scores), scores, mark, color=colour, mfc="white", markersize=5)
    for name, label in LINES.get(reading, {}).items():
        scores = [score for runs in cells.values() for score in values(runs, name)]
        level = sum(scores) / len(scores)
        axis.axhline(level, color=ink(), linestyle=":")
        place = {"xy": (0.02, level), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(label, xytext=(0, 4), **place, fontsize=8, va="bottom")
    names = [f"{LABELS[cell.method].replace('AdaSSL-', '')} {cell.setting}" for cell in cells]
    axis.set_xticks(list(places.values()), names, fontsize=8, rotation=45)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.tick_params(axis="y", labelsize=8)
    axis.grid(axis="y", alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
