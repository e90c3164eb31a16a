"""Who knows which samples are related, what to ask, and what it costs."""

from __future__ import annotations

from pal_plugin.oracle.answers import Account, LabelOracle, NoisyOracle, Oracle
from pal_plugin.oracle.known import oracle_graph
from pal_plugin.oracle.questions import Grid, Pairs
from pal_plugin.oracle.strategies import ActiveStrategy, PassiveStrategy, first_of_each_class

__all__ = [
    "Account",
    "ActiveStrategy",
    "Grid",
    "LabelOracle",
    "NoisyOracle",
    "Oracle",
    "Pairs",
    "PassiveStrategy",
    "first_of_each_class",
    "oracle_graph",
]
