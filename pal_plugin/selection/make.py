"""Selectors by name, as commands and configs ask for them."""

from __future__ import annotations

import inspect
from typing import Any

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches, selectors
from pal_plugin.selection.base import Selector


def make_selector(name: str, **parameters: Any) -> Selector:
    """Return the selector of a name: an entry of the group `pal_plugin.selectors`.

    Args:
        name: `kcenter`, `typiclust`, `probcover`, `kmedoids`, `facility`, `coreset`, `random`, or a third party's.
        parameters: the selector's own.

    Raises:
        ConfigError: no selector of that name, or a parameter that it does not have.
    """
    kind = selectors.get(name)
    known = list(inspect.signature(kind).parameters)
    for parameter in parameters:
        if parameter not in known:
            raise ConfigError(
                f"The selector {name} has no parameter {parameter!r}",
                f"Choose another: {near_matches(parameter, known)}",
            )
    selector: Selector = kind(**parameters)
    return selector
