"""A user's own function as a prior."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.priors.base import Fittable, Images, Prior


class CallablePrior:
    """A function from images to features.

    Args:
        function: maps (B, H, W, 3) uint8, or a list of B arrays (H_i, W_i, 3) where images differ in size, to (B, D)
            numbers: an array or a torch tensor. Its attribute `key` says what its features depend on (weights,
            preprocessing), and has to change with it. A function of a module may do without: then it is the hash of
            that module's file, which does not cover what the file imports or reads.

    Raises:
        ConfigError: nothing tells what its features depend on.
    """

    def __init__(self, function: Callable[[Images], Any]) -> None:
        self._function = function
        module = getattr(function, "__module__", type(function).__module__)
        self.name = f"python:{module}:{getattr(function, '__qualname__', type(function).__qualname__)}"
        self.key = f"{self.name}, {_key(function, self.name)}"

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Return what the function gives for B images, as (B, D) float32.

        Raises:
            FeatureError: it gives no numbers.
        """
        found = self._function(images)
        if hasattr(found, "detach"):  # a torch tensor, without importing torch
            found = found.detach().cpu().float().numpy()
        try:
            return np.ascontiguousarray(found, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise FeatureError(
                f"The prior {self.name} gave a {type(found).__name__} that is no array of numbers: {error}",
                "Let it return (B, D) float32",
            ) from error


def python_prior(place: str) -> Prior | Fittable:
    """Return the prior at `module:name`; modules are also looked for in the working directory.

    Args:
        place: a prior, a class of priors that needs no arguments, or a function as `CallablePrior` takes it.

    Raises:
        ConfigError: there is no such module or name, its import fails, or it is nothing to call.
    """
    module_name, _, name = place.partition(":")
    if not module_name or not name:
        raise ConfigError(f"python:{place} is no function of a module", "Write python:module:function")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a console script has its own folder there
    try:
        thing: Any = importlib.import_module(module_name)
        for part in name.split("."):
            thing = getattr(thing, part)
    except Exception as error:  # whatever a user's module raises
        raise ConfigError(
            f"The prior python:{place} cannot be imported: {type(error).__name__}: {error}",
            f"Correct the module, or run where it can be imported (looked for in {here} too)",
        ) from error
    made: Any = thing() if inspect.isclass(thing) else thing
    if isinstance(made, (Prior, Fittable)):
        return made
    if not callable(made):
        raise ConfigError(f"The prior python:{place} is a {type(made).__name__}", "Name a function or a class")
    return CallablePrior(made)


def _key(function: Callable[..., Any], name: str) -> str:
    key = getattr(function, "key", None)
    if isinstance(key, str) and key:
        return key
    file = inspect.getsourcefile(function) if isinstance(function, types.FunctionType) else None
    if file is None or not Path(file).is_file() or function.__closure__ or "<locals>" in function.__qualname__:
        raise ConfigError(
            f"Nothing tells what the features of {name} depend on",
            "Set its attribute `key` to a string that changes with its weights and preprocessing",
        )
    return f"{Path(file).name} {hashlib.sha256(Path(file).read_bytes()).hexdigest()}"
