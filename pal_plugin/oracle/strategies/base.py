"""What a strategy is, and what all of them need."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import FeatureError
from pal_plugin.oracle.checks import Nodes, check_seed
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.situation import Situation

Floats = npt.NDArray[np.float32]


class Strategy(ABC):
    """Decides what to ask next.

    A strategy keeps nothing about answers: its question is a function of the situation, in which the round counts, and
    of its seed. So a run that was killed goes on exactly as it would have gone on. It never asks what is known by
    closure or was asked, and no question says the same thing twice: of several candidates in one component, one
    stands for all.

    Args:
        seed: of whatever it draws.

    Raises:
        OracleError: a seed that is no integer of 0 or more.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = check_seed(seed)
        self._directions: tuple[Floats, Floats] | None = None

    @abstractmethod
    def next(self, situation: Situation) -> Question | None:
        """Return what to ask next, or None where nothing is left that is worth asking."""

    def generator(self, situation: Situation) -> np.random.Generator:
        """Return the source of randomness of this round."""
        return np.random.default_rng([self.seed, situation.round])

    def directions(self, features: Floats) -> Floats:
        """Return `directions(features)`, computed once for each array of features."""
        if self._directions is None or self._directions[0] is not features:
            self._directions = (features, directions(features))
        return self._directions[1]


def directions(features: Floats) -> Floats:
    """Return the rows of features (N, D) relative to their mean, at unit length; a row at the mean stays zero.

    Raises:
        FeatureError: a value that is not finite.
    """
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1))
    if wrong.size:
        raise FeatureError(
            f"The features of {wrong.size} of {len(features)} samples are not finite, the first those of sample "
            f"{wrong[0]}",
            "Embed the data set again: `pal embed`",
        )
    rows = np.asarray(features - features.mean(axis=0, dtype=np.float64).astype(np.float32), dtype=np.float32)
    return unit(rows)


def unit(rows: Floats) -> Floats:
    """Return rows (m, D) at unit length; a zero row stays zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1))


def one_each(situation: Situation, samples: Nodes) -> Nodes:
    """Return the first of `samples` (m,) of each component among them, in their order."""
    _, first = np.unique(situation.known.roots(samples), return_index=True)
    return samples[np.sort(first)]
