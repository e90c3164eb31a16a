"""Querying the circles without the notebooks' quirks: the strategies of `pal_plugin.oracle`, answered from labels."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.partition import Partition
from pal_plugin.oracle import Active, AskedPairs, LabelOracle, Situation, Strategy, first_of_each_class, seed_pairs
from reproductions.pal.toy import Labels, Points, probe

Signed = npt.NDArray[np.int8]


class Querying(Protocol):
    """Rounds of questions, and what is known after them."""

    def ask(self, embedding: Points | None = None) -> None:
        """Ask the questions of one round, unless all is known, and take in the answers.

        Args:
            embedding: (N, k) from which the classes of the samples are predicted; None: they are not.
        """

    def known(self) -> Signed:
        """Return what is known, (N, N): +1 related, and each sample to itself; −1 unrelated; 0 unknown."""


class Clean:
    """Questions that are never asked twice, and all that follows from the answers.

    Args:
        strategy: asks them.
        labels: (N,) what the oracle knows.
        known: what is known before the first.
    """

    def __init__(self, strategy: Strategy, labels: Labels, known: Partition | None = None) -> None:
        self._strategy = strategy
        self._oracle = LabelOracle(labels)
        self._situation = Situation(known or Partition(labels.size), AskedPairs())

    def ask(self, embedding: Points | None = None) -> None:
        """Ask the strategy's next question, unless all is known, and take in the answer."""
        situation = self._situation
        situation.features = None if embedding is None else embedding.astype(np.float32)
        question = self._strategy.next(situation)
        if question is None:
            return
        relations = self._oracle.answer(question)
        situation.asked.add(question.i, question.j)
        situation.round += 1
        for i, j, relation in zip(question.i.tolist(), question.j.tolist(), relations.tolist(), strict=True):
            situation.known.add(i, j, relation)

    def known(self) -> Signed:
        """Return what is known, (N, N): +1 related, and each sample to itself; −1 unrelated; 0 unknown."""
        known = self._situation.known
        roots = known.roots(np.arange(known.num_nodes))
        signs = np.eye(known.num_nodes, dtype=np.int8)  # of roots
        for root in np.unique(roots).tolist():
            signs[root, known.apart(root)] = -1
        return signs[np.ix_(roots, roots)]


def clean_active(labels: Labels, *, grid: int, seed: int) -> Clean:
    """Return the active strategy at its start: one sample of each class is known, and that they are unrelated."""
    seeds = first_of_each_class(labels)
    known = Partition(labels.size)
    pairs = seed_pairs(seeds)
    if pairs is not None:
        for i, j in zip(pairs.i.tolist(), pairs.j.tolist(), strict=True):
            known.separate(i, j)
    return Clean(Active(seeds, grid, seed, predict=_predict), labels, known)


def _predict(features: npt.NDArray[np.float32], of: Labels, classes: Labels) -> Labels:
    points = features.astype(np.float64)
    return probe(points[of], classes, points)
