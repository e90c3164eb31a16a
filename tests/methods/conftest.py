"""Small configs of every method, and runs of a few steps on digits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf

from pal_plugin.data import ImageDataset, Policy, load_digits, pair_loader
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import parse_cfg
from pal_plugin.methods import find_method

HEAD = {"proj_hidden_dim": 16, "proj_output_dim": 8}
PREDICTOR = {"pred_hidden_dim": 16}
QUEUE = {"queue_size": 16}
KWARGS: dict[str, dict[str, Any]] = {
    "all4one": HEAD | PREDICTOR | QUEUE | {"temperature": 0.2},
    "barlow_twins": HEAD | {"scale_loss": 0.1},
    "byol": HEAD | PREDICTOR,
    "deepclusterv2": HEAD | {"num_prototypes": [5, 5]},
    "dino": HEAD | {"num_prototypes": 20, "clip_grad": 1.0, "freeze_last_layer": 0},
    "mae": {"decoder_embed_dim": 32, "decoder_depth": 1, "decoder_num_heads": 2},
    "mocov2plus": HEAD | QUEUE | {"temperature": 0.2},
    "mocov3": HEAD | PREDICTOR | {"temperature": 0.2},
    "nnbyol": HEAD | PREDICTOR | QUEUE,
    "nnclr": HEAD | PREDICTOR | QUEUE | {"temperature": 0.2},
    "nnsiam": HEAD | PREDICTOR | QUEUE,
    "ressl": HEAD | QUEUE | {"temperature_q": 0.1, "temperature_k": 0.04},
    "simclr": HEAD | {"temperature": 0.2},
    "simsiam": HEAD | PREDICTOR,
    "spectral": HEAD,
    "supcon": HEAD | {"temperature": 0.2},
    "swav": HEAD
    | QUEUE
    | {"num_prototypes": 10, "temperature": 0.1, "epoch_queue_starts": 0, "freeze_prototypes_epochs": 0},
    "vibcreg": HEAD | {"iternorm": True},
    "vicreg": HEAD,
    "wmse": {"proj_hidden_dim": 16, "proj_output_dim": 4, "whitening_size": 8},
}
CROP = {"crop_size": 8, "num_crops": 2}


def config(method: str, **overrides: Any) -> DictConfig:
    """Return a config of `method` (a host's, or `gps_`, `pal_`, `adassl_` before it) for 8×8 images, 8 a batch."""
    base = method.removeprefix("gps_").removeprefix("pal_").removeprefix("adassl_")
    cfg = OmegaConf.create(
        {
            "method": method,
            "method_kwargs": KWARGS[base],
            "backbone": {"name": "resnet18", "stem": "cifar"},
            "data": {"dataset": "digits", "num_classes": 10},
            "augmentations": [CROP],
            "max_epochs": 2,
            "optimizer": {"name": "sgd", "batch_size": 8, "lr": 1.0, "classifier_lr": 1.0, "weight_decay": 1e-4},
            "scheduler": {"warmup_epochs": 0},
            "momentum": {"base_tau": 0.9, "classifier": True},
        }
    )
    if base == "mae":
        cfg.backbone = {"name": "vit_tiny", "kwargs": {"img_size": 8, "patch_size": 4}}
    merged = OmegaConf.merge(cfg, overrides)
    assert isinstance(merged, DictConfig)
    return merged


def build(method: str, **overrides: Any) -> Any:
    """Return the method of `config` with the weights of seed 0."""
    seed_everything(0, verbose=False)
    return find_method(method)(parse_cfg(config(method, **overrides)))


def fit(
    module: Any, dataset: ImageDataset, graph: SimilarityGraph | None, policies: list[Policy] | None = None
) -> Trainer:
    """Train two epochs."""
    loader = pair_loader(
        dataset,
        policies or [Policy(crop_size=8, num_crops=2)],
        batch_size=8,
        seed=0,
        graph=graph,
        pair_batch=module.wants_pair_batch,
        extra_views=module.extra_views,
    )
    seed_everything(1, verbose=False)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, loader)
    return trainer


@pytest.fixture(scope="session")
def digits() -> ImageDataset:
    """16 of the digits: an epoch is two batches."""
    return load_digits("train").subset(16, 0)


@pytest.fixture
def make() -> Callable[..., Any]:
    return build


@pytest.fixture
def make_config() -> Callable[..., DictConfig]:
    return config


@pytest.fixture
def train_two_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    monkeypatch.chdir(tmp_path)  # main's all4one writes into the working folder
    return fit
