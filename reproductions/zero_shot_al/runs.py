"""The runs of a profile, and what is read of them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from reproductions.reading import Run, read_runs
from reproductions.zero_shot_al.names import ARMS, NONE, RANDOM, Cell

Cells: TypeAlias = dict[Cell, list[Run]]


def read(folder: Path) -> Cells:
    """Return the runs of each cell, arms without features first, the seeds of a cell in order."""
    cells = read_runs(folder, Cell.parse, lambda run: [float(at["top1"]) for at in run["metrics"].values()])
    arms = list(ARMS)
    found = sorted(cells, key=lambda cell: (cell.features != NONE, cell.features, arms.index(cell.arm)))
    return {cell: cells[cell] for cell in found}


def budgets(cells: Cells) -> list[int]:
    """Return all budgets, ascending."""
    return sorted({int(key[1:]) for runs in cells.values() for run in runs for key in run["metrics"]})


def values(runs: list[Run], budget: int, reading: str) -> list[float]:
    """Return a reading at a budget, one a seed; runs that have none are left out."""
    return [run["metrics"][f"b{budget}"][reading] for run in runs if reading in run["metrics"].get(f"b{budget}", {})]


def gaps(ahead: list[Run], behind: list[Run], budget: int) -> dict[int, float]:
    """Return by how many points of top-1 some runs are ahead of others at a budget, by the seeds that both have."""
    key = f"b{budget}"
    base = {run["seed"]: run["metrics"][key]["top1"] for run in behind if key in run["metrics"]}
    return {
        run["seed"]: round(run["metrics"][key]["top1"] - base[run["seed"]], 2)
        for run in ahead
        if key in run["metrics"] and run["seed"] in base
    }


def random_runs(cells: Cells) -> list[Run]:
    """Return the runs on images chosen at random."""
    return cells.get(Cell(NONE, RANDOM), [])


def side(cells: Cells, features: str, arm: str) -> list[Run]:
    """Return the runs of an arm by some features, or of that arm without features."""
    return cells.get(Cell(features, arm)) or cells.get(Cell(NONE, arm)) or []
