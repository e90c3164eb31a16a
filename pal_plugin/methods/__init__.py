"""The plugin's methods: thin classes that put a graph's pairs into a host's method."""

from __future__ import annotations

from pal_plugin.methods.gps import GPSBYOL, GPSSimCLR, GraphPairs
from pal_plugin.methods.lookup import find_method, method_names

__all__ = ["GPSBYOL", "GPSSimCLR", "GraphPairs", "find_method", "method_names"]
