"""Graphs from what images were made from: partners that differ from a sample in a few factors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.drawn import drawn_graph
from pal_plugin.graph.similarity import Manifested, SimilarityGraph
from pal_plugin.graph.space import at_least_one
from pal_plugin.progress import progress


def factors_graph(
    factors: npt.ArrayLike,
    k: int,
    *,
    probability: float = 0.2,
    seed: int = 0,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Draw k partners of every sample, each the nearest to it after some of its factors have been resampled.

    For each draw another sample is chosen at random, and every factor is taken over from it with the given probability;
    the partner is the sample nearest to the result, the anchor itself excepted (by index: a duplicate may be drawn).
    Where factors are independent of each other, as 3DIdent's are, each is resampled from its distribution.
    Distances are Euclidean and exact. A partner drawn twice is an edge of weight 2, so draw pairs `weighted`.

    Args:
        factors: (N, F) finite numbers, scaled to like sizes.
        k: draws for each sample. More draws add to those of fewer.
        probability: of a factor to be taken over, in [0, 1].
        seed: of the draws.
        manifest: the data set that the factors are of, as a manifest or its reference; kept in the graph.

    Raises:
        GraphError: k is no whole number of 1 or more, a probability outside [0, 1], fewer than two samples, or factors
            that are not (N, F) finite numbers.

    Source: the natural pairs on 3DIdent of Zhang et al. (arXiv 2602.02381); theirs are drawn anew at every step, and
    found by an approximate index.
    """
    from scipy.spatial import KDTree  # a second to import

    k = at_least_one("k", k)
    rows = np.asarray(factors)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or len(rows) < 2 or not np.isfinite(rows).all():
        raise GraphError(
            f"Factors of {rows.dtype} and shape {rows.shape} make no graph",
            "Pass finite numbers (N, F) of two samples or more",
        )
    if not 0 <= probability <= 1:
        raise GraphError(f"probability={probability} is no probability", "Choose one from 0 to 1")
    tree = KDTree(rows)
    own = np.arange(len(rows))
    partners = np.empty((k, len(rows)), dtype=np.int64)
    for draw in progress(range(k), "partners (draws)"):
        generator = np.random.default_rng([seed, draw])
        others = generator.integers(len(rows) - 1, size=len(rows))
        others += others >= own  # step over the sample itself
        taken = generator.random(rows.shape) < probability
        _, near = tree.query(np.where(taken, rows[others], rows), k=2, workers=-1)
        partners[draw] = np.where(near[:, 0] == own, near[:, 1], near[:, 0])
    parameters = {"k": k, "probability": probability, "seed": seed}
    return drawn_graph(partners.T, manifest=manifest, builder={"name": "factors", "parameters": parameters})
