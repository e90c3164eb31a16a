"""Loss curves of runs, from Lightning's CSV logs to one small file that `dvc plots` reads."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from pal_plugin.io import atomic_path

COLUMNS = ("run", "step", "loss")
# the method's own loss, by the names that ours and solo-learn's methods log it under
LOSSES = (
    "graph_loss_step",
    *(f"train_{loss}_step" for loss in ("nce_loss", "neg_cos_sim", "vicreg_loss", "barlow_loss", "nnclr_loss")),
)


def write_curve(path: Path, folder: Path, name: str) -> None:
    """Write the loss at each logged step of the run in `folder`, over all parts of a resumed run.

    Args:
        path: the CSV to write, with columns `run`, `step`, `loss`.
        folder: a run folder of `pal train`.
        name: what to call the run.
    """
    parts = sorted(folder.glob("csv/version_*/metrics.csv"), key=lambda file: int(file.parent.name.split("_")[1]))
    found: dict[int, str] = {}
    for part in parts:
        with part.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                loss = next((row[key] for key in LOSSES if row.get(key)), None)
                if loss is not None:
                    found[int(row["step"])] = f"{float(loss):.4f}"
    _write(path, ({"run": name, "step": str(step), "loss": found[step]} for step in sorted(found)))


def join_curves(path: Path, parts: Iterable[Path]) -> None:
    """Write the curves of several runs into one file."""
    rows: list[dict[str, str]] = []
    for part in parts:
        with part.open(encoding="utf-8", newline="") as file:
            rows.extend(csv.DictReader(file))
    _write(path, rows)


def _write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
