"""Frozen features of a data set: what every evaluation reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pal_plugin.data import eval_loader
from pal_plugin.errors import ConfigError, DeviceError, FeatureError
from pal_plugin.precision import fast_bfloat16
from pal_plugin.progress import progress

if TYPE_CHECKING:
    from pal_plugin.data import ImageDataset

PRECISIONS = ("auto", "float32", "bf16")


def encode(
    backbone: nn.Module,
    dataset: ImageDataset,
    *,
    batch_size: int = 256,
    device: str = "cpu",
    precision: str = "auto",
    crop_size: int | None = None,
    num_workers: int = 0,
) -> NDArray[np.float32]:
    """Return the features of every sample: unaugmented, normalised input, BatchNorm at its running statistics.

    The network is moved to `device`, and back with its train/eval modes restored, also when something fails.

    Args:
        backbone: maps (B, 3, S, S) to (B, D).
        dataset: N samples.
        batch_size: images at a time.
        device: a torch device, such as `"cuda"` or `"cpu"`.
        precision: `"float32"`, `"bf16"` (autocast), or `"auto"`: bf16 where the device has instructions for it.
        crop_size: side in pixels that images are resized to; None keeps their own.
        num_workers: processes that read and resize images, for those that are decoded as they are needed.

    Returns:
        (N, D) float32, in the data set's order.

    Raises:
        ConfigError: unknown precision.
        DataError: an image that cannot be read.
        DeviceError: a device that is not there.
        FeatureError: an output that is not (B, D).
    """
    target = find_device(device)
    parts: list[NDArray[np.float32]] = []
    loader = eval_loader(dataset, batch_size, crop_size, num_workers=num_workers)
    with at_rest(backbone, target), torch.inference_mode(), autocast(target, precision):
        for batch, _ in progress(loader, f"features of {dataset.name}/{dataset.split}"):
            features = backbone(batch.to(target))
            if features.ndim != 2:
                raise FeatureError(
                    f"The network gives {tuple(features.shape)} for {len(batch)} images",
                    "Pass a backbone without a spatial output: one vector an image",
                )
            parts.append(features.float().cpu().numpy())
    return np.concatenate(parts)


@contextlib.contextmanager
def at_rest(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Inside the block, `network` is on `device` and in eval mode; afterwards it is where and as it was."""
    modes = {module: module.training for module in network.modules()}
    home = next((parameter.device for parameter in network.parameters()), device)
    try:
        network.to(device).eval()
        yield
    finally:
        network.to(home)
        for module, training in modes.items():
            module.training = training


def find_device(device: str) -> torch.device:
    """Return the device of that name.

    Raises:
        DeviceError: it is not there.
    """
    try:
        target = torch.device(device)
        torch.empty(0, device=target)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise DeviceError(
            f"The device {device!r} was asked for and is not there ({str(error).splitlines()[0]})",
            "Use device=cpu, or mend what `pal doctor` lists",
        ) from error
    return target


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context that `encode` computes in.

    Raises:
        ConfigError: unknown precision.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"There is no precision {precision!r}", f"Choose one of {', '.join(PRECISIONS)}")
    if precision == "float32" or (precision == "auto" and not fast_bfloat16(device.type)):
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
