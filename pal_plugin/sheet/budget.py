"""What a budget buys, as a figure: how near the picks are to all samples, and which classes they are of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pal_plugin.io import atomic_path
from pal_plugin.selection import Coverage, Selection
from pal_plugin.selection.coverage import SHARES

_COLOURS = ("#56b4e9", "#0072b2", "#1a1a1a")  # of SHARES: Okabe and Ito (2008), the covering radius darkest
_BOUND = "#d55e00"
_MOST_NAMES = 20  # classes that are named


def write_budget_figure(
    path: str | os.PathLike[str],
    picks: Selection,
    covered: Coverage,
    classes: Mapping[str, int] | None = None,
    *,
    certified: bool = False,
) -> Path:
    """Draw distances to the nearest pick against budget, and, where given, the classes of all picks, as PNG.

    Args:
        path: the file.
        picks: in their order.
        covered: their coverage.
        classes: how many of the picks are of each class.
        certified: whether to draw `Selection.lower_bounds`, where they are known.
    """
    import matplotlib as mpl  # heavy

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = 1 + bool(classes)
    figure, axes = plt.subplots(1, panels, figsize=(4.2 * panels, 3.4), squeeze=False, layout="constrained")
    _distances(axes[0, 0], picks if certified else None, covered)
    if classes:
        _classes(axes[0, 1], classes)
    name = picks.selector.get("name", "Selection")
    of = "" if picks.samples is None else f" of {picks.samples:,}"
    figure.suptitle(f"{name}: {len(picks):,} picks{of}", fontsize=10, x=0.01, ha="left")
    file = Path(path)
    with atomic_path(file) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)
    return file


def _distances(axis: Any, certified: Selection | None, covered: Coverage) -> None:
    for share, colour, distances in zip(SHARES, _COLOURS, covered.distances.T, strict=True):
        words = "all: the covering radius" if share == 1 else f"{share:.0%} of the samples"
        axis.plot(covered.budgets, distances, color=colour, linewidth=1.4, label=words)
    if certified is not None and len(certified):
        bounds = certified.lower_bounds[covered.budgets - 1]
        if np.isfinite(bounds).any():
            label = "no choice covers all below"
            axis.plot(covered.budgets, bounds, color=_BOUND, linewidth=1, linestyle=":", label=label)
    axis.set_xscale("log")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("budget: picks, in order", fontsize=9)
    axis.set_ylabel("distance to the nearest pick", fontsize=9)
    axis.set_title("within which distance is a pick?", fontsize=9, loc="left")
    axis.legend(fontsize=8, frameon=False)
    _plain(axis)


def _classes(axis: Any, classes: Mapping[str, int]) -> None:
    counts = list(classes.values())
    places = range(len(counts))
    named = len(counts) <= _MOST_NAMES
    axis.barh(places, counts if named else sorted(counts, reverse=True), color="#0072b2", height=0.7 if named else 1)
    axis.axvline(sum(counts) / len(counts), color=_BOUND, linewidth=1, linestyle=":", label="all equally often")
    names = [name.replace("$", r"\$") for name in classes]  # what stands between two is a formula to matplotlib
    axis.set_yticks(places, names, fontsize=8) if named else axis.set_yticks([])
    axis.invert_yaxis()
    axis.set_xlabel("picks", fontsize=9)
    axis.set_title(
        "of each class" if named else f"of each of {len(counts):,} classes, by number", fontsize=9, loc="left"
    )
    axis.legend(fontsize=8, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.99))
    _plain(axis)


def _plain(axis: Any) -> None:
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
