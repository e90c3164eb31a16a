"""Questions that an oracle can be asked: pairs, and grids ("select all that show the same as this one")."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Nodes, vector


@dataclass(frozen=True, eq=False)
class Question(ABC):
    """Whether each of m pairs of samples is related. Two questions are equal that ask the same in the same form.

    Args:
        i: (m,) samples.
        j: (m,) samples, other than those of i.

    Attributes:
        kind: "pair" or "grid".

    Raises:
        OracleError: no pair, lengths that differ, numbers that are no samples, a sample with itself, or a pair that
            comes twice, in whichever direction.
    """

    kind: ClassVar[str]
    i: Nodes
    j: Nodes

    def __post_init__(self) -> None:
        left, right = vector("i", self.i), vector("j", self.j)
        if left.size != right.size or not left.size:
            raise OracleError(f"A question has {left.size} samples i and {right.size} samples j", "Ask about pairs")
        lower, higher = np.minimum(left, right), np.maximum(left, right)
        if lower.min() < 0:
            raise OracleError(f"A question is about sample {lower.min()}", "Number the samples from 0")
        if (lower == higher).any():
            raise OracleError(
                f"A question is about sample {lower[lower == higher][0]} and itself", "Ask about two samples"
            )
        if np.unique(np.stack([lower, higher], axis=1), axis=0).shape[0] < left.size:
            raise OracleError(f"A question of {left.size} pairs asks about one of them twice", "Ask about each once")
        object.__setattr__(self, "i", left)
        object.__setattr__(self, "j", right)

    @property
    @abstractmethod
    def questions(self) -> int:
        """How many questions this counts as in a budget."""

    @abstractmethod
    def clicks(self, relations: npt.ArrayLike) -> int:
        """Return how many clicks it takes to answer this way with a mouse.

        Args:
            relations: (m,) of +1, −1 or 0 (not sure).
        """

    def __len__(self) -> int:
        return int(self.i.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Question) or self.kind != other.kind:
            return False
        return np.array_equal(self.i, other.i) and np.array_equal(self.j, other.j)

    def __hash__(self) -> int:
        return hash((self.kind, self.i.tobytes(), self.j.tobytes()))


@dataclass(frozen=True, eq=False)
class Pairs(Question):
    """Are i and j related? m questions of one click each.

    Args:
        i: (m,) samples.
        j: (m,) samples.

    Raises:
        OracleError: as `Question`.
    """

    kind: ClassVar[str] = "pair"

    @property
    def questions(self) -> int:
        """m: each pair is a question."""
        return len(self)

    def clicks(self, relations: npt.ArrayLike) -> int:
        """Return m: "yes", "no" and "not sure" are a click each."""
        return len(self)


@dataclass(frozen=True, eq=False, init=False)
class Grid(Question):
    """Which of the candidates show the same as the anchor? One question.

    Args:
        anchor: a sample.
        candidates: (m,) other samples, each once.

    Raises:
        OracleError: no candidate, one that comes twice or is the anchor, or numbers that are no samples.
    """

    kind: ClassVar[str] = "grid"

    def __init__(self, anchor: int, candidates: npt.ArrayLike) -> None:
        nodes = vector("candidates", candidates)
        super().__init__(np.full(nodes.size, anchor), nodes)

    @property
    def anchor(self) -> int:
        """The sample that the candidates are compared with."""
        return int(self.i[0])

    @property
    def candidates(self) -> Nodes:
        """(m,) int64 samples, in the order in which they are shown."""
        return self.j

    @property
    def questions(self) -> int:
        """1, however many candidates there are."""
        return 1

    def clicks(self, relations: npt.ArrayLike) -> int:
        """Return one for every candidate selected, one for each marked "not sure", and one to send the grid."""
        return int((np.asarray(relations) >= 0).sum()) + 1
