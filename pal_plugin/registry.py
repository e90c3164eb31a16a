"""Names to things: our methods, priors, engines and selectors, and those that other distributions add.

A distribution adds one by an entry point in the group `pal_plugin.<kind>`, for example

    [project.entry-points."pal_plugin.methods"]
    my_method = "my_package.methods:MyMethod"
"""

from __future__ import annotations

import contextlib
import difflib
import os
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pal_plugin.errors import ConfigError

STRICT_ENV = "PAL_STRICT_PLUGINS"


def near_matches(name: str, known: Iterable[str]) -> str:
    """Return a clause that names the closest of `known` to `name`, or all of them where none is close."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(options)}"


class Registry:
    """Lazy name → object table of one entry-point group.

    Args:
        kind: what the entries are, in the singular (`"method"`); the group is `pal_plugin.<kind>s`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.group = f"pal_plugin.{kind}s"
        self._added: dict[str, Any] = {}

    def add(self, name: str, thing: Any) -> None:
        """Register `thing` for this process.

        A method that is called as one of solo-learn's, or as one that ships with this package, goes before it.

        Raises:
            ConfigError: the name was added for another object, or is the entry point of one.
        """
        held = self._added.get(name)
        if held is not None and held is not thing:
            raise self._taken(name, _place(held), thing)
        point = None if held is thing else self._points().get(name)
        if point is not None and self.get(name) is not thing:
            raise self._taken(name, f"{point.value} of {_distribution(point)}", thing)
        self._added[name] = thing

    def _taken(self, name: str, place: str, thing: Any) -> ConfigError:
        return ConfigError(f"Two {self.kind}s are called {name!r}: {place} and {_place(thing)}", "Rename one of them")

    @contextlib.contextmanager
    def holding(self, name: str, thing: Any) -> Iterator[None]:
        """Register `thing` as long as the block runs; one that is registered already stays; errors as `add`."""
        already = name in self._added
        self.add(name, thing)
        try:
            yield
        finally:
            if not already:
                del self._added[name]

    def get(self, name: str) -> Any:
        """Return the object called `name`, importing it if need be.

        Raises:
            ConfigError: no such name (with the near matches), or its import failed.
        """
        if name in self._added:
            return self._added[name]
        points = self._points()
        if name not in points:
            raise ConfigError(
                f"There is no {self.kind} called {name!r}", f"Choose another name: {near_matches(name, self)}"
            )
        point = points[name]
        try:
            return point.load()
        except Exception as error:
            raise ConfigError(
                f"The {self.kind} {name!r} of {_distribution(point)} ({point.value}) cannot be imported: {error}",
                "Repair or uninstall that distribution",
            ) from error

    def load_all(self) -> dict[str, Any]:
        """Import every entry; a broken one warns with its name and distribution and is left out.

        With the environment variable `PAL_STRICT_PLUGINS=1` it raises instead.
        """
        loaded: dict[str, Any] = {}
        for name in self:
            try:
                loaded[name] = self.get(name)
            except ConfigError as error:
                if os.environ.get(STRICT_ENV) == "1":
                    raise
                warnings.warn(str(error), RuntimeWarning, stacklevel=2)
        return loaded

    def __iter__(self) -> Iterator[str]:
        yield from sorted({*self._added, *self._points()})

    def __contains__(self, name: str) -> bool:
        return name in self._added or name in self._points()

    def _points(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            held = points.setdefault(point.name, point)
            if held.value != point.value:
                raise ConfigError(
                    f"Two {self.kind}s are called {point.name!r}: {held.value} of {_distribution(held)} "
                    f"and {point.value} of {_distribution(point)}",
                    "Uninstall one of the two distributions",
                )
        return points


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _place(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"


methods = Registry("method")
priors = Registry("prior")
engines = Registry("engine")
oracles = Registry("oracle")
selectors = Registry("selector")
