"""Similarity graphs over a data set: what they are, how they are kept, and how neighbours make one."""

from __future__ import annotations

from pal_plugin.graph.adjacent import adjacent_graph
from pal_plugin.graph.algebra import hop, mix, mutual, symmetrise, union
from pal_plugin.graph.closure import Closure, closure
from pal_plugin.graph.factors import factors_graph
from pal_plugin.graph.hierarchy import hierarchy_graph
from pal_plugin.graph.inspect import inspect
from pal_plugin.graph.knn import knn_graph
from pal_plugin.graph.labels import label_graph
from pal_plugin.graph.measures import purity, recall
from pal_plugin.graph.pairs import pairs_graph
from pal_plugin.graph.radius import radius_graph
from pal_plugin.graph.relations import Cliques, Edges, Relations, relations
from pal_plugin.graph.similarity import SimilarityGraph

__all__ = [
    "Cliques",
    "Closure",
    "Edges",
    "Relations",
    "SimilarityGraph",
    "adjacent_graph",
    "closure",
    "factors_graph",
    "hierarchy_graph",
    "hop",
    "inspect",
    "knn_graph",
    "label_graph",
    "mix",
    "mutual",
    "pairs_graph",
    "purity",
    "radius_graph",
    "recall",
    "relations",
    "symmetrise",
    "union",
]
