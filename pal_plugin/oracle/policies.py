"""Answers that contradict each other: which they are, and what is known by each way of dealing with them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.partition import Partition

Longs = npt.NDArray[np.int64]


class Answers(NamedTuple):
    """Relations that annotators gave, k of them, in the order in which they were given.

    Attributes:
        question: (k,) int64, the question that each is of.
        a: (k,) int64 samples.
        b: (k,) int64 samples, a < b.
        relation: (k,) int8, +1 related, −1 unrelated, 0 not sure.
        confidence: (k,) float64 in (0, 1].
        annotator: (k,) int64, who gave it, as a number.
    """

    question: Longs
    a: Longs
    b: Longs
    relation: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.float64]
    annotator: Longs


class Resolution(NamedTuple):
    """What is known from answers under a policy.

    Attributes:
        known: of all samples.
        aside: (k,) int64, the answers that do not count, by place, sorted.
        again: (q, 2) int64, the pairs to be asked again, the lower sample first.
    """

    known: Partition
    aside: Longs
    again: Longs
