"""Graphs from two levels of labels: pairs of one class, some of them corrupted to pairs of the class above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.drawn import drawn_graph
from pal_plugin.graph.similarity import Manifested, SimilarityGraph
from pal_plugin.graph.space import at_least_one


def hierarchy_graph(
    labels: npt.ArrayLike,
    coarse_labels: npt.ArrayLike,
    k: int,
    *,
    noise: float,
    seed: int = 0,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Draw k partners of every sample: of its own class, or with probability `noise` of its coarse class.

    A coarse partner may be of the own class too, as among the animals that a dog is drawn from there are dogs. Partners
    are drawn with replacement; one drawn twice is an edge of weight 2, so draw pairs `weighted`.

    Args:
        labels: (N,) integers, the own classes; -1 is none, and nothing is drawn from it.
        coarse_labels: (N,) integers, the classes above them, likewise.
        k: draws for each sample. Where a class has no other sample, its draws are left out.
        noise: probability, in [0, 1].
        seed: of the draws.
        manifest: the data set that the labels are of, as a manifest or its reference; kept in the graph.

    Raises:
        GraphError: k is no whole number of 1 or more, noise outside [0, 1], labels that are not (N,) integers both, or
            no edge at all.

    Source: the noisy pairs on iNat-1M of Zhang et al. (arXiv 2602.02381); theirs are drawn anew at every step.
    """
    k = at_least_one("k", k)
    fine, coarse = np.asarray(labels), np.asarray(coarse_labels)
    if fine.shape != coarse.shape or any(level.ndim != 1 or level.dtype.kind not in "iu" for level in (fine, coarse)):
        raise GraphError(
            f"Labels of {fine.dtype} and shape {fine.shape} and coarse labels of {coarse.dtype} and shape "
            f"{coarse.shape} make no graph",
            "Pass one integer of both for each sample",
        )
    if not 0 <= noise <= 1:
        raise GraphError(f"noise={noise} is no probability", "Choose one from 0 to 1")
    generator = np.random.default_rng(seed)
    corrupted = generator.random((len(fine), k)) < noise
    partners = np.where(corrupted, _others(coarse, k, generator), _others(fine, k, generator))
    if not (partners >= 0).any():
        raise GraphError("No two samples have the same label", "Pass labels of which some occur twice")
    parameters = {"k": k, "noise": noise, "seed": seed}
    return drawn_graph(partners, manifest=manifest, builder={"name": "hierarchy", "parameters": parameters})


def _others(labels: npt.NDArray[Any], k: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw (N, k) other samples of each one's class; -1 where there is none."""
    order = np.argsort(labels, kind="stable")
    place = np.argsort(order)  # of each sample in `order`
    _, first, inverse, sizes = np.unique(labels[order], return_index=True, return_inverse=True, return_counts=True)
    start, size = (values[inverse.reshape(-1)][place][:, None] for values in (first, sizes))
    drawn = start + (generator.random((len(labels), k)) * (size - 1)).astype(np.int64)
    drawn += drawn >= place[:, None]  # step over the sample itself
    none = (size == 1) | (labels == -1)[:, None]
    return np.where(none, -1, order[np.where(none, 0, drawn)])
