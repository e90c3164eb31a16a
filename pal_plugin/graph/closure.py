"""What follows from relations where related is an equivalence: who is whose kind, and which answers cannot be true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pal_plugin.errors import GraphError
from pal_plugin.graph.similarity import SimilarityGraph

Longs = npt.NDArray[np.int64]

_SHOWN = 5


class Closure(NamedTuple):
    """The closure of a graph of N nodes under: a is related to a, and a ~ b, b ~ c give a ~ c.

    Attributes:
        component: (N,) which component each node is in, numbered by first member; a node without a related one is a
            component of its own.
        apart: (P, 2) the pairs of different components with an edge of negative weight between them, each once, the
            lower number first.
        contradictions: (Q, 2) the pairs of nodes with an edge of negative weight inside one component, each once, the
            lower number first.
    """

    component: Longs
    apart: Longs
    contradictions: Longs


def closure(graph: SimilarityGraph) -> Closure:
    """Return the components that the edges of positive weight join, in either direction, and what speaks against them.

    Edges of weight 0 say nothing. The graph need not be `transitive`: this is what it would mean if it were.

    Example:
        0 is like 1, and 1 like 2; 2 is unlike 4, and so is all that is like 2.

        >>> told = SimilarityGraph.from_edges(5, rows=[0, 1, 2], cols=[1, 2, 4], weights=[1, 1, -1])
        >>> found = closure(told)
        >>> found.component
        array([0, 0, 0, 1, 2])
        >>> found.apart
        array([[0, 2]])
    """
    indptr, indices, _ = graph.positive_rows
    related = csr_array((np.ones(indices.size, dtype=np.int8), indices, indptr), shape=(graph.num_nodes,) * 2)
    _, labels = connected_components(related, directed=False)
    component = by_first_member(labels)
    unrelated = graph.weights < 0
    left, right = graph.sources[unrelated], graph.indices[unrelated].astype(np.int64)
    inside = component[left] == component[right]
    return Closure(
        component,
        apart=_pairs(component[left[~inside]], component[right[~inside]], graph.num_nodes),
        contradictions=_pairs(left[inside], right[inside], graph.num_nodes),
    )


def by_first_member(labels: npt.NDArray[np.integer]) -> Longs:
    """Return the parts that `labels` (N,) make of N nodes, numbered 0, 1, … in the order of their first members."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    numbers: Longs = np.argsort(np.argsort(first))
    return np.asarray(numbers[inverse.reshape(-1)])


def unordered(left: Longs, right: Longs, size: int) -> Longs:
    """Return a number for each pair of numbers below `size`, the same both ways round: lower · size + higher."""
    return np.minimum(left, right) * size + np.maximum(left, right)


def refuse_contradictions(what: str, contradictions: Longs, ids: Sequence[str] | None = None) -> None:
    """Raise an error that names the contradictions (Q, 2) of a closure, if there are any.

    Args:
        what: whose they are.
        contradictions: pairs of nodes.
        ids: the nodes' names; None names them by number.

    Raises:
        GraphError: there are.
    """
    if len(contradictions):
        raise GraphError(
            f"{what} says of samples that they are unrelated, and relates them through others: "
            f"{named(contradictions, ids)}",
            "Correct a relation on the way from one to the other, or do not take them for transitive (--transitive, "
            "graph.transitive)",
        )


def named(pairs: Longs, ids: Sequence[str] | None = None) -> str:
    """Return the first few of some pairs (Q, 2) of nodes, and how many more there are."""
    names = [[str(node) if ids is None else repr(ids[node]) for node in pair] for pair in pairs[:_SHOWN].tolist()]
    shown = ", ".join(f"{a} and {b}" for a, b in names)
    return shown + (f", and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else "")


def _pairs(left: Longs, right: Longs, size: int) -> Longs:
    return np.stack(np.divmod(np.unique(unordered(left, right, size)), max(size, 1)), axis=1)
