"""What this paper's runs and files are called. Light: the table needs no torch."""

from __future__ import annotations

from pathlib import Path

from reproductions.layout import artifacts, results

PAPER = "gps_ssl"
BASELINE, GPS = "baseline", "gps"
ARMS = ("untrained", BASELINE, GPS)
READINGS = ("knn", "linear")
LABELS = "labels"  # the oracle in the place of a prior: neighbours of one class, drawn at random


def run_name(method: str, augmentation: str, arm: str, seed: int) -> str:
    """Return the name of a run, which is also the stem of its files."""
    return f"{method}-{augmentation}-{arm}-{seed}"


def run_folder(profile: str, run: str) -> Path:
    """Return the folder of a finished run: `model.ckpt`, `metrics.json`, `curve.csv`."""
    return artifacts(profile, PAPER) / run


def result(profile: str, run: str) -> Path:
    """Return where the metrics of a run are."""
    return results(profile, PAPER) / f"{run}.json"


def ablation_result(profile: str, graph: str, seed: int) -> Path:
    """Return where the metrics of a run with another graph are."""
    return results(profile, PAPER) / "ablation" / f"{graph}-{seed}.json"
