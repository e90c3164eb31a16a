"""Strategies by name, as commands and configs ask for them."""

from __future__ import annotations

import os

import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.oracle.checks import check_size
from pal_plugin.oracle.strategies.active import Active, checked_seeds
from pal_plugin.oracle.strategies.base import Strategy
from pal_plugin.oracle.strategies.merging import STOP, Merging
from pal_plugin.oracle.strategies.ordered import Ordered
from pal_plugin.oracle.strategies.passive import RandomGrids, RandomPairs
from pal_plugin.oracle.strategies.uncertainty import Uncertainty
from pal_plugin.registry import near_matches

STRATEGIES = ("random", "grids", "active", "uncertainty", "merging")


def make_strategy(
    name: str,
    num_samples: int,
    *,
    grid: int = 10,
    seed: int = 0,
    seeds: npt.ArrayLike | None = None,
    order: npt.ArrayLike | str | os.PathLike[str] | None = None,
    stop: float | None = None,
) -> Strategy:
    """Return the strategy of a name.

    Args:
        name: `random` (pairs), `grids` (random ones), `active`, `uncertainty` or `merging`.
        num_samples: N.
        grid: how many candidates a grid shows; `random` asks pairs, one at a time.
        seed: of whatever it draws.
        seeds: (C,) one known sample of each class, which `active` needs; that they are unrelated should be recorded as
            known before the first question (`seed_pairs`).
        order: see `Ordered`; None: none.
        stop: of `merging`, see there; None: its own.

    Raises:
        ConfigError: no strategy of that name, `active` without seeds, or a `stop` of another than `merging`.
        OracleError: fewer than two samples, seeds that are not distinct samples, an order that names others, or a
            number that is none.
    """
    check_size(num_samples)
    if name not in STRATEGIES:
        raise ConfigError(f"There is no strategy {name!r}", f"Choose another: {near_matches(name, STRATEGIES)}")
    if name == "active" and seeds is None:
        raise ConfigError("The strategy active starts from a known sample of each class", "Name them, or use merging")
    if name != "merging" and stop is not None:
        raise ConfigError(f"The strategy {name} does not stop early", "Leave --stop out, or use --strategy merging")
    strategy: Strategy
    if name == "random":
        strategy = RandomPairs(seed)
    elif name == "grids":
        strategy = RandomGrids(grid, seed)
    elif name == "active":
        strategy = Active(checked_seeds(seeds if seeds is not None else [], num_samples), grid, seed)
    elif name == "uncertainty":
        strategy = Uncertainty(grid, seed)
    else:
        strategy = Merging(grid, seed, stop=STOP if stop is None else stop)
    return strategy if order is None else Ordered(order, strategy)
