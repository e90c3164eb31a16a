"""What is read of a finished run: k-NN and linear probe of its backbone, and of the same network before training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from omegaconf import DictConfig

from pal_plugin.data import dataset_from_config
from pal_plugin.evaluation import encode, knn_accuracy, linear_probe
from pal_plugin.host import load_backbone
from pal_plugin.train import METRICS, MODEL, build
from reproductions.provenance import provenance


def evaluated(cfg: DictConfig, paper: str, folder: Path) -> dict[str, Any]:
    """Return the result of the finished run in `folder`, less what only its stage knows.

    Both readings are fitted on the run's training images and read on the whole test split.

    Args:
        cfg: the run's config; it also makes the untrained network of the same seed.
        paper: which of the papers.
        folder: holds the run's `model.ckpt` and `metrics.json`.
    """
    begun = time.monotonic()
    train, test = dataset_from_config(cfg.data, "train"), dataset_from_config(cfg.data, "test")
    trained, _ = load_backbone(folder / MODEL)
    networks = {"metrics": trained, "untrained": build(cfg).backbone}
    read = {
        key: scores(encode(network, train), train.labels, encode(network, test), test.labels)
        for key, network in networks.items()
    }
    return {
        "paper": paper,
        "profile": cfg.profile,
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
