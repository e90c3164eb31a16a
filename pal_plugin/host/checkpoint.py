"""Reading checkpoints: ours, and those that plain solo-learn wrote on either host."""

from __future__ import annotations

import pickle
import re
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from pal_plugin.errors import CheckpointError, ConfigError, PalError
from pal_plugin.host.adapt import Adapted
from pal_plugin.host.base import HostBase
from pal_plugin.host.config import parse_cfg
from pal_plugin.host.described import checked_config
from pal_plugin.host.foreign import ARGS, foreign_config
from pal_plugin.host.release import ReleaseNames
from pal_plugin.host.solo import INFO, SoloBase
from pal_plugin.io import refuse_altered_archive
from pal_plugin.registry import near_matches

BACKBONES: tuple[str, ...] = tuple(SoloBase._SUPPORTED_ENCODERS if INFO.kind == "release" else SoloBase._BACKBONES)
_PREFIX = "backbone."
_RENAMED = (("momentum_encoder.", "momentum_backbone."), ("encoder.", _PREFIX))
# What the host wants of a config and a backbone does not depend on, for those that say no more than the architecture.
_UNUSED: dict[str, Any] = {
    "method": "simclr",
    "data": {"dataset": "unknown", "num_classes": 1},
    "optimizer": {"name": "sgd", "batch_size": 256, "lr": 0.1, "classifier_lr": 0.1, "weight_decay": 0.0},
    "max_epochs": 1,
}


class _Bare(Adapted, *((ReleaseNames,) if INFO.kind == "release" else ()), HostBase):  # type: ignore[misc]
    """A method without a head: what a backbone is built with."""

    host_name = "base"
    solo_class = SoloBase


def load_checkpoint(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a checkpoint without running code from it, its networks under main's names.

    Raises:
        CheckpointError: the file is missing, truncated, holds code, or is no checkpoint; or its config cannot be one.
    """
    file = Path(path)
    if not file.is_file():
        raise CheckpointError(f"There is no checkpoint at {file}", "Name an existing file")
    try:
        refuse_altered_archive(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of files of other kinds torch raises whatever it stumbles over
        raise _unreadable(file, error) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        raise CheckpointError(f"The file {file} is not a checkpoint: it has no state_dict", "Name another file")
    if not all(isinstance(key, str) for key in checkpoint["state_dict"]):
        raise CheckpointError(f"The file {file} is not a checkpoint: a weight's name is no text", "Name another file")
    checkpoint["state_dict"] = {_main_name(key): value for key, value in checkpoint["state_dict"].items()}
    if checkpoint.get("config") is not None:
        checkpoint["config"] = checked_config(checkpoint["config"], str(file))
    else:
        checkpoint.pop("config", None)
    return checkpoint


def make_backbone(cfg: DictConfig) -> nn.Module:
    """Return the network that `cfg` describes, with fresh weights from the global random state.

    Args:
        cfg: a whole config, or no more of it than `backbone`.

    Raises:
        ConfigError: solo-learn has no such architecture, or a stem that does not exist.
    """
    if cfg.backbone.name not in BACKBONES:
        raise ConfigError(
            f"solo-learn ({INFO.kind}) has no backbone {cfg.backbone.name!r}",
            f"Choose another: {near_matches(str(cfg.backbone.name), BACKBONES)}",
        )
    bare = OmegaConf.merge(_UNUSED, cfg, {"augmentations": [{"crop_size": 1, "num_crops": 2}]})
    assert isinstance(bare, DictConfig)
    bare.method_kwargs = {}
    bare.data.num_classes = bare.data.num_classes or 1  # null: the data set is to say how many
    method: Any = _Bare(parse_cfg(bare))
    backbone: nn.Module = method.backbone
    return backbone


def load_backbone(
    path: str | PathLike[str], *, backbone: str | None = None, stem: str | None = None
) -> tuple[nn.Module, DictConfig]:
    """Return the trained backbone of a checkpoint and what is known of the config it was trained with.

    Args:
        path: a file that `pal train` wrote, or plain solo-learn of either host; the latter is described by its
            `hyper_parameters`, by the `args.json` beside it, or by the next two arguments.
        backbone: the architecture, in solo-learn's names (`"resnet18"`), over what the checkpoint says.
        stem: of a ResNet: `"cifar"`, `"imagenet"` or `"no_maxpool"`, likewise.

    Returns:
        The network, and a config: whole for ours; otherwise `backbone`, and of `data.dataset` and
        `augmentations[0].crop_size` what is known.

    Raises:
        CheckpointError: see `load_checkpoint`; or nothing says which architecture it is, or it holds another one.
        ConfigError: see `make_backbone`.
    """
    checkpoint = load_checkpoint(path)
    weights = {k[len(_PREFIX) :]: v for k, v in checkpoint["state_dict"].items() if k.startswith(_PREFIX)}
    if not weights or not all(isinstance(weight, torch.Tensor) for weight in weights.values()):
        raise CheckpointError(
            f"The checkpoint {path} holds no backbone: no weight is called {_PREFIX}… or encoder.…",
            "Name a checkpoint of pretraining",
        )
    cfg = _config(checkpoint, Path(path))
    said = {"name": backbone, "stem": stem}
    cfg.backbone.update({key: value for key, value in said.items() if value is not None})
    if "name" not in cfg.backbone:
        raise CheckpointError(
            f"The checkpoint {path} does not say which architecture it holds, and there is no {ARGS} beside it",
            "Name it, for example --backbone resnet18",
        )
    network = _described(cfg, path)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"The checkpoint {path} holds another architecture than its config's {cfg.backbone.name}: "
            + " ".join(str(error).split())[:300],
            "Name the checkpoint that belongs to this config, or its architecture with --backbone and --stem",
        ) from error
    return network, cfg


def _config(checkpoint: dict[str, Any], path: Path) -> DictConfig:
    """Return what is known of the config that a checkpoint was trained with, with at least a `backbone`."""
    own = checkpoint.get("config") or foreign_config(checkpoint, path)
    try:
        return OmegaConf.create({"backbone": {}, **own})
    except (OmegaConfBaseException, RecursionError) as error:  # what no config can hold
        raise _no_network(path, error) from error


def _described(cfg: DictConfig, path: str | PathLike[str]) -> nn.Module:
    """Return the network of a config that came out of a file; what breaks its making then is the file's fault."""
    try:
        return make_backbone(cfg)
    except PalError:
        raise
    except Exception as error:
        raise _no_network(path, error) from error


def _no_network(path: str | PathLike[str], error: Exception) -> CheckpointError:
    return CheckpointError(
        f"The config in the checkpoint {path} describes no network ({' '.join(str(error).split())[:200]})",
        "Name a model.ckpt or last.ckpt that pal train wrote",
    )


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and foreign:  # loading it would run code of that class
        return CheckpointError(
            f"The checkpoint {file} cannot be read: it holds objects of {foreign.group(1)} beside its weights",
            "If you trust it, write its weights alone: c = torch.load(file, weights_only=False), then "
            "torch.save({'state_dict': c['state_dict']}, other)",
        )
    refused = error.strerror if isinstance(error, OSError) else None  # by the file system
    return CheckpointError(
        f"The checkpoint {file} cannot be read: {refused or 'it is no PyTorch checkpoint, or is damaged'}",
        "Name a model.ckpt or last.ckpt that pal train wrote",
    )


def _main_name(key: str) -> str:
    for old, new in _RENAMED:
        if key.startswith(old):
            return new + key[len(old) :]
    return key
