"""A method with the weights of a checkpoint: backbone, projector and whatever else it was trained with."""

from __future__ import annotations

from os import PathLike
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from pal_plugin.errors import CheckpointError, PalError
from pal_plugin.host import load_checkpoint, parse_cfg
from pal_plugin.host.adapt import without_late_state
from pal_plugin.methods.lookup import find_method

_MEND = "Read it with the pal-plugin and the solo-learn that wrote it (`pal doctor` says which these are)"


def load_method(path: str | PathLike[str]) -> tuple[Any, DictConfig]:
    """Return the trained method of a checkpoint, in evaluation mode on the CPU, and the config it was trained with.

    PyTorch's random state is left alone.

    Args:
        path: a `model.ckpt` or `last.ckpt` that `pal train` wrote; its backbone alone is `load_backbone`'s.

    Raises:
        CheckpointError: see `load_checkpoint`; or it is not of `pal train`, its config describes no such method, or its
            networks are other ones.
        ConfigError: there is no such method here.
    """
    checkpoint = load_checkpoint(path)
    config: Any = checkpoint.get("config", {})
    if "method" not in config:
        raise CheckpointError(
            f"The checkpoint {path} does not say what it was trained with",
            "Name a model.ckpt or last.ckpt that pal train wrote",
        )
    kind: Any = find_method(config["method"])
    try:
        cfg = OmegaConf.create(config)
        with torch.random.fork_rng(devices=[]):
            method: Any = kind(parse_cfg(cfg))
    except Exception as error:  # a file may hold anything: whatever its making stumbles over is the file's fault
        raise _no_method(path, config["method"], error) from error
    state = without_late_state(method.host_name, checkpoint["state_dict"])  # model.ckpt of older runs holds it
    try:
        missing, unexpected = method.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise _other_networks(path, cfg.method, str(error)) from error
    trained = {name for name, value in method.named_parameters() if value.requires_grad}
    if unexpected or trained & set(missing):
        raise _other_networks(path, cfg.method, f"{[*unexpected, *sorted(trained & set(missing))][0]} does not fit")
    return method.eval(), cfg


def _no_method(path: str | PathLike[str], method: str, error: Exception) -> CheckpointError:
    why = error.what if isinstance(error, PalError) else repr(error)  # how to mend it is said of a config of one's own
    return CheckpointError(
        f"The config in the checkpoint {path} describes no {method} of here: {' '.join(why.split())[:300]}", _MEND
    )


def _other_networks(path: str | PathLike[str], method: str, why: str) -> CheckpointError:
    return CheckpointError(
        f"The checkpoint {path} holds other networks than {method} has here: {' '.join(why.split())[:300]}", _MEND
    )
