"""Measure a checkpoint: `pal eval`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.knn import knn_accuracy
from pal_plugin.evaluation.linear import linear_probe
from pal_plugin.registry import near_matches

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pal_plugin.data import ImageDataset

MEASURES = ("knn", "linear")


def evaluate(
    checkpoint: str | PathLike[str],
    measures: Sequence[str],
    *,
    data: str | None = None,
    root: Path | None = None,
    train_subset: int | None = None,
    test_subset: int | None = None,
    seed: int | None = None,
    k: int = 20,
    device: str = "auto",
) -> dict[str, Any]:
    """Encode the train and test split by a checkpoint's backbone and measure the frozen features.

    What is not given is taken from the config inside the checkpoint: the data set, its root, and the subset that the
    network was trained on. The test split is whole unless `test_subset` is given.

    Args:
        checkpoint: a file that `pal train` wrote.
        measures: any of `"knn"` and `"linear"`; features are made once.
        data: name of another data set.
        root: the folder that data sets are kept in.
        train_subset: how many train images, stratified.
        test_subset: how many test images, stratified.
        seed: which subsets.
        k: neighbours that vote.
        device: `"auto"` is the GPU where there is one.

    Returns:
        `{"checkpoint", "device", "train": {...}, "test": {...}, "knn": {"top1", "top5", ...}, "linear": {...},
        "wall_s"}`; accuracies in percent, the data sets as manifest references.

    Raises:
        ConfigError: an unknown measure, or a config without a data set.
        CheckpointError: an unreadable checkpoint, or one of another architecture.
        DataError: a data set that cannot be had.
        DeviceError: a device that is not there.
    """
    from pal_plugin.host import load_backbone  # heavy: imports solo-learn and Lightning

    for measure in measures:
        if measure not in MEASURES:
            raise ConfigError(f"There is no measure {measure!r}", f"Choose another: {near_matches(measure, MEASURES)}")
    started = time.perf_counter()
    backbone, cfg = load_backbone(checkpoint)
    train, test = _splits(cfg, data, root, train_subset, test_subset, seed)
    where = _pick(device)
    crop_size = cfg.augmentations[0].crop_size
    train_x = encode(backbone, train, device=where, crop_size=crop_size)
    test_x = encode(backbone, test, device=where, crop_size=crop_size)
    result: dict[str, Any] = {
        "checkpoint": str(checkpoint),
        "device": where,
        "train": train.manifest.reference(),
        "test": test.manifest.reference(),
    }
    if "knn" in measures:
        result["knn"] = {**knn_accuracy(train_x, train.labels, test_x, test.labels, k=k), "k": k}
    if "linear" in measures:
        result["linear"] = linear_probe(train_x, train.labels, test_x, test.labels)
    return result | {"wall_s": time.perf_counter() - started}


def _splits(
    cfg: DictConfig,
    data: str | None,
    root: Path | None,
    train_subset: int | None,
    test_subset: int | None,
    seed: int | None,
) -> tuple[ImageDataset, ImageDataset]:
    from pal_plugin.data import load_dataset

    own = cfg.data if data in (None, cfg.data.dataset) else {}
    name = data or cfg.data.dataset
    root = root or (Path(own["root"]) if own.get("root") else None)
    seed = own.get("subset_seed", 0) if seed is None else seed
    train = load_dataset(name, "train", root=root)
    if train_subset is None and own.get("subset") is not None:
        train_subset = min(own["subset"], len(train))  # as in training: more than there are means all of them
    if train_subset is not None:
        train = train.subset(train_subset, seed)
    return train, load_dataset(name, "test", root=root, subset=test_subset, seed=seed)


def _pick(device: str) -> str:
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"
