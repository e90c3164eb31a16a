"""Whether the parameters of a selector are what its constructor says: commands pass on whatever was written."""

from __future__ import annotations

import collections.abc
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from sklearn.base import BaseEstimator

from pal_plugin.errors import ConfigError

LARGEST_SEED = 2**32 - 1  # of scikit-learn
_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a word",
    NoneType: "null",
    collections.abc.Sequence: "a list of whole numbers",
    collections.abc.Callable: "a function",
}
_CLASSES: dict[Any, type] = {int: Integral, float: Real, str: str, NoneType: NoneType}  # NumPy's numbers among them


def check_parameters(selector: BaseEstimator) -> None:
    """Refuse a parameter of another type than its constructor has annotated, and a seed that is none.

    Annotations of other kinds than those of this package's selectors are not judged.

    Raises:
        ConfigError: which parameter, what it is, and what it may be.
    """
    try:
        hints = get_type_hints(type(selector).__init__)
    except (NameError, TypeError):  # of a plugin that imports its types for a type checker alone
        hints = {}
    for name, value in selector.get_params(deep=False).items():
        kinds = [get_origin(kind) or kind for kind in _members(hints.get(name, Any))]
        if all(kind in _WORDS for kind in kinds) and not any(_fits(value, kind) for kind in kinds):
            allowed = " or ".join(_WORDS[kind] for kind in kinds)
            raise ConfigError(f"The parameter {name} is {value!r}", f"Set it to {allowed}")
        if name == "seed" and int in kinds and not 0 <= value <= LARGEST_SEED:
            raise ConfigError(f"The seed is {value}", f"Choose a whole number from 0 to {LARGEST_SEED}")


def check_least(selector: BaseEstimator, **least: int) -> None:
    """Refuse whole numbers below the least that each may be; null is none of them.

    Raises:
        ConfigError: which parameter, what it is, and what it may be.
    """
    for name, low in least.items():
        value = getattr(selector, name)
        if value is not None and value < low:
            raise ConfigError(f"The parameter {name} is {value}", f"Set it to {low} or more")


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fits(value: object, kind: Any) -> bool:
    truth = isinstance(value, (bool, np.bool_))
    if kind is bool or truth:
        return kind is bool and truth
    if kind is collections.abc.Callable:
        return callable(value)
    if kind is collections.abc.Sequence:
        items = value.tolist() if isinstance(value, np.ndarray) else value
        return isinstance(items, (list, tuple)) and all(_fits(item, int) for item in items)
    return isinstance(value, _CLASSES[kind])
