"""Options of a data set: their values, from a config or from `--option key=value`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pal_plugin.errors import ConfigError

_T = TypeVar("_T")


def choice(options: Mapping[str, Any], name: str, allowed: tuple[_T, ...]) -> _T:
    """Return the option `name`, or the first of `allowed` if it is not given.

    Raises:
        ConfigError: it has a value that is not allowed.
    """
    value = options.get(name, allowed[0])
    for candidate in allowed:
        if value == candidate:
            return candidate
    values = ", ".join(str(candidate).lower() for candidate in allowed)
    raise ConfigError(f"The data set's option {name} is {value!r}", f"Set it to one of: {values}")
