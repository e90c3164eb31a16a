"""What a store's answers say under a policy, kept up as they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pal_plugin.errors import GraphError
from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.again import Standing
from pal_plugin.oracle.policies import Answers, resolve
from pal_plugin.oracle.questions import Question

Longs: TypeAlias = npt.NDArray[np.int64]


class Knowledge:
    """The relations known of N samples.

    An answer is taken in by itself where that gives the same as resolving all answers anew. Of the policy "again" it
    always does, since that takes answers one after another; of another policy where the answer contradicts nothing
    that is known, and "majority" has decided nothing about its samples: those are joined by must-link answers, whether
    they count or not, to others with a cannot-link between two of them, and votes decide within such a set only.

    Args:
        num_samples: N.
        policy: what becomes of contradictions, as in `resolve`.

    Attributes:
        policy: as given.
    """

    def __init__(self, num_samples: int, policy: str) -> None:
        self.policy = policy
        self._known = Partition(num_samples)
        self._aside = 0
        self._standing = Standing(num_samples)  # of the policy "again"
        self._voted = np.zeros(num_samples, dtype=np.bool_)

    @property
    def known(self) -> Partition:
        """What is known, by closure."""
        return self._standing.known if self.policy == "again" else self._known

    @property
    def again(self) -> npt.NDArray[np.int64]:
        """(q, 2) the pairs that the policy wants asked again."""
        return self._standing.again

    @property
    def contradictions(self) -> int:
        """How many pairs "again" waits for; of another policy, which waits for none, how many answers are set aside."""
        return len(self.again) if self.policy == "again" else self._aside

    def resolve(self, answers: Answers) -> None:
        """Start over from all answers.

        Raises:
            PalError: the policy refuses their contradictions.
        """
        if self.policy == "again":
            self._standing = Standing(self._known.num_nodes)
            self._standing.take(_triples(answers.a, answers.b, answers.relation))
            return
        resolution = resolve(answers, self._known.num_nodes, self.policy)
        self._known, self._aside = resolution.known, resolution.aside.size
        if self.policy == "majority":
            self._voted = _disputed(answers, self._known.num_nodes)

    def add(self, question: Question, relations: npt.NDArray[np.int8]) -> bool:
        """Take in an answer (m,), given after all others.

        Returns:
            Whether that was enough; otherwise `resolve` has to be called, with this answer among the others.
        """
        lower, higher = np.minimum(question.i, question.j), np.maximum(question.i, question.j)
        if self.policy == "again":
            self._standing.take(_triples(lower, higher, relations))
            return True
        if self._voted[lower].any() or self._voted[higher].any():
            return False
        told = relations != 0
        return _add(self._known, lower[told], higher[told], relations[told])

    def fits(self, question: Question, relations: npt.NDArray[np.int8]) -> bool:
        """Return whether an answer (m,) contradicts nothing that is known; nothing is taken in."""
        told = relations != 0
        return _add(self.known.copy(), question.i[told], question.j[told], relations[told])


def _triples(a: Longs, b: Longs, relations: npt.NDArray[np.int8]) -> Iterator[tuple[int, int, int]]:
    return zip(a.tolist(), b.tolist(), relations.tolist(), strict=True)


def _add(known: Partition, i: Longs, j: Longs, signs: npt.NDArray[np.int8]) -> bool:
    """Add relations to a partition until one contradicts it; return whether none does."""
    try:
        for first, second, sign in _triples(i, j, signs):
            known.add(first, second, sign)
    except GraphError:
        return False
    return True


def _disputed(answers: Answers, number: int) -> npt.NDArray[np.bool_]:
    """Return (N,) which samples must-link answers join to a set with a cannot-link inside."""
    linked, apart = answers.relation > 0, answers.relation < 0
    ends = (answers.a[linked], answers.b[linked])
    _, part = connected_components(coo_array((np.ones(ends[0].size), ends), shape=(number, number)), directed=False)
    left, right = part[answers.a[apart]], part[answers.b[apart]]
    return np.asarray(np.isin(part, left[left == right]))
