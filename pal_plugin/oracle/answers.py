"""Oracles that answer from labels, rightly or with mistakes, and the count of what they were asked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError

Mask = npt.NDArray[np.bool_]
Nodes = npt.NDArray[np.int64]
_MISTAKE = 15  # a stream of pal_plugin.data.draws that belongs to no view


@dataclass
class Account:
    """What has been asked of an oracle.

    Attributes:
        questions: relations asked about: each pair, and each candidate of a grid.
        grids: grids shown.
        clicks: one for each pair, and one for each candidate selected.
    """

    questions: int = 0
    grids: int = 0
    clicks: int = 0


class Oracle(ABC):
    """Whoever knows which of N samples are related. One that has them in a table has only to define `_related`.

    Args:
        num_samples: N.

    Attributes:
        account: what has been asked so far.
    """

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples
        self.account = Account()

    def answer(self, i: npt.ArrayLike, j: npt.ArrayLike) -> npt.NDArray[np.int8]:
        """Say of the pairs (i, j), both (m,), whether they are related: (m,) int8, +1 or −1.

        Raises:
            OracleError: the lengths differ, a sample is outside [0, N), a pair is one of a sample with itself, or the
                oracle has no answer.
        """
        related = self.related(i, j)
        self.account.questions += related.size
        self.account.clicks += related.size
        return np.where(related, 1, -1).astype(np.int8)

    def select(self, anchor: int, candidates: npt.ArrayLike) -> Mask:
        """Select those of `candidates` (m,) that show the same as `anchor`: (m,) bool. A candidate may come twice.

        Raises:
            OracleError: a sample is outside [0, N), the anchor is among the candidates, or the oracle has no answer.
        """
        nodes = vector("candidates", candidates)
        related = self.related(np.full(nodes.size, anchor), nodes)
        self.account.questions += related.size
        self.account.grids += 1
        self.account.clicks += int(related.sum())
        return related

    def related(self, i: npt.ArrayLike, j: npt.ArrayLike) -> Mask:
        """Return (m,) bool, whether i (m,) and j (m,) are related in this oracle's opinion; nothing is counted.

        Raises:
            OracleError: as `answer`.
        """
        left, right = vector("i", i), vector("j", j)
        if left.size != right.size:
            raise OracleError(f"A question has {left.size} samples i and {right.size} samples j", "Pass pairs")
        for nodes in (left, right):
            outside = nodes[(nodes < 0) | (nodes >= self.num_samples)]
            if outside.size:
                raise OracleError(
                    f"A question is about sample {outside[0]}, outside [0, {self.num_samples})",
                    "Ask about samples of this data set",
                )
        if (left == right).any():
            raise OracleError(
                f"A question is about sample {left[left == right][0]} and itself", "Ask about two samples"
            )
        return self._related(left, right)

    @abstractmethod
    def _related(self, left: Nodes, right: Nodes) -> Mask:
        """Return (m,) bool for pairs of different samples in [0, N)."""


class LabelOracle(Oracle):
    """Answers by labels: two samples are related where they are of one class.

    Args:
        labels: (N,) integers; -1 is unlabelled, and of such a sample nothing can be said.

    Raises:
        OracleError: labels that are not (N,) integers of -1 or more.
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        self.labels = classes_of(labels)
        super().__init__(self.labels.size)

    def _related(self, left: Nodes, right: Nodes) -> Mask:
        for nodes in (left, right):
            unlabelled = nodes[self.labels[nodes] == -1]
            if unlabelled.size:
                raise OracleError(
                    f"A question is about sample {unlabelled[0]}, which is unlabelled", "Ask about labelled samples"
                )
        return np.asarray(self.labels[left] == self.labels[right])


class NoisyOracle(Oracle):
    """Answers as another oracle does, but a share of all pairs wrongly.

    A mistake is a function of the seed and the unordered pair: the same question gets the same answer whenever and in
    whatever form it comes, so that asking again corrects nothing, and two annotators are two seeds. The answers of a
    class contradict each other.

    Args:
        oracle: an oracle, or labels (N,) for a `LabelOracle`; what this one is asked does not count there.
        rate: share of the pairs answered wrongly, in [0, 1].
        seed: which ones.

    Raises:
        OracleError: a rate outside [0, 1], or labels that are not (N,) integers of -1 or more.
    """

    def __init__(self, oracle: Oracle | npt.ArrayLike, rate: float, seed: int = 0) -> None:
        if not 0 <= rate <= 1:
            raise OracleError(f"rate={rate} is no share of the answers", "Pass a rate in [0, 1]")
        self.oracle = oracle if isinstance(oracle, Oracle) else LabelOracle(oracle)
        self.rate = rate
        self.seed = seed
        super().__init__(self.oracle.num_samples)

    def _related(self, left: Nodes, right: Nodes) -> Mask:
        from pal_plugin.data.draws import uniforms  # its room imports torch, which no other oracle needs

        pair = np.minimum(left, right) * self.num_samples + np.maximum(left, right)
        mistaken = uniforms(self.seed, 0, pair, _MISTAKE, 1)[:, 0] < self.rate
        return self.oracle.related(left, right) ^ mistaken


def classes_of(labels: npt.ArrayLike) -> Nodes:
    """Return labels (N,) as int64, -1 for an unlabelled sample.

    Raises:
        OracleError: not a vector of integers, or a label below -1.
    """
    classes = vector("labels", labels)
    wrong = np.flatnonzero(classes < -1)
    if wrong.size:
        raise OracleError(
            f"Sample {wrong[0]} has the label {classes[wrong[0]]}, which is no class",
            "Number the classes from 0, and give an unlabelled sample -1",
        )
    return classes


def vector(name: str, values: npt.ArrayLike) -> Nodes:
    """Return a vector of integers as int64.

    Raises:
        OracleError: not a vector, or not of integers.
    """
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise OracleError(
            f"{name} must be a vector of integers, found {array.dtype} of shape {array.shape}", "Correct it"
        )
    return array.astype(np.int64)
