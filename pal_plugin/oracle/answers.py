"""Oracles: whoever answers questions. From labels, rightly or with mistakes; the count of what they were asked."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.checks import Signs, classes_of
from pal_plugin.oracle.questions import Question

_MISTAKE = 15  # a stream of pal_plugin.data.draws that belongs to no view


class Oracle(ABC):
    """Whoever knows which of N samples are related. An oracle of one's own has only to define `_answer`.

    Args:
        num_samples: N.

    Attributes:
        account: what it has been asked so far.
    """

    def __init__(self, num_samples: int) -> None:
        self.num_samples = num_samples
        self.account = Account()

    def answer(self, question: Question) -> Signs:
        """Say of the m pairs of a question whether they are related, and count it.

        Returns:
            (m,) int8: +1 related, −1 unrelated, 0 not sure.

        Raises:
            OracleError: a sample is outside [0, N), or the oracle's answer is not (m,) of +1, −1 and 0.
        """
        outside = np.concatenate([question.i, question.j])
        outside = outside[outside >= self.num_samples]
        if outside.size:
            raise OracleError(
                f"A question is about sample {outside[0]}, outside [0, {self.num_samples})",
                "Ask about samples of this data set",
            )
        relations = checked(question, self._answer(question))
        self.account += self._cost(question, relations)
        return relations

    @abstractmethod
    def _answer(self, question: Question) -> npt.ArrayLike:
        """Return (m,) of +1, −1 and 0 for a question about samples in [0, N)."""

    def _cost(self, question: Question, relations: Signs) -> Account:
        """Return what the answer just given costs."""
        return Account.of(question, relations)


def checked(question: Question, relations: npt.ArrayLike) -> Signs:
    """Return an answer (m,) to a question of m pairs as int8.

    Raises:
        OracleError: not (m,) of +1, −1 and 0.
    """
    array = np.asarray(relations)
    if array.shape != (len(question),) or not np.isin(array, (-1, 0, 1)).all():
        raise OracleError(
            f"An answer of shape {array.shape} to a question of {len(question)} pairs, with values such as "
            f"{array.reshape(-1)[:3].tolist()}, does not fit it",
            "Answer +1 (related), -1 (unrelated) or 0 (not sure) for each pair",
        )
    return array.astype(np.int8)


class LabelOracle(Oracle):
    """Answers by labels: two samples are related where they are of one class.

    Args:
        labels: (N,) integers; -1 is unlabelled, and of such a sample it is not sure.

    Raises:
        OracleError: labels that are not (N,) integers of -1 or more.

    Example:
        >>> from pal_plugin.oracle import Grid
        >>> oracle = LabelOracle([0, 0, 1, -1])
        >>> oracle.answer(Grid(anchor=0, candidates=[1, 2, 3]))
        array([ 1, -1,  0], dtype=int8)
        >>> oracle.account.clicks
        3
    """

    def __init__(self, labels: npt.ArrayLike) -> None:
        self.labels = classes_of(labels)
        super().__init__(self.labels.size)

    def _answer(self, question: Question) -> Signs:
        left, right = self.labels[question.i], self.labels[question.j]
        relations = np.where(left == right, 1, -1)
        return np.where((left == -1) | (right == -1), 0, relations).astype(np.int8)


class NoisyOracle(Oracle):
    """Answers as another oracle does, but a share of all pairs wrongly.

    A mistake is a function of the seed and the unordered pair: the same question gets the same answer whenever and in
    whatever form it comes, so that asking again corrects nothing, and two annotators are two seeds. The answers of a
    class contradict each other. Where the other oracle is not sure, so is this one.

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

    def _answer(self, question: Question) -> Signs:
        from pal_plugin.data.draws import uniforms  # its room imports torch, which no other oracle needs

        pair = np.minimum(question.i, question.j) * self.num_samples + np.maximum(question.i, question.j)
        mistaken = uniforms(self.seed, 0, pair, _MISTAKE, 1)[:, 0] < self.rate
        relations = checked(question, self.oracle._answer(question))
        return np.where(mistaken, -relations, relations)
