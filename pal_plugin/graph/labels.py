"""Graphs from labels: what an oracle that knows every class would answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.graph.space import at_least_one


def label_graph(
    labels: npt.ArrayLike, k: int, *, seed: int = 0, manifest: Mapping[str, Any] | Manifested | None = None
) -> SimilarityGraph:
    """Connect every sample with k others of its class, drawn at random: the bound for any prior's k neighbours.

    Args:
        labels: (N,) integers; -1 is unlabelled, and such a sample gets no edge.
        k: edges of each sample; a class with fewer others gives all of them.
        seed: which others.
        manifest: the data set that the labels are of, as a manifest or its reference; kept in the graph.

    Returns:
        A graph with edges of weight 1; each row's in the order drawn.

    Raises:
        GraphError: k is no whole number of 1 or more, labels that are not (N,) integers, all of them -1, or no two
            samples of one class.
    """
    k = at_least_one("k", k)
    classes = np.asarray(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise GraphError(
            f"Labels of {classes.dtype} and shape {classes.shape} make no graph", "Pass one integer for each sample"
        )
    if classes.size and (classes == -1).all():
        raise GraphError(
            "The data set is unlabelled, and this graph connects samples of one label",
            "Build it from features (graph=knn, pal graph knn), or, where folders are classes, set labelled=true "
            "(data.options.labelled=true, --option labelled=true)",
        )
    generator = np.random.default_rng(seed)
    rows: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    columns: list[npt.NDArray[np.int64]] = [np.empty(0, dtype=np.int64)]
    for label in np.unique(classes[classes != -1]):
        members = np.flatnonzero(classes == label)
        others = len(members) - 1
        for place, node in enumerate(members):
            drawn = generator.choice(others, min(k, others), replace=False)
            drawn += drawn >= place  # step over the sample itself
            rows.append(np.full(len(drawn), node))
            columns.append(members[drawn])
    graph = SimilarityGraph.from_edges(
        len(classes),
        np.concatenate(rows),
        np.concatenate(columns),
        manifest=reference_of(manifest),
        builder={"name": "labels", "parameters": {"k": k, "seed": seed}, "cost": 0.0},
    )
    if not graph.num_edges:
        raise GraphError("No two samples have the same label", "Pass labels of which some occur twice")
    return graph
