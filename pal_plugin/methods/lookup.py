"""Find a method by name: the plugin's, a third party's, or the host's own."""

from __future__ import annotations

from pal_plugin import registry
from pal_plugin.errors import ConfigError
from pal_plugin.host import METHODS, BaseMethod


def method_names() -> list[str]:
    """Return the names of all methods that can be trained here."""
    return sorted({*METHODS, *registry.methods})


def find_method(name: str) -> type:
    """Return the class of the method `name`.

    Raises:
        ConfigError: no such method (with the near matches), or one that is no method of the host's base class.
    """
    if name in METHODS and name not in registry.methods:
        return METHODS[name]
    if name not in registry.methods:
        known = registry.near_matches(name, method_names())
        raise ConfigError(f"There is no method called {name!r}", f"Choose another: {known}")
    found = registry.methods.get(name)
    if not (isinstance(found, type) and issubclass(found, BaseMethod)):
        raise ConfigError(
            f"The method {name!r} ({found!r}) is not a subclass of pal_plugin.host.BaseMethod",
            "Derive it from a class in pal_plugin.host.METHODS",
        )
    return found
