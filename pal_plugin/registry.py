"""Names to things: our methods, priors, engines and selectors, and those that other distributions add.

A distribution adds one by an entry point in the group `pal_plugin.<kind>`, for example

    [project.entry-points."pal_plugin.methods"]
    my_method = "my_package.methods:MyMethod"

What is wrong with one distribution's entries leaves everybody else's alone: it is an error where such an entry is asked
for by name, and a problem that `pal doctor` lists.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pal_plugin.errors import ConfigError, PalError

DISTRIBUTION = "pal-plugin"
STRICT_ENV = "PAL_STRICT_PLUGINS"


def near_matches(name: object, known: Iterable[str]) -> str:
    """Return a clause that names the closest of `known` to `name`, or all of them where none is close."""
    options = sorted(known)
    close = difflib.get_close_matches(str(name), options, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"there are: {', '.join(options)}"


class Registry:
    """Lazy name → object table of one entry-point group.

    Args:
        kind: what the entries are, in the singular (`"method"`); the group is `pal_plugin.<kind>s`.
        fits: whether an object can be an entry.
        wanted: what such an object is, for messages.
    """

    def __init__(
        self, kind: str, fits: Callable[[Any], bool] = callable, wanted: str = "something that can be called"
    ) -> None:
        self.kind, self.fits, self.wanted = kind, fits, wanted
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
        points = [] if held is thing else self._points().get(name, [])
        if points and self.get(name) is not thing:
            raise self._taken(name, _whereabouts(points[0]), thing)
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
            ConfigError: no such name (with the near matches), two distributions of others have it, its import failed,
                or it is of another kind.
        """
        if name in self._added:
            return self._added[name]
        points = self._points()
        if name not in points:
            raise ConfigError(
                f"There is no {self.kind} called {name!r}", f"Choose another name: {near_matches(name, self)}"
            )
        return self._load(name, points[name])

    def load_all(self) -> dict[str, Any]:
        """Import every entry; a broken one warns with its name and distribution and is left out.

        With the environment variable `PAL_STRICT_PLUGINS=1` it raises instead.
        """
        loaded: dict[str, Any] = {}
        for name in self:
            try:
                loaded[name] = self.get(name)
            except PalError as error:
                _complain(error)
        return loaded

    def broken(self) -> list[PalError]:
        """Import what other distributions add, and return what is wrong with it; `PAL_STRICT_PLUGINS` changes nothing.

        Where something of this package itself cannot be imported, a package that it needs is missing.
        """
        points, problems = self._found()
        for name, same in sorted(points.items()):
            if not _is_ours(same[0]):
                try:
                    self._load(name, same)
                except PalError as error:
                    problems.append(error)
        return problems

    def __iter__(self) -> Iterator[str]:
        yield from sorted({*self._added, *self._points()})

    def __contains__(self, name: str) -> bool:
        return name in self._added or name in self._points()

    def _load(self, name: str, points: list[EntryPoint]) -> Any:
        point = points[0]
        if len(points) > 1:
            raise ConfigError(
                f"Two {self.kind}s are called {name!r}: {_whereabouts(point)} and {_whereabouts(points[1])}",
                "Uninstall one of the two distributions",
            )
        place = f"The {self.kind} {name!r} of {_distribution(point)} ({point.value})"
        try:
            thing = point.load()
        except (Exception, SystemExit) as error:  # a module that is a script ends the program as it is imported
            why = f"importing it exits with {error.code!r}" if isinstance(error, SystemExit) else str(error)
            raise ConfigError(f"{place} cannot be imported: {why}", _MEND) from error
        if not self.fits(thing):
            raise ConfigError(f"{place} is {_described(thing)}, not {self.wanted}", _MEND)
        return thing

    def _points(self) -> dict[str, list[EntryPoint]]:
        points, left_out = self._found()
        for error in left_out:
            _complain(error)
        return points

    def _found(self) -> tuple[dict[str, list[EntryPoint]], list[PalError]]:
        """Return the entry points by name, and what is said of others' that are left out since ours have their names.

        A name has more than one entry point where distributions of others clash.
        """
        points: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            same = points.setdefault(point.name, [])
            if point.value not in [held.value for held in same]:
                same.append(point)
        left_out: list[PalError] = []
        for name, same in points.items():
            ours = [point for point in same if _is_ours(point)]
            if ours:
                points[name] = ours[:1]
                left_out += [self._shadowed(point) for point in same if not _is_ours(point)]
        return points, left_out

    def _shadowed(self, point: EntryPoint) -> ConfigError:
        return ConfigError(
            f"The {self.kind} {point.name!r} of {_distribution(point)} ({point.value}) is left out: "
            f"{DISTRIBUTION} has one of that name",
            "Rename it there, or uninstall that distribution",
        )


_MEND = "Repair or uninstall that distribution"


def _complain(error: PalError) -> None:
    """Warn of an entry that is left out, or raise where authors ask for that. The same is warned of once."""
    if os.environ.get(STRICT_ENV) == "1":
        raise error
    warnings.warn(str(error), RuntimeWarning, stacklevel=1)  # one place for all, by which Python knows repetitions


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "an unknown distribution"


def _is_ours(point: EntryPoint) -> bool:
    return point.dist is not None and point.dist.name.replace("_", "-").lower() == DISTRIBUTION


def _whereabouts(point: EntryPoint) -> str:
    return f"{point.value} of {_distribution(point)}"


def _described(thing: Any) -> str:
    return f"the class {_place(thing)}" if isinstance(thing, type) else f"of the type {type(thing).__name__}"


def _is_method(thing: Any) -> bool:
    # known by what BaseMethod alone has: its import would bring the host, which stands above this module
    return isinstance(thing, type) and hasattr(thing, "wants_pair_batch")


def _place(thing: Any) -> str:
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"


methods = Registry("method", _is_method, "a subclass of pal_plugin.host.BaseMethod")
priors = Registry("prior")
engines = Registry("engine")
oracles = Registry("oracle")
selectors = Registry("selector")

KINDS = (methods, priors, engines, oracles, selectors)
