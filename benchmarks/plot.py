"""Cost curves of benchmarks as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path


def plot(curves: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw one panel for each benchmark, both axes logarithmic, and write them as PNG.

    Args:
        curves: by benchmark, what it returns as `"curves"`: `{"x": label, "y": label, "lines": {name: [[x, y], …]}}`.
        path: the file to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5 * len(curves)), layout="constrained")
    for axes, (name, found) in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves.items(), strict=True):
        for label, points in found["lines"].items():
            axes.plot(*zip(*points, strict=True), marker="o", label=label)
        axes.set(title=name, xlabel=found["x"], ylabel=found["y"], xscale="log", yscale="log")
        axes.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
