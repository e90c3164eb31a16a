"""Find a method by name: the host's own, a third party's, or one of these on pairs of neighbours."""

from __future__ import annotations

from typing import Any

from pal_plugin import registry
from pal_plugin.errors import ConfigError
from pal_plugin.host import METHODS, BaseMethod
from pal_plugin.methods.adassl import ADASSL_METHODS
from pal_plugin.methods.gps import PREFIX, on_pairs
from pal_plugin.methods.pal import PAL_METHODS

OURS: dict[str, type] = {**PAL_METHODS, **ADASSL_METHODS}


def method_names() -> list[str]:
    """Return the names of all methods that can be trained here."""
    return sorted({*METHODS, *OURS, *registry.methods, *(PREFIX + name for name in _plain())})


def find_method(name: str) -> type:
    """Return the class of the method `name`; `gps_NAME` is made of any other method on demand.

    Raises:
        ConfigError: no such method (with the near matches), one that is no method of the host's base class, or
            `gps_NAME` of a method that takes pairs already.
    """
    if name in registry.methods:
        return _checked(name, registry.methods.get(name))
    for ours in (METHODS, OURS):
        if name in ours:
            return ours[name]
    base = name.removeprefix(PREFIX)
    if base == name or base not in {*METHODS, *OURS, *registry.methods}:
        known = registry.near_matches(name, method_names())
        raise ConfigError(f"There is no method called {name!r}", f"Choose another: {known}")
    found: Any = find_method(base)
    if found.wants_pair_batch:
        raise ConfigError(f"The method {base!r} takes pairs as it is", f"Set method={base}")
    return on_pairs(found)


def pair_methods() -> dict[str, type]:
    """Return every `gps_*`, `pal_*`, `adassl_*` and third-party method by name; a broken one warns and is left out."""
    paired = {name: find_method(name) for name in map(PREFIX.__add__, _plain())}
    return {**OURS, **registry.methods.load_all(), **paired}


def _plain() -> dict[str, type]:
    """Return the methods that can be put on pairs."""
    added = registry.methods.load_all()
    return {name: method for name, method in {**METHODS, **added}.items() if not _takes_pairs(method)}


def _takes_pairs(method: Any) -> bool:
    return bool(getattr(method, "wants_pair_batch", True))


def _checked(name: str, found: Any) -> type:
    if isinstance(found, type) and issubclass(found, BaseMethod):
        return found
    raise ConfigError(
        f"The method {name!r} ({found!r}) is not a subclass of pal_plugin.host.BaseMethod",
        "Derive it from a class in pal_plugin.host.METHODS",
    )
