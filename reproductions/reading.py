"""Result files, read back: one that is damaged is named, with what brings it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pal_plugin.arrays import read_json
from pal_plugin.errors import PalError

Run: TypeAlias = dict[str, Any]
Cell = TypeVar("Cell")


class ResultError(PalError):
    """A result file that is missing, damaged, or without what is read of it."""


def read_result(file: Path, asked: Callable[[Run], object] = dict) -> Run:
    """Read one result file.

    Args:
        file: a JSON object.
        asked: gets from a result what its reader needs, and raises where something is not there.

    Raises:
        ResultError: the file is missing, not JSON, or `asked` does not find everything in it.
    """
    mend = "Bring it back (git checkout, dvc checkout), or delete it and run `dvc repro`"
    result = read_json(file, ResultError, mend)
    try:
        asked(result)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ResultError(f"{file} is no result as this version reads it: {error!r}", mend) from error
    return result


def read_runs(
    folder: Path, parse: Callable[[str], Cell], asked: Callable[[Run], object] = dict
) -> dict[Cell, list[Run]]:
    """Read the runs `CELL-SEED.json` of a folder, by their cells, the seeds of a cell in order.

    Args:
        folder: of the runs; none where it is absent.
        parse: makes a cell of its name, or raises ValueError.
        asked: see `read_result`; every run is asked for its seed, hardware and commit as well.

    Raises:
        ResultError: a file is damaged, or its name is no run's.
    """
    cells: dict[Cell, list[Run]] = {}
    for file in sorted(folder.glob("*.json")):
        try:
            cell = parse(file.stem.rpartition("-")[0])
        except (TypeError, ValueError) as error:
            raise ResultError(f"{file} is not named as a run is: {error}", "Rename it, or move it away") from error
        cells.setdefault(cell, []).append(read_result(file, lambda run: (_said(run), asked(run))))
    return {cell: sorted(runs, key=lambda run: int(run["seed"])) for cell, runs in cells.items()}


def top1(*readings: str) -> Callable[[Run], object]:
    """Return what asks a run for the top-1 accuracy of some of its readings."""
    return lambda run: [float(run["metrics"][reading]["top1"]) for reading in readings]


def _said(run: Run) -> object:
    return int(run["seed"]), run["hardware"].strip(), run["commit"].strip()
