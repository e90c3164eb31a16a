"""Loss curves of runs, from Lightning's CSV logs to one small file that `dvc plots` reads."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pal_plugin.io import atomic_path

COLUMNS = ("run", "step", "loss")
# the method's own loss, by the names that ours and solo-learn's methods log it under
LOSSES = (
    "graph_loss_step",
    "adassl_ssl_loss_step",
    *(f"train_{loss}_step" for loss in ("nce_loss", "neg_cos_sim", "vicreg_loss", "barlow_loss", "nnclr_loss")),
)


def write_curve(path: Path, folder: Path, name: str) -> None:
    """Write the loss at each logged step of the run in `folder`, over all parts of a resumed run.

    Args:
        path: the CSV to write, with columns `run`, `step`, `loss`.
        folder: a run folder of `pal train`.
        name: what to call the run.
    """
    found: dict[int, str] = {}
    for row in _logged(folder):
        loss = next((row[key] for key in LOSSES if row.get(key)), None)
        if loss is not None:
            found[int(row["step"])] = f"{float(loss):.4f}"
    _write(path, ({"run": name, "step": str(step), "loss": found[step]} for step in sorted(found)))


def last_logged(folder: Path, prefix: str) -> dict[str, float]:
    """Return the last value of every figure that the run in `folder` logged at its steps under names with `prefix`.

    Names come back without `prefix`; figures of single dimensions, `…_dim0`, are left out.
    """
    found: dict[str, float] = {}
    for row in _logged(folder):
        for key, value in row.items():
            figure = re.fullmatch(rf"{re.escape(prefix)}(.+)_step", key)
            if value and figure and not re.search(r"_dim\d+$", figure[1]):
                found[figure[1]] = round(float(value), 4)
    return found


def join_curves(path: Path, parts: Iterable[Path]) -> None:
    """Write the curves of several runs into one file."""
    rows: list[dict[str, str]] = []
    for part in parts:
        with part.open(encoding="utf-8", newline="") as file:
            rows.extend(csv.DictReader(file))
    _write(path, rows)


def _logged(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of a run's CSV logs, those of a resumed run's parts one after another."""
    parts = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda file: int(file.parent.name.split("_")[1]))
    for part in parts:
        with part.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
