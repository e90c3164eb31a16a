"""What to ask next: the active and the passive strategy of PAL.

Cabannes, Bottou, LeCun and Balestriero, ICCV 2023, and the notebooks that the authors published with it. Both work in
rounds: `next` gives a question, or None when nothing is left to ask; `update` takes it back with its answer, from
whomever it came; `known` is the signed graph so far:

    question = strategy.next(predicted)
    strategy.update(question, question.ask(oracle))
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.answers import Nodes, classes_of, vector
from pal_plugin.oracle.questions import Grid, Pairs

_NEVER = -1


class ActiveStrategy:
    """Grids against the class that has been asked about least, of the samples predicted to be of it.

    One sample of each class is known from the start. Every round is about the class that the fewest samples are settled
    for; candidates are the samples of unknown class that have not been shown against it, and of these, where that
    leaves more than `grid`, the ones predicted to be of it. The candidates selected join the class, the others are not
    of it. What follows is filled in: samples of known classes are related or not, and one that is not of a class is
    unrelated to all its members.

    Args:
        num_samples: N.
        seeds: (C,) distinct samples, one known of each class (`first_of_each_class` of labels).
        grid: how many candidates are shown.
        seed: which ones.
        as_published: keep to the notebooks where they do less well: candidates are drawn with replacement, a sample
            that is not of a class is unrelated only to those members that were known when it was shown, and that the
            seeds are unrelated comes in with the first answer.

    Attributes:
        classes: (N,) int64, the class of each sample in [0, C), -1 where it is not known.

    Raises:
        OracleError: fewer than two samples, no seed, seeds that are not distinct samples, or grid < 1.
    """

    def __init__(
        self, num_samples: int, seeds: npt.ArrayLike, *, grid: int = 10, seed: int = 0, as_published: bool = False
    ) -> None:
        _check_size(num_samples)
        if grid < 1:
            raise OracleError(f"A grid of {grid} shows nothing", "Pass grid >= 1")
        self.seeds = _seeds(seeds, num_samples)
        self.grid = grid
        self.as_published = as_published
        self.classes = np.full(num_samples, -1, dtype=np.int64)
        self.classes[self.seeds] = np.arange(self.seeds.size)
        self._round = 0
        self._joined = np.zeros(num_samples, dtype=np.int64)  # the round in which a sample's class became known
        self._denied = np.full((num_samples, self.seeds.size), _NEVER, dtype=np.int64)  # … and that it is not of one
        self._generator = np.random.default_rng(seed)

    def next(self, predicted: npt.ArrayLike | None = None) -> Grid | None:
        """Return the next grid, or None when every sample is settled for every class.

        Args:
            predicted: (N,) the class in [0, C) that a probe of the present embedding gives each sample; None: all
                candidates are alike.

        Raises:
            OracleError: predictions that are not (N,) classes in [0, C).
        """
        settled = (self.classes >= 0)[:, None] | (self._denied != _NEVER)
        about = int(settled.sum(axis=0).argmin())
        candidates = np.flatnonzero(~settled[:, about])
        if predicted is not None:
            likely = candidates[self._predictions(predicted)[candidates] == about]
            candidates = likely if likely.size > self.grid else candidates
        if not candidates.size:
            return None
        if candidates.size >= self.grid:
            candidates = self._generator.choice(candidates, self.grid, replace=self.as_published)
        return Grid(int(self.seeds[about]), candidates)

    def update(self, question: Grid, selected: npt.ArrayLike) -> None:
        """Take in which candidates of a grid (m,) were selected, (m,) bool.

        Raises:
            OracleError: a sample outside [0, N), an anchor whose class is not known, an answer that is not (m,) bool,
                or one that contradicts what is known; then nothing is taken in.
        """
        candidates = _within("candidates", question.candidates, self.classes.size)
        anchor = int(_within("anchor", [question.anchor], self.classes.size)[0])
        chosen = np.asarray(selected)
        if chosen.dtype != np.bool_ or chosen.shape != candidates.shape:
            raise OracleError(
                f"The answer to a grid of {candidates.size} is {chosen.dtype} of shape {chosen.shape}",
                "Say of each candidate whether it is selected",
            )
        about = int(self.classes[anchor])
        if about == -1:
            raise OracleError(f"The class of the anchor {anchor} is not known", "Ask with a sample of a known class")
        yes, no = candidates[chosen], candidates[~chosen]
        denied = self._denied[yes, about] != _NEVER
        elsewhere = (self.classes[yes] != -1) & (self.classes[yes] != about)
        against = np.concatenate([yes[denied | elsewhere], no[self.classes[no] == about], np.intersect1d(yes, no)])
        if against.size:
            raise OracleError(
                f"Whether sample {against[0]} shows the same as {anchor} has two answers: the grid's contradicts what "
                f"is known of {np.unique(against).size} of its samples",
                "Settle which of the answers is right",
            )
        self._round += 1
        self._joined[yes[self.classes[yes] == -1]] = self._round
        self.classes[yes] = about
        self._denied[no, about] = self._round

    def known(self) -> npt.NDArray[np.int8]:
        """Return what is known, (N, N) int8: +1 related, and each sample to itself; −1 unrelated; 0 unknown."""
        size, classes = self.classes.size, self.classes
        known = np.eye(size, dtype=np.int8)
        if self.as_published and self._round == 0:
            return known
        members = np.flatnonzero(classes != -1)
        known[np.ix_(members, members)] = np.where(classes[members, None] == classes[members], 1, -1)
        for about in range(self.seeds.size):
            inside = np.flatnonzero(classes == about)
            outside = np.flatnonzero((classes == -1) & (self._denied[:, about] != _NEVER))
            apart = np.full((outside.size, inside.size), -1, dtype=np.int8)
            if self.as_published:
                apart[self._joined[inside] > self._denied[outside, about, None]] = 0
            known[np.ix_(outside, inside)] = apart
            known[np.ix_(inside, outside)] = apart.T
        return known

    def _predictions(self, predicted: npt.ArrayLike) -> Nodes:
        classes = vector("predicted", predicted)
        if classes.size != self.classes.size or classes.min() < 0 or classes.max() >= self.seeds.size:
            raise OracleError(
                f"{classes.size} predictions do not fit {self.classes.size} samples of {self.seeds.size} classes",
                "Pass for each sample a class in the order of the seeds, counted from 0",
            )
        return classes


class PassiveStrategy:
    """Random pairs, each asked about once; what follows from the answers is not filled in, as in the notebooks.

    Args:
        num_samples: N.
        pairs: how many pairs are asked about in a round.
        seed: which ones.

    Raises:
        OracleError: fewer than two samples, or pairs < 1.
    """

    def __init__(self, num_samples: int, *, pairs: int = 10, seed: int = 0) -> None:
        _check_size(num_samples)
        if pairs < 1:
            raise OracleError(f"A round of {pairs} pairs asks nothing", "Pass pairs >= 1")
        self.num_samples = num_samples
        self.pairs = pairs
        self._generator = np.random.default_rng(seed)
        self._drawn = 0
        self._moved: dict[int, int] = {}  # a shuffle of all pairs as far as it has gone: place → number of the pair
        self._answers: dict[tuple[int, int], int] = {}

    def next(self, predicted: npt.ArrayLike | None = None) -> Pairs | None:
        """Return the next pairs, fewer in the last round, or None when all have been asked about.

        Args:
            predicted: what `ActiveStrategy.next` reads; here it changes nothing.
        """
        left = self.num_samples * (self.num_samples - 1) // 2 - self._drawn
        if not left:
            return None
        ends = np.array([self._draw() for _ in range(min(self.pairs, left))], dtype=np.int64)
        return Pairs(ends[:, 0], ends[:, 1])

    def update(self, question: Pairs, answers: npt.ArrayLike) -> None:
        """Take in the answers (m,), +1 or −1, to the pairs asked.

        Raises:
            OracleError: a sample outside [0, N) or paired with itself, answers that are not (m,) of ±1, or one that
                contradicts an earlier one; then nothing is taken in.
        """
        left, right = (_within(name, getattr(question, name), self.num_samples) for name in ("i", "j"))
        said = vector("answers", answers)
        if not left.size == right.size == said.size or (left == right).any() or (np.abs(said) != 1).any():
            raise OracleError(
                f"{said.size} answers in [{said.min(initial=0)}, {said.max(initial=0)}] do not fit {left.size} pairs",
                "Answer +1 or -1 for each pair of two samples",
            )
        ends = np.sort(np.stack([left, right], axis=1), axis=1)
        new: dict[tuple[int, int], int] = {}
        for (first, second), value in zip(ends.tolist(), said.tolist(), strict=True):
            pair = (first, second)
            if new.setdefault(pair, self._answers.get(pair, value)) != value:
                raise OracleError(
                    f"Whether samples {first} and {second} are related has two answers", "Settle which of them is right"
                )
        self._answers.update(new)

    def known(self) -> npt.NDArray[np.int8]:
        """Return what is known, (N, N) int8: +1 related, and each sample to itself; −1 unrelated; 0 unknown."""
        known = np.eye(self.num_samples, dtype=np.int8)
        if self._answers:
            left, right = np.array(list(self._answers)).T
            known[left, right] = known[right, left] = list(self._answers.values())
        return known

    def _draw(self) -> tuple[int, int]:
        """Return the next pair of a shuffle (Fisher and Yates) that holds only the places it has touched."""
        total = self.num_samples * (self.num_samples - 1) // 2
        place = int(self._generator.integers(self._drawn, total))
        number = self._moved.get(place, place)
        self._moved[place] = self._moved.pop(self._drawn, self._drawn)
        self._drawn += 1
        later = (1 + math.isqrt(1 + 8 * number)) // 2
        return number - later * (later - 1) // 2, later


def first_of_each_class(labels: npt.ArrayLike) -> Nodes:
    """Return the first sample of every class, (C,) int64, in the order of the classes' numbers; -1 is unlabelled.

    Raises:
        OracleError: labels that are not (N,) integers of -1 or more, or all of them -1.
    """
    classes = classes_of(labels)
    names, first = np.unique(classes, return_index=True)
    if not (names != -1).any():
        raise OracleError("No sample has a label", "Name a known sample of each class yourself")
    return np.asarray(first[names != -1], dtype=np.int64)


def _check_size(num_samples: int) -> None:
    if num_samples < 2:
        raise OracleError(f"There are no pairs among {num_samples} samples", "Ask about two samples or more")


def _seeds(seeds: npt.ArrayLike, num_samples: int) -> Nodes:
    nodes = vector("seeds", seeds)
    without = np.flatnonzero((nodes < 0) | (nodes >= num_samples))
    if without.size:
        raise OracleError(
            f"Class {without[0]} has no seed among the {num_samples} samples: {nodes[without[0]]}",
            "Name one known sample of each class, or leave the class out",
        )
    if not nodes.size or np.unique(nodes).size != nodes.size:
        raise OracleError(f"The seeds of {nodes.size} classes are not distinct samples", "Name another for each class")
    return nodes


def _within(name: str, values: npt.ArrayLike, num_samples: int) -> Nodes:
    nodes = vector(name, values)
    outside = nodes[(nodes < 0) | (nodes >= num_samples)]
    if outside.size:
        raise OracleError(f"{name} holds sample {outside[0]}, outside [0, {num_samples})", "Ask about this data set")
    return nodes
