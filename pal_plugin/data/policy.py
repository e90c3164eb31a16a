"""Augmentation policies, in the words of solo-learn's `augmentations` configs."""

from __future__ import annotations

import dataclasses
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
            _require(_is_count(getattr(self, name)), name, "a whole number of at least 1", getattr(self, name))
        operations = ("color_jitter", "grayscale", "gaussian_blur", "solarization", "equalization", "horizontal_flip")
        for name in operations:
            prob = getattr(self, name).prob
            _require(0 <= prob <= 1, f"{name}.prob", "between 0 and 1", prob)
        low, high = self.rrc.crop_min_scale, self.rrc.crop_max_scale
        _require(0 < low <= high <= 1, "rrc.crop_min_scale, crop_max_scale", "0 < min ≤ max ≤ 1", (low, high))
        jitter = self.color_jitter
        for name in ("brightness", "contrast", "saturation"):
            _require(getattr(jitter, name) >= 0, f"color_jitter.{name}", "at least 0", getattr(jitter, name))
        _require(0 <= jitter.hue <= 0.5, "color_jitter.hue", "between 0 and 0.5", jitter.hue)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Policy:
        """Read one entry of an `augmentations` list; operations that are left out are off.

        Args:
            config: `{"rrc": {"enabled": …, …}, "color_jitter": {"prob": …, …}, …, "crop_size": …, "num_crops": …}`.

        Raises:
            ConfigError: an unknown key (with the near matches), no `crop_size`, or a value out of range.
        """
        groups: dict[str, type[Any]] = {"rrc": Crop, "color_jitter": Jitter}
        values: dict[str, Any] = {}
        for key, value in config.items():
            if key in ("crop_size", "num_crops"):
                values[key] = value
            else:
                values[key] = _build(groups.get(key, Chance), value, key) if key in _OPERATIONS else value
        if "crop_size" not in values:
            raise ConfigError("An augmentation has no crop_size", "Add one, for example crop_size: 32")
        return _build(cls, values, "an augmentation")


_OPERATIONS = {field.name for field in dataclasses.fields(Policy)} - {"crop_size", "num_crops"}


def _build(kind: type[_T], config: Any, where: str) -> _T:
    if not isinstance(config, Mapping):
        raise ConfigError(f"{where} is {config!r}, not a mapping", f"Write it as, for example, {where}: {{prob: 0.5}}")
    names = {field.name for field in dataclasses.fields(cast(Any, kind))}
    for key in config:
        if key not in names:
            raise ConfigError(f"{where} has no option {key!r}", f"Choose another: {near_matches(str(key), names)}")
    return kind(**config)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _require(holds: bool, name: str, rule: str, value: object) -> None:
    if not holds:
        raise ConfigError(f"The augmentation's {name} is {value!r}", f"Set it to {rule}")
