"""The numerical runs of a profile, and what is asked of them. Light: no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from reproductions.adassl.numerical_cells import BETAS, CLAMP, ORACLE, Cell
from reproductions.reading import Run, read_runs

Cells: TypeAlias = dict[Cell, list[Run]]

# where each number of a result is: in or out of distribution, and which
READINGS = {
    "content": ("in", "content"),
    "style": ("in", "style"),
    "mcc": ("in", "mcc"),
    "content_out": ("out", "content"),
    "style_out": ("out", "style"),
    "mcc_out": ("out", "mcc"),
}


def read(folder: Path) -> Cells:
    """Return the runs of each cell, by method, temperature and clamp (none last), the seeds of a cell in order."""
    cells = read_runs(folder, Cell.parse, _asked)
    return {cell: cells[cell] for cell in sorted(cells, key=_order)}


def values(runs: list[Run], reading: str, of: str = "metrics") -> list[float]:
    """Return a reading of each run; of `untrained` it is that of the encoder before training."""
    where, name = READINGS[reading]
    return [run[of][where][name] for run in runs]


def mean(runs: list[Run], reading: str) -> float:
    """Return the mean of a reading over runs."""
    return sum(values(runs, reading)) / len(runs)


def untrained(cells: Cells, reading: str) -> list[float]:
    """Return a reading of the encoder before training, one a seed; all methods begin with the same."""
    by_seed = {run["seed"]: run for runs in cells.values() for run in runs}
    return values([by_seed[seed] for seed in sorted(by_seed)], reading, "untrained")


def at(cells: Cells, method: str, temperature: float, clamp: float | None) -> list[Run]:
    """Return the runs of a setting. Where the clamp cannot bind, those with it are those without it."""
    cell = Cell(method, temperature, clamp)
    return cells.get(cell if clamp is not None or cell.can_bind else cell._replace(clamp=CLAMP), [])


def gaps(cells: Cells, ahead: Cell, behind: Cell, reading: str) -> dict[int, float]:
    """Return by how much one cell's reading exceeds another's, for each seed that both have."""
    base = {run["seed"]: run for run in cells.get(behind, [])}
    both = [run for run in cells.get(ahead, []) if run["seed"] in base]
    ours, theirs = values(both, reading), values([base[run["seed"]] for run in both], reading)
    return {run["seed"]: round(a - b, 4) for run, a, b in zip(both, ours, theirs, strict=True)}


def ranked(cells: Cells, temperature: float, clamp: float | None, reading: str) -> list[tuple[str, float]]:
    """Return methods with their mean reading at a setting, best first; without the one that is told the difference."""
    found = {method: at(cells, method, temperature, clamp) for method in BETAS if method != ORACLE}
    scores = [(method, mean(runs, reading)) for method, runs in found.items() if runs]
    return sorted(scores, key=lambda score: -score[1])


def _asked(run: Run) -> object:
    return [values([run], reading, of) for of in ("metrics", "untrained") for reading in READINGS]


def _order(cell: Cell) -> tuple[int, float, bool]:
    return list(BETAS).index(cell.method), cell.temperature, cell.clamp is None
