"""How many pairs are known by closure, and how much of that is true by the labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.closure import closure

Longs = npt.NDArray[np.int64]


class Known(NamedTuple):
    """What a transitive graph knows of unordered pairs of two samples.

    Attributes:
        related: how many are known to be related.
        unrelated: how many are known to be unrelated.
        purity: share of all of them that is known rightly, as far as both samples have a label; None where none has.
        related_purity: the same share of those known to be related, which are what is learnt from.
    """

    related: int
    unrelated: int
    purity: float | None
    related_purity: float | None


def known_pairs(graph: SimilarityGraph, labels: Longs) -> Known:
    """Return what a transitive graph of N samples knows.

    Args:
        graph: without contradictions.
        labels: (N,), -1 where a sample has none.
    """
    closed = closure(graph)
    labelled = labels >= 0
    ones = np.ones(int(labelled.sum()), dtype=np.int64)
    shape = (int(closed.component.max(initial=0)) + 1, int(labels.max(initial=0)) + 1)
    counts = csr_array((ones, (closed.component[labelled], labels[labelled])), shape=shape)  # (component, class)
    left, right = closed.apart.T
    inside, between = _pairs(np.asarray(counts.sum(axis=1)), left, right)
    of_one = int((counts.data * (counts.data - 1) // 2).sum())
    of_two = between - (int(counts[left].multiply(counts[right]).sum()) if left.size else 0)
    related, unrelated = _pairs(np.bincount(closed.component), left, right)
    return Known(related, unrelated, _share(of_one + of_two, inside + between), _share(of_one, inside))


def _pairs(sizes: Longs, left: Longs, right: Longs) -> tuple[int, int]:
    """Return how many pairs there are inside components of some sizes, and between those that are known apart."""
    return int((sizes * (sizes - 1) // 2).sum()), int((sizes[left] * sizes[right]).sum())


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
