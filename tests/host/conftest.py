"""Small configs for every method of either solo-learn, and processes that share one import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

HEAD = {"proj_hidden_dim": 32, "proj_output_dim": 16}
PREDICTOR = {"pred_hidden_dim": 32}
QUEUE = {"queue_size": 32}
METHOD_KWARGS: dict[str, dict[str, Any]] = {
    "all4one": HEAD | PREDICTOR | QUEUE | {"temperature": 0.2},
    "barlow_twins": HEAD | {"scale_loss": 0.1},
    "byol": HEAD | PREDICTOR,
    "deepclusterv2": HEAD | {"num_prototypes": [6, 6]},
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
    "supcon": HEAD | {"temperature": 0.2},
    "swav": HEAD
    | QUEUE
    | {"num_prototypes": 10, "temperature": 0.1, "epoch_queue_starts": 0}
    | {"freeze_prototypes_epochs": 0},
    "vibcreg": HEAD | {"iternorm": True},
    "vicreg": HEAD,
    "wmse": HEAD | {"proj_output_dim": 4, "whitening_size": 8},
}
METHOD_KWARGS |= {f"{kind}_{name}": METHOD_KWARGS[name] for kind in ("gps", "pal") for name in ("simclr", "byol")}
METHOD_KWARGS["adassl_simclr"] = HEAD | {"temperature": 0.2, "latent_dim": 4, "latent_hidden_dims": [16]}


def small_config(method: str, **overrides: Any) -> DictConfig:
    """Return a config of `method` for 8×8 images in batches of 8."""
    cfg = OmegaConf.create(
        {
            "method": method,
            "method_kwargs": METHOD_KWARGS[method],
            "backbone": {"name": "resnet18", "stem": "cifar"},
            "data": {"dataset": "digits", "num_classes": 10},
            "augmentations": [{"crop_size": 8, "num_crops": 2}],
            "max_epochs": 2,
            "optimizer": {
                "name": "lars",
                "batch_size": 8,
                "lr": 6.4,
                "classifier_lr": 3.2,
                "weight_decay": 1e-4,
                "kwargs": {"eta": 0.02, "clip_lr": True, "exclude_bias_n_norm": True},
            },
            "scheduler": {"warmup_epochs": 1},
            "momentum": {"base_tau": 0.9, "classifier": True},
        }
    )
    if method == "mae":
        cfg.backbone = {"name": "vit_tiny", "kwargs": {"img_size": 8, "patch_size": 4}}
    merged = OmegaConf.merge(cfg, overrides)
    assert isinstance(merged, DictConfig)
    return merged


@pytest.fixture
def make_config() -> Callable[..., DictConfig]:
    return small_config
