"""Stage `gps_evaluate`: k-NN and linear probe of one run's backbone, and of the same network before training."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from pal_plugin.data import ImageDataset
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
    begun = time.monotonic()
    name = run_name(method, augmentation, arm, seed)
    train, test = dataset(profile, "train"), dataset(profile, "test")
    folder = run_folder(profile, name)
    trained, _ = load_backbone(folder / MODEL)
    untrained = build(config(profile, method, augmentation, arm, seed)).backbone
    content = {
        "paper": PAPER,
        "profile": profile,
        "arm": arm,
        "method": method if arm == "baseline" else f"{arm}_{method}",
        "augmentation": augmentation,
        "seed": seed,
        "data": train.name,
        "images": {"train": len(train), "test": len(test)},
        "metrics": scores(trained, train, test),
        "untrained": scores(untrained, train, test),
        "wall_s": json.loads((folder / METRICS).read_text(encoding="utf-8"))["wall_s"],
        "evaluation_s": round(time.monotonic() - begun, 1),
        **provenance(),
    }
    shutil.copyfile(folder / "curve.csv", result(profile, name).with_suffix(".csv"))
    write_json(result(profile, name), content)


def scores(backbone: Any, train: ImageDataset, test: ImageDataset) -> dict[str, Any]:
    """Return weighted k-NN and linear-probe accuracies in percent, `{"knn": {"top1", "top5"}, "linear": {…}}`."""
    bank, queries = encode(backbone, train), encode(backbone, test)
    return {
        "knn": _rounded(knn_accuracy(bank, train.labels, queries, test.labels)),
        "linear": _rounded(linear_probe(bank, train.labels, queries, test.labels)),
    }


def _rounded(metrics: Any) -> dict[str, Any]:
    return {key: round(value, 2) if isinstance(value, float) else value for key, value in metrics.items()}


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed")
