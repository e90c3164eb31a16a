"""The known relations of a graph as unordered pairs: how many there are, which is number p, and who is in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.closure import by_first_member, closure, named, refuse_contradictions, unordered
from pal_plugin.graph.rows import integers
from pal_plugin.graph.similarity import SimilarityGraph

Longs = npt.NDArray[np.int64]


class Relations(ABC):
    """Unordered pairs {i, j}, i ≠ j, of N samples that are known to be related: #E of them, numbered 0 … #E - 1.

    Attributes:
        degree: (N,) int64, how many others each sample is known to be related to.
        num_pairs: #E.
        manifest: compact reference of the data set that the samples are of; None when unknown.
    """

    def __init__(self, degree: Longs, manifest: Mapping[str, Any] | None) -> None:
        self.degree = degree
        self.num_pairs = int(degree.sum()) // 2
        self.manifest = manifest

    @property
    def num_nodes(self) -> int:
        """N, the number of samples, known and unknown."""
        return self.degree.size

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(N,) bool, which samples have a known relation."""
        return self.degree > 0

    def pairs(self, numbers: npt.ArrayLike) -> Longs:
        """Return the pairs of some numbers.

        Args:
            numbers: (m,) in [0, #E).

        Returns:
            (m, 2) int64 sample numbers.

        Raises:
            GraphError: there is no pair of such a number.
        """
        chosen = integers("numbers", numbers)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.num_pairs):
            raise GraphError(
                f"Pairs numbered [{chosen.min()}, {chosen.max()}] were asked for, and there are {self.num_pairs}",
                "Number them from 0",
            )
        return self._pairs(chosen)

    def related(self, a: npt.ArrayLike, b: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Return whether a and b are known to be related; a sample is no pair with itself.

        Args:
            a: sample numbers of any shape.
            b: sample numbers of a shape that broadcasts with it.

        Raises:
            GraphError: a number outside [0, N).
        """
        left, right = np.asarray(a), np.asarray(b)
        for name, ends in (("a", left), ("b", right)):
            integers(name, ends.reshape(-1))
            if ends.size and not (ends.min() >= 0 and ends.max() < self.num_nodes):
                raise GraphError(
                    f"The samples span [{ends.min()}, {ends.max()}], outside [0, {self.num_nodes})",
                    "Use the relations of this data set",
                )
        return self._related(left.astype(np.int64), right.astype(np.int64))

    @abstractmethod
    def _pairs(self, numbers: Longs) -> Longs: ...

    @abstractmethod
    def _related(self, a: Longs, b: Longs) -> npt.NDArray[np.bool_]: ...


class Cliques(Relations):
    """All pairs within the same component, of which nothing is stored but who is in which.

    Args:
        component: (N,) integers >= 0, the component of each sample.
        manifest: the data set, as its reference.

    Attributes:
        component: (N,) int64, the same numbered by first member.

    Raises:
        GraphError: `component` is not a vector of integers >= 0.
    """

    def __init__(self, component: npt.ArrayLike, *, manifest: Mapping[str, Any] | None = None) -> None:
        labels = integers("component", component)
        if (labels < 0).any():
            raise GraphError(
                f"Sample {int(np.argmax(labels < 0))} is in component {labels.min()}",
                "Give a sample without relations a component of its own",
            )
        self.component = by_first_member(labels)
        sizes = np.bincount(self.component)
        self._members = np.argsort(self.component, kind="stable")
        self._first = np.cumsum(sizes) - sizes  # place of each component's first member
        self._numbered = np.concatenate([[0], np.cumsum(sizes * (sizes - 1) // 2)])  # pairs before each component
        super().__init__(sizes[self.component] - 1, manifest)

    def _pairs(self, numbers: Longs) -> Longs:
        component = np.searchsorted(self._numbered, numbers, side="right") - 1
        within = numbers - self._numbered[component]
        # Pair (i, j), i < j, of a component is its number j(j - 1)/2 + i; a square root may be off by one.
        j = ((1 + np.sqrt(1 + 8 * within.astype(np.float64))) / 2).astype(np.int64)
        j -= j * (j - 1) // 2 > within
        j += j * (j + 1) // 2 <= within
        i = within - j * (j - 1) // 2
        return np.asarray(self._members[self._first[component][:, None] + np.stack([i, j], axis=1)])

    def _related(self, a: Longs, b: Longs) -> npt.NDArray[np.bool_]:
        return np.asarray((self.component[a] == self.component[b]) & (a != b))


class Edges(Relations):
    """The pairs that an edge of positive weight joins, in one direction or both.

    A relation is an unordered pair: an edge in one direction only, as most graphs of neighbours have some, relates both
    of its ends all the same.

    Args:
        graph: N nodes; its edges need not be symmetric, and self edges are no pairs.

    Attributes:
        graph: the same.
        one_way: how many of the pairs an edge joins in one direction only.

    Raises:
        GraphError: an edge says that two samples are related and its reverse that they are not.
    """

    def __init__(self, graph: SimilarityGraph) -> None:
        self.graph = graph
        size = graph.num_nodes
        sources, targets = graph.sources, graph.indices.astype(np.int64)
        keys = unordered(sources, targets, size)
        self._keys, directions = np.unique(keys[(graph.weights > 0) & (sources != targets)], return_counts=True)
        self.one_way = int((directions == 1).sum())
        against = np.intersect1d(self._keys, keys[graph.weights < 0])
        if against.size:
            raise GraphError(
                f"The graph has an edge of positive weight and a reverse of negative weight between "
                f"{named(np.stack(np.divmod(against, size), axis=1))}",
                "Let the stronger one count: `pal graph symmetrise`",
            )
        ends = np.concatenate(np.divmod(self._keys, max(size, 1)))
        super().__init__(np.bincount(ends, minlength=size), graph.manifest)

    def _pairs(self, numbers: Longs) -> Longs:
        return np.stack(np.divmod(self._keys[numbers], max(self.num_nodes, 1)), axis=1)

    def _related(self, a: Longs, b: Longs) -> npt.NDArray[np.bool_]:
        keys = unordered(a, b, self.num_nodes)
        if not self._keys.size:
            return np.zeros(keys.shape, dtype=np.bool_)
        place = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        return np.asarray(self._keys[place] == keys)


def relations(graph: SimilarityGraph) -> Relations:
    """Return the pairs that a graph says are related: those of its closure if it is `transitive`, else of its edges.

    Pairs are unordered: which way an edge goes does not matter, nor whether there is one back. Edges of negative weight
    only serve to find contradictions.

    Raises:
        GraphError: an edge says that two samples are unrelated, and others, together or in the other direction, that
            they are related.
    """
    if not graph.transitive:
        return Edges(graph)
    closed = closure(graph)
    refuse_contradictions("The graph", closed.contradictions)
    return Cliques(closed.component, manifest=graph.manifest)
