"""Stage `gps_evaluate`: k-NN and linear probe of one run's backbone, and of the same network before training."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from omegaconf import DictConfig

from pal_plugin.evaluation import encode, knn_accuracy, linear_probe
from pal_plugin.host import load_backbone
from pal_plugin.io import write_json
from pal_plugin.train import METRICS, MODEL, build
from reproductions.gps_ssl.names import PAPER, result, run_folder, run_name
from reproductions.gps_ssl.settings import config, dataset
from reproductions.provenance import provenance
from reproductions.stage import run


def main(profile: str, method: str, augmentation: str, arm: str, seed: int) -> None:
    """Evaluate one run: fitted on the training images, read on the whole test split."""
    name = run_name(method, augmentation, arm, seed)
    folder = run_folder(profile, name)
    content = evaluated(config(profile, method, augmentation, arm, seed), profile, folder)
    shutil.copyfile(folder / "curve.csv", result(profile, name).with_suffix(".csv"))
    write_json(result(profile, name), {"arm": arm, "augmentation": augmentation} | content)


def evaluated(cfg: DictConfig, profile: str, folder: Path) -> dict[str, Any]:
    """Return the result of the finished run in `folder`, less what only its stage knows.

    Args:
        cfg: the run's config; it also makes the untrained network of the same seed.
        profile: the run's profile.
        folder: holds the run's `model.ckpt` and `metrics.json`.
    """
    begun = time.monotonic()
    train, test = dataset(profile, "train"), dataset(profile, "test")
    trained, _ = load_backbone(folder / MODEL)
    networks = {"metrics": trained, "untrained": build(cfg).backbone}
    read = {
        key: scores(encode(network, train), train.labels, encode(network, test), test.labels)
        for key, network in networks.items()
    }
    return {
        "paper": PAPER,
        "profile": profile,
        "method": cfg.method,
        "seed": cfg.seed,
        "data": train.name,
        "images": {"train": len(train), "test": len(test)},
        **read,
        "wall_s": json.loads((folder / METRICS).read_text(encoding="utf-8"))["wall_s"],
        "evaluation_s": round(time.monotonic() - begun, 1),
        **provenance(),
    }


def scores(bank: NDArray[Any], classes: NDArray[Any], queries: NDArray[Any], wanted: NDArray[Any]) -> dict[str, Any]:
    """Return weighted k-NN and linear-probe accuracies in percent, `{"knn": {"top1", "top5"}, "linear": {…}}`.

    Args:
        bank: (N, D) features that both are fitted on.
        classes: (N,) their labels.
        queries: (M, D) features that are read.
        wanted: (M,) their labels.
    """
    return {
        "knn": _rounded(knn_accuracy(bank, classes, queries, wanted)),
        "linear": _rounded(linear_probe(bank, classes, queries, wanted)),
    }


def _rounded(metrics: Any) -> dict[str, Any]:
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in metrics.items()}


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed")
