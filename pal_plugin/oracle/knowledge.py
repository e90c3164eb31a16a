"""What a store's answers say under a policy, kept up as they come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pal_plugin.errors import GraphError
from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.policies import Answers, resolve
from pal_plugin.oracle.questions import Question


class Knowledge:
    """The relations known of N samples.

    An answer is taken in by itself where that gives the same as resolving all answers anew. It does unless it
    contradicts what is known, or is about samples of which answers contradict each other: samples joined by must-link
    answers, whether they count or not, between two of which there is a cannot-link. A policy decides within such a
    set, so that an answer about others changes none of its decisions.

    Args:
        num_samples: N.
        policy: what becomes of contradictions, as in `resolve`.

    Attributes:
        policy: as given.
        known: by closure.
        again: (q, 2) the pairs that the policy wants asked again.
        contradictions: how many pairs the policy "again" waits for; of another policy, which waits for none, how many
            cannot-link answers there are about two samples that must-link answers join.
    """

    def __init__(self, num_samples: int, policy: str) -> None:
        self.policy = policy
        self.known = Partition(num_samples)
        self.again = np.empty((0, 2), dtype=np.int64)
        self.contradictions = 0
        self._disputed = np.zeros(num_samples, dtype=np.bool_)

    def resolve(self, answers: Answers) -> None:
        """Start over from all answers.

        Raises:
            PalError: the policy refuses their contradictions.
        """
        number = self.known.num_nodes
        resolution = resolve(answers, number, self.policy)
        self.known, self.again = resolution.known, resolution.again
        linked, apart = answers.relation > 0, answers.relation < 0
        ends = (answers.a[linked], answers.b[linked])
        _, part = connected_components(coo_array((np.ones(ends[0].size), ends), shape=(number, number)), directed=False)
        left, right = part[answers.a[apart]], part[answers.b[apart]]
        self.contradictions = len(self.again) if self.policy == "again" else int((left == right).sum())
        self._disputed = np.isin(part, left[left == right])

    def add(self, question: Question, relations: npt.NDArray[np.int8]) -> bool:
        """Take in an answer (m,).

        Returns:
            Whether that was enough; otherwise `resolve` has to be called, with this answer among the others.
        """
        told = relations != 0
        i, j = question.i[told], question.j[told]
        if self._disputed[i].any() or self._disputed[j].any():
            return False
        return _take(self.known, i, j, relations[told])

    def fits(self, question: Question, relations: npt.NDArray[np.int8]) -> bool:
        """Return whether an answer (m,) contradicts nothing that is known; nothing is taken in."""
        told = relations != 0
        return _take(self.known.copy(), question.i[told], question.j[told], relations[told])


def _take(known: Partition, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64], signs: npt.NDArray[np.int8]) -> bool:
    """Add relations to a partition until one contradicts it; return whether none does."""
    try:
        for first, second, sign in zip(i.tolist(), j.tolist(), signs.tolist(), strict=True):
            known.add(first, second, sign)
    except GraphError:
        return False
    return True
