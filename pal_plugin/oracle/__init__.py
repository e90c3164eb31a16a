"""Who knows which samples are related, what to ask, and what it costs."""

from __future__ import annotations

from pal_plugin.oracle.accounting import Account, Point, Prices, write_curve
from pal_plugin.oracle.answers import LabelOracle, NoisyOracle, Oracle
from pal_plugin.oracle.checks import first_of_each_class
from pal_plugin.oracle.file import FileOracle
from pal_plugin.oracle.human import HumanOracle
from pal_plugin.oracle.known import oracle_graph
from pal_plugin.oracle.questions import Grid, Pairs, Question
from pal_plugin.oracle.situation import AskedPairs, Situation
from pal_plugin.oracle.store import RelationStore
from pal_plugin.oracle.strategies import (
    STRATEGIES,
    Active,
    Merging,
    Ordered,
    RandomGrids,
    RandomPairs,
    Strategy,
    Uncertainty,
    make_strategy,
    seed_pairs,
)

__all__ = [
    "STRATEGIES",
    "Account",
    "Active",
    "AskedPairs",
    "FileOracle",
    "Grid",
    "HumanOracle",
    "LabelOracle",
    "Merging",
    "NoisyOracle",
    "Oracle",
    "Ordered",
    "Pairs",
    "Point",
    "Prices",
    "Question",
    "RandomGrids",
    "RandomPairs",
    "RelationStore",
    "Situation",
    "Strategy",
    "Uncertainty",
    "first_of_each_class",
    "make_strategy",
    "oracle_graph",
    "seed_pairs",
    "write_curve",
]
