"""The authors' active strategy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Nodes, check_count, vector
from pal_plugin.oracle.questions import Grid, Pairs
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Floats, Strategy, one_each, unit

Predict = Callable[[Floats, Nodes, Nodes], npt.ArrayLike]
"""(features (N, D), known samples (n,), their classes (n,)) → (N,) classes."""


class Active(Strategy):
    """Grids against the class that has been asked about least, of the samples predicted to be of it.

    Cabannes, Bottou, LeCun and Balestriero, ICCV 2023, and the notebooks published with it. One sample of each class is
    known from the start; a class is what is known to be related to its seed. Every round is about the class that the
    fewest samples are settled for; candidates are the samples of unknown class that are open to its seed, and of these,
    where that leaves more than `grid`, the ones predicted to be of it.

    That seeds of different classes are unrelated is never asked: record `seed_pairs(seeds)` as known before.

    Args:
        seeds: (C,) distinct samples, one known of each class (`first_of_each_class` of labels).
        grid: how many candidates are shown.
        seed: which ones.
        predict: gives samples their classes, in [0, C), from features and what is known; None: the nearest class mean
            (`nearest_mean`). Without features in the situation nothing is predicted and all candidates are alike.

    Raises:
        OracleError: no seed, seeds that are not distinct samples, or a grid or seed that is none.
    """

    def __init__(self, seeds: npt.ArrayLike, grid: int = 10, seed: int = 0, *, predict: Predict | None = None) -> None:
        super().__init__(seed)
        self.seeds = checked_seeds(seeds)
        self.grid = check_count("grid", grid)
        self._predict = predict

    def next(self, situation: Situation) -> Grid | None:
        """Return the next grid, or None when every sample is settled for every class.

        Raises:
            OracleError: a class without a seed in this data set, or predictions that are not (N,) classes in [0, C).
            FeatureError: features that are not finite.
        """
        checked_seeds(self.seeds, situation.num_samples)
        classes = classes_of_seeds(situation, self.seeds)
        samples = situation.samples
        samples = samples[classes[samples] == -1]
        # settled already are the samples of known class, as many for each class
        abouts = [about for about, seed in enumerate(self.seeds) if classes[seed] == about]
        open_to = {about: np.intersect1d(samples, situation.open_to(int(self.seeds[about]))) for about in abouts}
        about = max(abouts, key=lambda about: (open_to[about].size, -about))
        candidates = open_to[about]
        if not candidates.size:
            return None
        if situation.features is not None:
            likely = candidates[self._predicted(situation.features, classes)[candidates] == about]
            candidates = likely if one_each(situation, likely).size > self.grid else candidates
        drawn = one_each(situation, self.generator(situation).permutation(candidates))
        return Grid(int(self.seeds[about]), drawn[: self.grid])

    def _predicted(self, features: Floats, classes: Nodes) -> Nodes:
        known = np.flatnonzero(classes != -1)
        if self._predict is None:
            return nearest_mean(self.directions(features), known, classes[known])
        predicted = vector("predicted", self._predict(features, known, classes[known]))
        if predicted.size != classes.size or predicted.min() < 0 or predicted.max() >= self.seeds.size:
            raise OracleError(
                f"{predicted.size} predictions do not fit {classes.size} samples of {self.seeds.size} classes",
                "Predict for each sample a class in the order of the seeds, counted from 0",
            )
        return predicted


def nearest_mean(features: Floats, known: Nodes, classes: Nodes) -> Nodes:
    """Return for each row of features (N, D) the class whose known members' mean is nearest in direction, (N,).

    Args:
        features: directions (N, D).
        known: (n,) samples.
        classes: (n,) of them.
    """
    names, number = np.unique(classes, return_inverse=True)
    means = np.stack([features[known[number == c]].mean(axis=0) for c in range(names.size)])
    return np.asarray(names[np.argmax(features @ unit(means).T, axis=1)])


def classes_of_seeds(situation: Situation, seeds: Nodes) -> Nodes:
    """Return the class of every sample, (N,): the first seed that it is known to be related to; -1 where to none."""
    roots = situation.known.roots(np.arange(situation.num_samples))
    class_of = np.full(situation.num_samples, -1, dtype=np.int64)
    class_of[roots[seeds[::-1]]] = np.arange(seeds.size)[::-1]
    return class_of[roots]


def seed_pairs(seeds: npt.ArrayLike) -> Pairs | None:
    """Return the pairs of the seeds of C classes, all unrelated; None where there is one class.

    Raises:
        OracleError: no seed, or seeds that are not distinct samples.
    """
    nodes = checked_seeds(seeds)
    first, second = np.triu_indices(nodes.size, k=1)
    return Pairs(nodes[first], nodes[second]) if first.size else None


def checked_seeds(seeds: npt.ArrayLike, num_samples: int | None = None) -> Nodes:
    """Return the seeds of C classes, (C,) int64.

    Raises:
        OracleError: no seed, seeds that are not distinct, or one that is no sample.
    """
    nodes = vector("seeds", seeds)
    size = np.iinfo(np.int64).max if num_samples is None else num_samples
    without = np.flatnonzero((nodes < 0) | (nodes >= size))
    if without.size:
        where = "" if num_samples is None else f" among the {num_samples} samples"
        raise OracleError(
            f"Class {without[0]} has no seed{where}: {nodes[without[0]]}",
            "Name one known sample of each class, or leave the class out",
        )
    if not nodes.size or np.unique(nodes).size != nodes.size:
        raise OracleError(f"The seeds of {nodes.size} classes are not distinct samples", "Name another for each class")
    return nodes
