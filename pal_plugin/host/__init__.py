"""The host: solo-learn's release or its GitHub main, presented with main's API. No other room imports `solo`.

`host_info` is light; the other names import torch, Lightning and solo-learn when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pal_plugin.host.detect import HostInfo, host_info

if TYPE_CHECKING:
    from pal_plugin.host.adapt import METHODS
    from pal_plugin.host.base import HostBase as BaseMethod
    from pal_plugin.host.base import HostMomentum as BaseMomentumMethod
    from pal_plugin.host.base import PairBatch
    from pal_plugin.host.checkpoint import load_backbone, load_checkpoint
    from pal_plugin.host.config import parse_cfg
    from pal_plugin.host.pairs import PAIR_REPAIRS, needs_pair_batch

_LAZY = {
    "METHODS": ("adapt", "METHODS"),
    "BaseMethod": ("base", "HostBase"),
    "BaseMomentumMethod": ("base", "HostMomentum"),
    "PAIR_REPAIRS": ("pairs", "PAIR_REPAIRS"),
    "PairBatch": ("base", "PairBatch"),
    "load_backbone": ("checkpoint", "load_backbone"),
    "load_checkpoint": ("checkpoint", "load_checkpoint"),
    "needs_pair_batch": ("pairs", "needs_pair_batch"),
    "parse_cfg": ("config", "parse_cfg"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


__all__ = [
    "METHODS",
    "PAIR_REPAIRS",
    "BaseMethod",
    "BaseMomentumMethod",
    "HostInfo",
    "PairBatch",
    "host_info",
    "load_backbone",
    "load_checkpoint",
    "needs_pair_batch",
    "parse_cfg",
]
