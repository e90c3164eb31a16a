"""Questions that an oracle can be asked: pairs, and grids ("select all that show the same as this one")."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.answers import Mask, Nodes, Oracle


@dataclass(frozen=True)
class Pairs:
    """Are i and j related?

    Attributes:
        i: (m,) int64 samples.
        j: (m,) int64 samples.
    """

    i: Nodes
    j: Nodes

    def ask(self, oracle: Oracle) -> npt.NDArray[np.int8]:
        """Return the answers (m,), +1 or −1."""
        return oracle.answer(self.i, self.j)


@dataclass(frozen=True)
class Grid:
    """Which of the candidates show the same as the anchor?

    Attributes:
        anchor: a sample.
        candidates: (m,) int64 samples.
    """

    anchor: int
    candidates: Nodes

    def ask(self, oracle: Oracle) -> Mask:
        """Return which are selected, (m,) bool."""
        return oracle.select(self.anchor, self.candidates)
