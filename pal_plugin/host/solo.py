"""The one place that imports `solo`; everything it takes from there passes through here."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from typing import Any

from pal_plugin.errors import HostError
from pal_plugin.host.aliases import release_aliases
from pal_plugin.host.detect import INSTALL, host_info

INFO = host_info()

with release_aliases() if INFO.kind == "release" else contextlib.nullcontext(), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # decorators and escapes that newer Pythons and PyTorches deprecate
    try:
        methods: Any = importlib.import_module("solo.methods")
        base: Any = importlib.import_module("solo.methods.base")
        momentum: Any = importlib.import_module("solo.utils.momentum")
        losses: Any = importlib.import_module("solo.losses")
    except ImportError as error:
        raise HostError(f"solo-learn at {INFO.path} cannot be imported: {error}", f"Run: {INSTALL}") from error

SoloBase: Any = base.BaseMethod
SoloMomentum: Any = base.BaseMomentumMethod
SOLO_METHODS: dict[str, type] = methods.METHODS
initialize_momentum_params: Any = momentum.initialize_momentum_params
