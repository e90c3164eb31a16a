"""What to ask next."""

from __future__ import annotations

from pal_plugin.oracle.strategies.active import Active, nearest_mean, seed_pairs
from pal_plugin.oracle.strategies.base import Strategy
from pal_plugin.oracle.strategies.make import STRATEGIES, make_strategy
from pal_plugin.oracle.strategies.merging import Merging
from pal_plugin.oracle.strategies.ordered import Ordered
from pal_plugin.oracle.strategies.passive import RandomGrids, RandomPairs
from pal_plugin.oracle.strategies.uncertainty import Uncertainty

__all__ = [
    "STRATEGIES",
    "Active",
    "Merging",
    "Ordered",
    "RandomGrids",
    "RandomPairs",
    "Strategy",
    "Uncertainty",
    "make_strategy",
    "nearest_mean",
    "seed_pairs",
]
