"""Networks for small images: wide residual networks, and ResNet-18 without its first pooling."""

from __future__ import annotations

import copy
import re

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from pal_plugin.errors import ConfigError


class _Block(nn.Module):
    """BatchNorm, ReLU, 3×3 convolution, twice; beside it the input, by a 1×1 convolution where the shape changes."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        same = stride == 1 and channels == width
        self.shortcut = None if same else nn.Conv2d(channels, width, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, S / stride, S / stride) of x (B, channels, S, S)."""
        activated = F.relu(self.norm1(x))
        beside = x if self.shortcut is None else self.shortcut(activated)
        hidden = self.dropout(F.relu(self.norm2(self.conv1(activated))))
        out: Tensor = self.conv2(hidden) + beside
        return out


class WideResNet(nn.Module):
    """WRN-depth-width: three groups of (depth − 4) / 6 pre-activation blocks, 16, 32 and 64 times `width` channels.

    Args:
        depth: 6n + 4.
        width: the factor on the channels of a plain residual network.
        num_classes: how many scores.
        dropout: probability, between the convolutions of a block.

    Raises:
        ConfigError: a depth that is not 6n + 4, n ≥ 1, or a width below 1.

    Source: Zagoruyko & Komodakis, Wide Residual Networks (arXiv 1605.07146).
    """

    def __init__(self, depth: int, width: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1 or width < 1:
            raise ConfigError(f"There is no WRN-{depth}-{width}", "Choose a depth of 10, 16, 22, 28, … and a width")
        layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, padding=1, bias=False)]
        channels = 16
        for group, plain in enumerate((16, 32, 64)):
            for block in range(blocks):
                layers.append(_Block(channels, plain * width, 2 if group and not block else 1, dropout))
                channels = plain * width
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (B, C) of images (B, 3, S, S), S at least 4."""
        scores: Tensor = self.head(self.features(x).mean(dim=(2, 3)))
        return scores


def make_classifier(name: str, num_classes: int, *, dropout: float = 0.0) -> nn.Module:
    """Return a network with the weights that it begins with: `wrn-28-10`, `wrn-16-1`, …, or `resnet18`.

    ResNet-18 has a 3×3 first convolution of stride 1 and no pooling after it, as is usual for 32×32 images; it has no
    dropout.

    Raises:
        ConfigError: no such network, or one without dropout that is to have some.
    """
    wide = re.fullmatch(r"wrn-(\d+)-(\d+)", name)
    if wide:
        return WideResNet(int(wide[1]), int(wide[2]), num_classes, dropout)
    if name != "resnet18" or dropout:
        raise ConfigError(
            f"There is no network {name!r}" + (f" with a dropout of {dropout:g}" if dropout else ""),
            "Choose wrn-DEPTH-WIDTH, such as wrn-28-10 or wrn-16-1, or resnet18 without dropout",
        )
    network: nn.Module = resnet18(num_classes=num_classes)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
    return network


def headless(network: nn.Module) -> nn.Module:
    """Return a network of `make_classifier` that gives what its last layer reads, (B, D); the weights are shared."""
    body = copy.copy(network)
    body._modules = {**network._modules, "head" if isinstance(network, WideResNet) else "fc": nn.Identity()}
    return body
