"""Which devices of this machine a config means, before there is a trainer to ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from omegaconf import DictConfig

from pal_plugin.errors import ConfigError


def on_gpu(cfg: DictConfig) -> bool:
    """Return whether `cfg.accelerator`, `auto` where a config names none, means CUDA here."""
    return cfg.get("accelerator", "auto") in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def device_count(cfg: DictConfig) -> int:
    """Return how many devices `cfg.devices` means, as Lightning reads it.

    Args:
        cfg: its `devices` are a number, a list of indices, either of them as text (`"2"`, `"0,1"`), or `auto` or -1 for
            all there are: of CPUs that is one.

    Raises:
        ConfigError: it is none of these.
    """
    devices = _parsed(cfg.devices)
    if devices == "auto" or (_whole(devices) and devices == -1):
        return torch.cuda.device_count() if on_gpu(cfg) else 1
    if _whole(devices) and devices >= 1:
        return int(devices)
    if isinstance(devices, Sequence) and len(devices) and all(_whole(index) and index >= 0 for index in devices):
        return len(devices)
    raise ConfigError(f"devices is {cfg.devices!r}", "Set it to a number of 1 or more, a list of indices, or auto")


def _parsed(devices: Any) -> Any:
    if not isinstance(devices, str):
        return devices
    try:
        return [int(part) for part in devices.split(",") if part.strip()] if "," in devices else int(devices)
    except ValueError:
        return devices


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
