"""Augmentation policies, in the words of solo-learn's `augmentations` configs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches

_T = TypeVar("_T")


@dataclass(frozen=True)
class Crop:
    """RandomResizedCrop: the crop's share of the image's area, and whether to crop at all."""

    enabled: bool = False
    crop_min_scale: float = 0.08
    crop_max_scale: float = 1.0


@dataclass(frozen=True)
class Jitter:
    """ColorJitter with probability `prob`: strengths as torchvision's; 0 switches one of the four off."""

    prob: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0


@dataclass(frozen=True)
class Chance:
    """An operation without parameters, applied with probability `prob`."""

    prob: float = 0.0


@dataclass(frozen=True)
class Policy:
    """How one view (or `num_crops` views) is made; operations happen in the order of the fields.

    Attributes:
        crop_size: side of the square output, in pixels.
        num_crops: how many views of a batch are made this way.

    Raises:
        ConfigError: a value is out of range.
    """

    crop_size: int
    rrc: Crop = field(default_factory=Crop)
    color_jitter: Jitter = field(default_factory=Jitter)
    grayscale: Chance = field(default_factory=Chance)
    gaussian_blur: Chance = field(default_factory=Chance)
    solarization: Chance = field(default_factory=Chance)
    equalization: Chance = field(default_factory=Chance)
    horizontal_flip: Chance = field(default_factory=Chance)
    num_crops: int = 1

    def __post_init__(self) -> None:
        for name in ("crop_size", "num_crops"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigError(f"The augmentation's {name} is {value!r}", "Set it to a whole number of at least 1")
        for name in sorted(_OPERATIONS - {"rrc"}):
            _check_range(f"{name}.prob", getattr(self, name).prob, 0, 1)
        for name in ("brightness", "contrast", "saturation"):
            _check_range(f"color_jitter.{name}", getattr(self.color_jitter, name), 0, math.inf)
        _check_range("color_jitter.hue", self.color_jitter.hue, 0, 0.5)
        _check_range("rrc.crop_max_scale", self.rrc.crop_max_scale, 1e-6, 1)
        _check_range("rrc.crop_min_scale", self.rrc.crop_min_scale, 1e-6, self.rrc.crop_max_scale)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Policy:
        """Read one entry of an `augmentations` list; operations that are left out are off.

        Args:
            config: `{"rrc": {"enabled": …, …}, "color_jitter": {"prob": …, …}, …, "crop_size": …, "num_crops": …}`.

        Raises:
            ConfigError: an unknown key (with the near matches), no `crop_size`, or a value out of range.
        """
        values = dict(config)
        for name in _OPERATIONS & values.keys():
            values[name] = _build(_GROUPS.get(name, Chance), values[name], name)
        if "crop_size" not in values:
            raise ConfigError("An augmentation has no crop_size", "Add one, for example crop_size: 32")
        return _build(cls, values, "an augmentation")


_OPERATIONS = {field.name for field in dataclasses.fields(Policy)} - {"crop_size", "num_crops"}
_GROUPS: dict[str, type[Any]] = {"rrc": Crop, "color_jitter": Jitter}


def _build(kind: type[_T], config: Any, where: str) -> _T:
    if not isinstance(config, Mapping):
        raise ConfigError(f"{where} is {config!r}, not a mapping", f"Write it as, for example, {where}: {{prob: 0.5}}")
    names = {field.name for field in dataclasses.fields(cast(Any, kind))}
    for key in config:
        if key not in names:
            raise ConfigError(f"{where} has no option {key!r}", f"Choose another: {near_matches(str(key), names)}")
    return kind(**config)


def _check_range(name: str, value: object, low: float, high: float) -> None:
    if not isinstance(value, (int, float)) or not low <= value <= high:
        raise ConfigError(f"The augmentation's {name} is {value!r}", f"Set it to a number from {low} to {high}")
