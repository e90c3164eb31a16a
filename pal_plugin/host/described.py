"""What a checkpoint says of the run that wrote it: checked, since a file may hold anything, before it is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pal_plugin.errors import CheckpointError

_MEND = "Name a model.ckpt or last.ckpt that pal train wrote"
_CHANNELS = 3
_MOST = 1 << 31  # no count of classes, side of an image or value of a pixel comes near it


def checked_config(config: object, place: str) -> dict[str, Any]:
    """Return a config that a checkpoint holds, if all that is read of it has the type that it has in our configs.

    Args:
        config: as it was read.
        place: the checkpoint, for messages.

    Raises:
        CheckpointError: something has another type, or is an interpolation: it would put in what this machine has in
            its environment, and our own configs are resolved when they are written.
    """
    if not isinstance(config, Mapping) or not all(isinstance(key, str) for key in config):
        raise CheckpointError(f"The checkpoint {place} holds a config that is none ({config!r:.40})", _MEND)
    for leaf in _leaves(config):
        if not isinstance(leaf, (str, int, float, type(None))):
            raise CheckpointError(f"The config in the checkpoint {place} holds a {type(leaf).__name__}", _MEND)
        if isinstance(leaf, str) and "${" in leaf:
            raise CheckpointError(
                f"The config in the checkpoint {place} has an interpolation ({leaf!r:.60})",
                "Write its value there: checkpoints that pal train writes have none",
            )
    for keys, (fits, wanted) in _PARTS.items():
        there, value = _at(config, keys.split("."))
        if there and not fits(value):
            raise CheckpointError(
                f"The config in the checkpoint {place} has {keys}={value!r:.60}, and {wanted} is wanted", _MEND
            )
    return dict(config)


def _leaves(value: object) -> Iterable[object]:
    """Yield what nested containers hold, keys too."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple)):
            waiting += value
        else:
            yield value


def _at(config: Mapping[str, Any], keys: list[str]) -> tuple[bool, Any]:
    value: Any = config
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < _MOST


def _are_pipelines(value: object) -> bool:
    """Return whether a value is a list of mappings whose crop sizes, where they are there, are sizes."""
    return isinstance(value, (list, tuple)) and all(
        _is_mapping(item) and ("crop_size" not in item or _is_count(item["crop_size"])) for item in value
    )


def _is_normalisation(value: object) -> bool:
    """Return whether a value is None, or has a mean and a standard deviation above 0 for each channel."""
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return False
    mean, std = value.get("mean"), value.get("std")
    return _is_triple(mean) and _is_triple(std) and all(part > 0 for part in std or ())


def _is_triple(value: object) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == _CHANNELS
        and all(isinstance(part, (int, float)) and not isinstance(part, bool) for part in value)
        and all(abs(part) < _MOST for part in value)
    )


_PARTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "method": (_is_text, "a name"),
    "backbone": (_is_mapping, "a mapping"),
    "backbone.name": (_is_text, "a name"),
    "backbone.stem": (lambda value: value is None or _is_text(value), "a name"),
    "backbone.kwargs": (lambda value: value is None or _is_mapping(value), "a mapping"),
    "data": (_is_mapping, "a mapping"),
    "data.dataset": (_is_text, "a name"),
    "data.num_classes": (lambda value: value is None or _is_count(value), "a number of 1 or more"),
    "augmentations": (_are_pipelines, "a list of mappings, with crop_size of 1 or more,"),
    "normalisation": (_is_normalisation, "a mean and a std of three numbers each"),
}
