"""How the authors' notebooks query: kept apart from `pal_plugin.oracle`, which asks nothing twice and fills in more.

What they do less well: a grid is drawn with replacement and may show a point twice; a sample that is not of a class is
unrelated only to those members that were known when it was shown; that the seeds are unrelated comes in with the first
answer; nothing follows from the answers to random pairs. Both strategies answer from labels.
"""

from __future__ import annotations

import math

import numpy as np

from pal_plugin.oracle import first_of_each_class
from reproductions.pal.querying import Signed
from reproductions.pal.toy import Labels, Points, probe

_NEVER = -1


class NotebookActive:
    """Grids against the class asked about least, of the samples predicted to be of it, where they are more than a grid.

    Args:
        labels: (N,) what the oracle knows.
        grid: how many candidates are shown.
        seed: which ones.

    Attributes:
        classes: (N,) the class of each sample, -1 where it is not known; the first sample of each class is.
    """

    def __init__(self, labels: Labels, *, grid: int, seed: int) -> None:
        self._labels = labels
        self._grid = grid
        seeds = first_of_each_class(labels)
        self.classes = np.full(labels.size, -1, dtype=np.int64)
        self.classes[seeds] = np.arange(seeds.size)
        self._round = 0
        self._joined = np.zeros(labels.size, dtype=np.int64)  # the round in which a sample's class became known
        self._denied = np.full((labels.size, seeds.size), _NEVER, dtype=np.int64)  # … and that it is not of one
        self._generator = np.random.default_rng(seed)

    def ask(self, embedding: Points | None = None) -> None:
        """Show the next grid, unless all is known, and take in the answer.

        Args:
            embedding: (N, k) from which a probe predicts the samples' classes; None: all candidates are alike.
        """
        settled = (self.classes >= 0)[:, None] | (self._denied != _NEVER)
        about = int(settled.sum(axis=0).argmin())
        candidates = np.flatnonzero(~settled[:, about])
        if embedding is not None:
            of = self.classes >= 0
            likely = candidates[probe(embedding[of], self.classes[of], embedding)[candidates] == about]
            candidates = likely if likely.size > self._grid else candidates
        if not candidates.size:
            return
        if candidates.size >= self._grid:
            candidates = self._generator.choice(candidates, self._grid, replace=True)
        chosen = self._labels[candidates] == self._labels[np.flatnonzero(self.classes == about)[0]]
        yes, no = candidates[chosen], candidates[~chosen]
        self._round += 1
        self._joined[yes] = self._round
        self.classes[yes] = about
        self._denied[no, about] = self._round

    def known(self) -> Signed:
        """Return what is known, (N, N): +1 related, and each sample to itself; −1 unrelated; 0 unknown."""
        classes = self.classes
        known = np.eye(classes.size, dtype=np.int8)
        if self._round == 0:
            return known
        members = np.flatnonzero(classes != -1)
        known[np.ix_(members, members)] = np.where(classes[members, None] == classes[members], 1, -1)
        for about in range(self._denied.shape[1]):
            inside = np.flatnonzero(classes == about)
            outside = np.flatnonzero((classes == -1) & (self._denied[:, about] != _NEVER))
            apart = np.where(self._joined[inside] > self._denied[outside, about, None], 0, -1)
            known[np.ix_(outside, inside)] = apart
            known[np.ix_(inside, outside)] = apart.T
        return known


class NotebookPassive:
    """Random pairs, each asked about once; what follows from the answers is not filled in.

    Args:
        labels: (N,) what the oracle knows.
        pairs: how many pairs are asked about in a round.
        seed: which ones.
    """

    def __init__(self, labels: Labels, *, pairs: int, seed: int) -> None:
        self._labels = labels
        self._pairs = pairs
        self._generator = np.random.default_rng(seed)
        self._drawn = 0
        self._moved: dict[int, int] = {}  # a shuffle of all pairs as far as it has gone: place → number of the pair
        self._known = np.eye(labels.size, dtype=np.int8)

    def ask(self, embedding: Points | None = None) -> None:
        """Ask about the next pairs, fewer in the last round, and take in the answers; no embedding changes them."""
        left = self._labels.size * (self._labels.size - 1) // 2 - self._drawn
        for _ in range(min(self._pairs, left)):
            i, j = self._draw()
            self._known[i, j] = self._known[j, i] = 1 if self._labels[i] == self._labels[j] else -1

    def known(self) -> Signed:
        """Return what is known, (N, N): +1 related, and each sample to itself; −1 unrelated; 0 unknown."""
        return self._known

    def _draw(self) -> tuple[int, int]:
        """Return the next pair of a shuffle (Fisher and Yates) that holds only the places it has touched."""
        total = self._labels.size * (self._labels.size - 1) // 2
        place = int(self._generator.integers(self._drawn, total))
        number = self._moved.get(place, place)
        self._moved[place] = self._moved.pop(self._drawn, self._drawn)
        self._drawn += 1
        later = (1 + math.isqrt(1 + 8 * number)) // 2
        return number - later * (later - 1) // 2, later
