"""Which devices of this machine a config means, before there is a trainer to ask."""

from __future__ import annotations

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
    devices = cfg.devices
    if isinstance(devices, str) and devices != "auto":
        try:
            devices = [int(part) for part in devices.split(",") if part.strip()] if "," in devices else int(devices)
        except ValueError as error:
            raise ConfigError(f"devices is {devices!r}", "Set it to a number, a list of indices, or auto") from error
    if devices in ("auto", -1):
        return torch.cuda.device_count() if on_gpu(cfg) else 1
    return devices if isinstance(devices, int) else len(devices)
