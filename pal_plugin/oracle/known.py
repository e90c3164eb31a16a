"""The graph of a stand-in oracle: the relations among those images whose labels it was asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.oracle.checks import distinct


def oracle_graph(
    labels: npt.ArrayLike,
    relations: float = 0.01,
    *,
    samples: npt.ArrayLike | None = None,
    noise: float = 0.0,
    seed: int = 0,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Connect those of a part of the samples, a random one or a selection, that an oracle says to be of one class.

    All pairs among round(√relations · N) samples are known: a share `relations` of all pairs. Samples asked about for
    a smaller share are, with the same seed, among those asked about for a larger one.

    Args:
        labels: (N,) integers; -1 is unlabelled, and such a sample is not asked about.
        relations: share of all pairs whose relation is known, in [0, 1]; 0 gives a graph without edges.
        samples: (n,) the samples that are asked about, in place of a share at random.
        noise: share, in [0, 1], of the samples asked about to which the oracle gives another class, drawn uniformly
            among the others.
        seed: which samples are asked about, and which of them wrongly answered.
        manifest: the data set that the labels are of, as a manifest or its reference; kept in the graph.

    Returns:
        A transitive graph: a chain along the known samples of each class, weight 1, both directions, so that its
        closure holds the relations and it never has more than 2N edges. Its cost is the number of labels asked for.

    Raises:
        GraphError: labels that are not (N,) integers of -1 or more, a share that is no number in [0, 1], a seed that is
            no integer of 0 or more, more samples to ask about than have a label, noise with a single class, no two of
            those asked about in one class though `relations` > 0, or one of `samples` without a label.
        OracleError: `samples` that are no distinct samples.
    """
    classes = _checked(labels, relations, noise, seed)
    generator = np.random.default_rng(seed)
    if samples is None:
        known = _drawn(classes, relations, generator)
    else:
        known = _named(classes, samples)
        relations = (known.size / classes.size) ** 2
    answers = _with_mistakes(classes, known, noise, generator)
    rows, columns = _chains(known, answers)
    if relations > 0 and not rows.size:
        raise GraphError(
            f"No two of the {known.size} samples that the oracle is asked about are of one class",
            "Ask for the relations of more pairs (graph.relations=… or graph.budget=…)",
        )
    return SimilarityGraph.from_edges(
        classes.size,
        rows,
        columns,
        manifest=reference_of(manifest),
        builder={
            "name": "oracle",
            "parameters": {"relations": relations, "noise": noise, "seed": seed, "images": int(known.size)},
            "cost": float(known.size),
            "transitive": True,
        },
    )


def _drawn(classes: npt.NDArray[np.int64], relations: float, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the samples whose pairs are a share of all pairs, at random among those that have a label."""
    asked = round(math.sqrt(relations) * classes.size)
    order = generator.permutation(np.flatnonzero(classes != -1))
    if asked > order.size:
        raise GraphError(
            f"The relations of {relations:.3g} of all pairs need {asked} labels, and {order.size} of {classes.size} "
            "samples have one",
            "Ask for fewer (graph.relations=…), or use labelled data",
        )
    return order[:asked]


def _named(classes: npt.NDArray[np.int64], samples: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the samples that are to be asked about, checked."""
    known = distinct("samples", samples, classes.size)
    unlabelled = known[classes[known] == -1]
    if unlabelled.size:
        raise GraphError(
            f"{unlabelled.size} of the {known.size} samples to ask about have no label, the first of them sample "
            f"{unlabelled[0]}",
            "Select among labelled samples, or answer for them: pal oracle serve --order picks.csv",
        )
    return known


def _checked(labels: npt.ArrayLike, relations: float, noise: float, seed: int) -> npt.NDArray[np.int64]:
    classes = np.asarray(labels)
    if classes.ndim != 1 or classes.dtype.kind not in "iu":
        raise GraphError(
            f"Labels of {classes.dtype} and shape {classes.shape} make no graph", "Pass one integer for each sample"
        )
    classes = classes.astype(np.int64)
    wrong = np.flatnonzero(classes < -1)
    if wrong.size:
        raise GraphError(
            f"Sample {wrong[0]} has the label {classes[wrong[0]]}, which is no class",
            "Number the classes from 0, and give an unlabelled sample -1",
        )
    for name, share in (("relations", relations), ("noise", noise)):
        number = isinstance(share, (int, float, np.integer, np.floating)) and not isinstance(share, bool)
        if not (number and 0 <= share <= 1):  # NaN is refused as well
            raise GraphError(f"{name}={share!r} is no share", f"Pass {name} in [0, 1] (graph.{name}=…)")
    if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0:
        raise GraphError(f"seed={seed!r} is no seed", "Pass an integer of 0 or more (graph.seed=…)")
    return classes


def _with_mistakes(
    classes: npt.NDArray[np.int64], known: npt.NDArray[np.int64], noise: float, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the class that the oracle gives each of `known`: round(noise · n) of them get another one."""
    names, numbers = np.unique(classes[classes != -1], return_inverse=True)
    mistaken = round(noise * known.size)
    if mistaken and names.size < 2:
        raise GraphError("The samples are all of one class, so that none can be taken for another", "Set noise=0")
    # Drawn for all samples: whoever is mistaken in a smaller and in a larger graph gets the same class in both. But a
    # sample that is mistaken in the smaller one need not be in the larger one: others there may have worse luck.
    luck = generator.random(classes.size)
    step = generator.integers(1, max(names.size, 2), classes.size)
    number = np.full(classes.size, -1)
    number[classes != -1] = numbers
    wrong = known[np.argsort(luck[known], kind="stable")[:mistaken]]
    number[wrong] = (number[wrong] + step[wrong]) % max(names.size, 1)
    return number[known]


def _chains(
    nodes: npt.NDArray[np.int64], classes: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the edges, both ways, of a path through the nodes of each class in the order of their numbers."""
    order = np.lexsort((nodes, classes))
    nodes, classes = nodes[order], classes[order]
    linked = classes[1:] == classes[:-1]
    left, right = nodes[:-1][linked], nodes[1:][linked]
    return np.stack([left, right], axis=1).reshape(-1), np.stack([right, left], axis=1).reshape(-1)
