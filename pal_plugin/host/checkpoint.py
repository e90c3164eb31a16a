"""Reading checkpoints: ours, and those that plain solo-learn wrote on either host."""

from __future__ import annotations

import pickle
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from pal_plugin.errors import CheckpointError
from pal_plugin.host.adapt import Adapted
from pal_plugin.host.base import HostBase
from pal_plugin.host.config import parse_cfg
from pal_plugin.host.release import ReleaseNames
from pal_plugin.host.solo import INFO, SoloBase

_RENAMED = (("momentum_encoder.", "momentum_backbone."), ("encoder.", "backbone."))


class _Bare(Adapted, *((ReleaseNames,) if INFO.kind == "release" else ()), HostBase):  # type: ignore[misc]
    """A method without a head: what a backbone is built with."""

    host_name = "base"
    solo_class = SoloBase


def load_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint without running code from it, its networks under main's names.

    Raises:
        CheckpointError: the file is missing, truncated, holds code, or is no checkpoint.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"There is no checkpoint at {file}", "Name an existing file")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"The checkpoint {file} cannot be read: {reason}", "Delete it and resume from an older one, or train again"
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"The file {file} is not a checkpoint: it has no state_dict", "Name another file")
    checkpoint["state_dict"] = {_main_name(key): value for key, value in checkpoint["state_dict"].items()}
    return checkpoint


def make_backbone(cfg: DictConfig) -> nn.Module:
    """Return the network that `cfg` describes, with fresh weights from the global random state."""
    bare = OmegaConf.merge(cfg, {"augmentations": [{"crop_size": 1, "num_crops": 2}]})
    bare.method_kwargs = {}
    assert isinstance(bare, DictConfig)
    method: Any = _Bare(parse_cfg(bare))
    backbone: nn.Module = method.backbone
    return backbone


def load_backbone(path: str | PathLike[str]) -> tuple[nn.Module, DictConfig]:
    """Return the trained backbone of a checkpoint of ours and the config it was trained with.

    Raises:
        CheckpointError: see `load_checkpoint`; or it holds no config, or weights of another architecture.
    """
    checkpoint = load_checkpoint(path)
    if "config" not in checkpoint:
        raise CheckpointError(f"The checkpoint {path} holds no config", "Name a checkpoint that pal train wrote")
    cfg = OmegaConf.create(checkpoint["config"])
    backbone = make_backbone(cfg)
    prefix = "backbone."
    weights = {k[len(prefix) :]: v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
    try:
        backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"The checkpoint {path} holds another architecture than its config's {cfg.backbone.name}: "
            + " ".join(str(error).split())[:300],
            "Name the checkpoint that belongs to this config",
        ) from error
    return backbone, cfg


def _main_name(key: str) -> str:
    for old, new in _RENAMED:
        if key.startswith(old):
            return new + key[len(old) :]
    return key
