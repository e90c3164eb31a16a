"""What to compute in: whether a device is faster in bfloat16 than in float32, and what a run's `auto` means by it."""

from __future__ import annotations

import torch
from omegaconf import DictConfig

from pal_plugin.devices import on_gpu


def fast_bfloat16(device: str) -> bool:
    """Return whether a device (`"cpu"` or `"cuda"`) has bfloat16 instructions; without them it only emulates them."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())  # older PyTorches cannot tell


def training_precision(cfg: DictConfig) -> str:
    """Return Lightning's name of the precision that `cfg` trains in: what it names, or for `auto` this machine's.

    `auto` is bfloat16 where the device computes in it, a function of the device alone: two runs on one machine agree.
    """
    if cfg.precision != "auto":
        return str(cfg.precision)
    if fast_bfloat16("cuda" if on_gpu(cfg) else "cpu"):
        return "bf16-mixed"
    return "16-mixed" if on_gpu(cfg) else "32-true"
