"""Graphs of partners that were drawn with replacement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of


def drawn_graph(
    partners: npt.NDArray[np.int64],
    *,
    manifest: Mapping[str, Any] | Manifested | None,
    builder: Mapping[str, Any],
) -> SimilarityGraph:
    """Connect every sample with its partners; one drawn m times is an edge of weight m.

    Args:
        partners: (N, k) of every sample, -1 where there is none.
        manifest: the data set's, or its reference.
        builder: name and parameters of what drew.
    """
    size = len(partners)
    keys = (np.arange(size)[:, None] * size + partners)[partners >= 0]
    pairs, times = np.unique(keys, return_counts=True)
    return SimilarityGraph.from_edges(
        size,
        pairs // size,
        pairs % size,
        times,
        manifest=reference_of(manifest),
        builder={**builder, "cost": 0.0},
    )
