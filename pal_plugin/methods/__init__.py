"""The plugin's methods: thin classes that put a graph, or its pairs, into a host's method."""

from __future__ import annotations

from pal_plugin.methods.adaptive import AdaptiveLatent
from pal_plugin.methods.gps import GraphPairs, on_pairs
from pal_plugin.methods.lookup import find_method, method_names, pair_methods
from pal_plugin.methods.pal import GraphLoss
from pal_plugin.methods.trained import load_method

__all__ = [
    "AdaptiveLatent",
    "GraphLoss",
    "GraphPairs",
    "find_method",
    "load_method",
    "method_names",
    "on_pairs",
    "pair_methods",
]
