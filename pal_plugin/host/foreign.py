"""What a checkpoint of plain solo-learn was trained with, as far as it and the `args.json` beside it tell.

The release (1.0.2) writes its command line there, flat, and calls the network `encoder`; GitHub main writes its config,
nested, and calls it `backbone`. Neither says which stem a ResNet has: its first convolution does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from pal_plugin.errors import CheckpointError
from pal_plugin.host.described import checked_config

ARGS = "args.json"  # what the checkpointers of both solo-learns put beside their checkpoints
_CIFAR_KERNEL = 3
_BACKBONE_ONLY = ("cifar",)  # arguments that the release takes for the stem and does not pass on


def foreign_config(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the part of our config that describes the network, as far as it is known.

    Args:
        checkpoint: its networks under main's names.
        path: where it was read from; `args.json` is looked for beside it.

    Returns:
        `backbone` with a `stem` and, where something tells them, `name`, `kwargs`, `data.dataset` and
        `augmentations[0].crop_size`.

    Raises:
        CheckpointError: `args.json` is damaged, or one of them says something that cannot be.
    """
    found = _arguments(checkpoint, path)
    config = _from_release(found) if isinstance(found.get("encoder"), str) else _from_main(found)
    config["backbone"]["stem"] = _stem(checkpoint["state_dict"])
    return checked_config(config, str(path))


def _arguments(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Any]:
    inside = checkpoint.get("hyper_parameters")
    if isinstance(inside, Mapping) and inside:
        nested = inside.get("cfg")
        return dict(nested if isinstance(nested, Mapping) else inside)
    beside = path.with_name(ARGS)
    if not beside.is_file():
        return {}
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{beside} is not JSON: {error}", "Remove it and name the architecture, for example --backbone resnet18"
        ) from error
    return content if isinstance(content, dict) else {}


def _from_release(arguments: Mapping[str, Any]) -> dict[str, Any]:
    given = _mapping(arguments, "backbone_args")
    kwargs = {key: value for key, value in given.items() if key not in _BACKBONE_ONLY}
    if "swin" in arguments["encoder"] and given.get("cifar"):
        kwargs["window_size"] = 4  # the release's own rule
    config: dict[str, Any] = {"backbone": {"name": arguments["encoder"], "kwargs": kwargs}}
    sizes = arguments.get("crop_size")
    return config | _data(arguments.get("dataset"), sizes[0] if isinstance(sizes, list) and sizes else sizes)


def _from_main(arguments: Mapping[str, Any]) -> dict[str, Any]:
    described = _mapping(arguments, "backbone")
    config: dict[str, Any] = {"backbone": {"kwargs": _mapping(described, "kwargs")}}
    if "name" in described:
        config["backbone"]["name"] = described["name"]
    if isinstance(arguments.get("method"), str):
        config["method"] = arguments["method"]  # main's networks differ by it
    pipelines = arguments.get("augmentations")
    first = pipelines[0] if isinstance(pipelines, list) and pipelines and isinstance(pipelines[0], Mapping) else {}
    return config | _data(_mapping(arguments, "data").get("dataset"), first.get("crop_size"))


def _data(dataset: Any, crop_size: Any) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if isinstance(dataset, str):
        known["data"] = {"dataset": dataset}
    if isinstance(crop_size, int) and not isinstance(crop_size, bool):
        known["augmentations"] = [{"crop_size": crop_size}]
    return known


def _mapping(arguments: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = arguments.get(key)
    return dict(value) if isinstance(value, Mapping) else {}


def _stem(state: Mapping[str, Tensor]) -> str:
    first = state.get("backbone.conv1.weight")
    return "cifar" if first is not None and first.shape[-1] == _CIFAR_KERNEL else "imagenet"
