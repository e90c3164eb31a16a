"""What a prior is, and how one is found by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches, priors

if TYPE_CHECKING:
    from pal_plugin.data.dataset import ImageDataset

Images: TypeAlias = npt.NDArray[np.uint8] | Sequence[npt.NDArray[np.uint8]]
"""Images as priors get them: one (B, H, W, 3) uint8 array, or where they differ in size B arrays (H_i, W_i, 3)."""


@runtime_checkable
class Prior(Protocol):
    """A map from images to features in which near means alike.

    A prior sees raw images and brings its own preprocessing: the resolution and normalisation of the network that is
    to be trained are none of its business.
    """

    @property
    def name(self) -> str:
        """What it is called in configs and tables."""
        ...

    @property
    def key(self) -> str:
        """All that its features depend on: a hash of the weights, the preprocessing, the precision."""
        ...

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Map B images to (B, D) float32 features."""
        ...


@runtime_checkable
class Fittable(Protocol):
    """A prior that needs to see the data set before it can embed an image."""

    @property
    def name(self) -> str:
        """What it is called in configs and tables."""
        ...

    def fitted(self, dataset: ImageDataset) -> Prior:
        """Return the prior that `dataset` makes of it."""
        ...


AnyPrior: TypeAlias = Prior | Fittable | Callable[[Images], Any]
"""What can embed: a prior, one to be fitted first, or a plain function (see `CallablePrior`)."""


def make_prior(spec: str | AnyPrior) -> Prior | Fittable:
    """Return the prior that `spec` describes: `SCHEME[:ARGUMENT][?OPTION=VALUE[&OPTION=VALUE…]]`.

    The scheme is a name in the entry-point group `pal_plugin.priors`, whose object is called with the argument, if
    there is one, and the options by name. For example `lite0`, `lite0?precision=float32`, `pca:64`,
    `timm:vit_small_patch14_dinov2.lvd142m`, `timm:resnet18?checkpoint=/path/to/weights.pth`.

    Args:
        spec: as above; a prior is returned as it is and a function is made one.

    Raises:
        ConfigError: there is no such scheme, it does not take that argument or option, or it makes no prior.
        PalError: what the prior itself finds wrong, such as weights that are not there.
    """
    if not isinstance(spec, str):
        return _as_prior(spec)
    scheme, argument, options = parse_spec(spec)
    make = priors.get(scheme)
    try:
        bound = inspect.signature(make).bind(*([] if argument is None else [argument]), **options)
    except TypeError as error:
        raise ConfigError(f"The prior {spec!r} does not fit: {error}", _usage(scheme, make, options)) from error
    prior = make(*bound.args, **bound.kwargs)
    if not isinstance(prior, (Prior, Fittable)):
        raise ConfigError(f"The prior {spec!r} lacks name, key or embed()", "See pal_plugin.priors.Prior")
    return prior


def parse_spec(spec: str) -> tuple[str, str | None, dict[str, str]]:
    """Take a spec apart into scheme, argument and options.

    Raises:
        ConfigError: what follows the last `?` is no list of options.
    """
    whole, mark, tail = spec.rpartition("?")
    if not mark:
        whole, tail = spec, ""
    options: dict[str, str] = {}
    for part in tail.split("&") if mark else []:
        key, equals, value = part.partition("=")
        if not equals or not key or not value or key in options:
            raise ConfigError(f"{part!r} in the prior {spec!r} is no option", "Write …?option=value&other=value")
        options[key] = value
    scheme, colon, argument = whole.partition(":")
    return scheme, argument if colon else None, options


def ready(prior: AnyPrior, dataset: ImageDataset) -> Prior:
    """Return `prior` as it can embed: fitted to `dataset` if it needs that, a function made a prior."""
    made = _as_prior(prior)
    return made.fitted(dataset) if isinstance(made, Fittable) else made


def _as_prior(prior: AnyPrior) -> Prior | Fittable:
    if isinstance(prior, (Prior, Fittable)):
        return prior
    from pal_plugin.priors.callables import CallablePrior

    return CallablePrior(prior)


def _usage(scheme: str, make: Callable[..., Any], options: dict[str, str]) -> str:
    parameters = inspect.signature(make).parameters.values()
    argument = [f":{p.name.upper()}" for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][:1]
    known = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    unknown = next((option for option in options if option not in known), None)
    if unknown is not None and known:
        return f"Choose another option than {unknown!r}: {near_matches(unknown, known)}"
    options_clause = f"?OPTION=VALUE, with the options {', '.join(known)}" if known else ""
    return f"Write {scheme}{''.join(argument)}{options_clause}"
