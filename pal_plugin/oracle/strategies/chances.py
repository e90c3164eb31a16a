"""How likely components are to be related, from features and sizes, calibrated on the answers so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.checks import Mask, Nodes
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Floats, unit
from pal_plugin.oracle.strategies.parts import means

Doubles = npt.NDArray[np.float64]

_KAPPA = 20.0  # concentration of a class's directions about their mean, before calibration
_WEIGHT = 10.0  # above this size a component weighs no more: it is large for having been asked about
_RECENT = 1024  # answers that the calibration is fitted on
_STEPS = 8
# Of intercept and slope: about the mixture as it is, with more hope at first, so that several grids without a join are
# needed to give up where nothing is known.
_PRIOR_MEAN = np.array([1.0, 1.0])
_PRIOR_PRECISION = np.diag([0.5, 4.0])
_LARGEST = 30.0


class Chances:
    """The chance that a component is related to each of k anchors, which are the largest components.

    A mixture model: the anchors are classes whose weight is their size, at most 10, since the mean of a few says less,
    and whose directions are spread about their mean (von Mises and Fisher's density, κ = 20); with the weight of one
    sample there is a class not seen yet. Without features all anchors are alike. The log-odds of this model are then
    calibrated, by logistic regression with a weak prior for leaving them as they are, on the last 1024 pairs asked
    about; a sample does not count in its own component there.

    What a component is known apart from still counts as its rival: of those that joined an anchor it is forgotten what
    they were known apart from before, and the calibration would take for a sign what only followed from the answer.

    Args:
        situation: what is known, and which answers there were.
        anchors: (k,) roots.
        sizes: (k,) their sizes.
        features: directions (N, D); None: there are none.
        generator: of the members that means are taken of.
    """

    def __init__(
        self,
        situation: Situation,
        anchors: Nodes,
        sizes: Doubles,
        features: Floats | None,
        generator: np.random.Generator,
    ) -> None:
        self._most = _WEIGHT if features is not None else 1.0
        self._anchors = anchors
        self._sizes = sizes
        self._means = None if features is None else unit(means(situation, features, anchors, generator))
        self._intercept, self._slope = self._fitted(situation, features, generator)

    def related(self, roots: Nodes, rows: Floats | None, is_open: Mask) -> tuple[Doubles, Doubles]:
        """Return the chances (m, k) that m components are related to the anchors, and (m,) to none of them.

        The former are calibrated, and 0 where it is not open; the latter are the mixture's, of the open anchors.

        Args:
            roots: (m,) of the components.
            rows: the components' mean directions (m, D); None: there are no features.
            is_open: (m, k) whether it is open that they are related.
        """
        scores = self._scores(rows, roots.size)
        odds = self._intercept + self._slope * log_odds(np.where(roots[:, None] == self._anchors, -np.inf, scores))
        left = np.where(is_open, scores, -np.inf)
        top = np.maximum(left.max(axis=1), 0)
        new = np.exp(-top) / (np.exp(-top) + np.exp(left - top[:, None]).sum(axis=1))
        return np.where(is_open, 1 / (1 + np.exp(-odds)), 0.0), new

    def _scores(self, rows: Floats | None, count: int) -> Doubles:
        """Return the log-weights (m, k) of the anchors for m components."""
        scores = np.tile(np.log(np.minimum(self._sizes, self._most)), (count, 1))
        if rows is not None and self._means is not None:
            scores += _KAPPA * (rows @ self._means.T)
        return scores

    def _fitted(
        self, situation: Situation, features: Floats | None, generator: np.random.Generator
    ) -> tuple[float, float]:
        """Return intercept and slope of the calibration.

        Of each pair asked about, one sample is looked at as a candidate, and the other one's component, without the
        candidate, as the anchor.
        """
        known, pairs = situation.known, situation.asked.pairs[-_RECENT:]
        relation = known.relation(pairs[:, 0], pairs[:, 1])
        pairs, relation = pairs[relation != 0], relation[relation != 0]
        if not len(pairs):
            return float(_PRIOR_MEAN[0]), float(_PRIOR_MEAN[1])
        sizes = known.size(pairs)
        swapped = sizes[:, 1] > sizes[:, 0]  # the larger component is the anchor
        anchor, candidate = np.where(swapped, pairs[:, ::-1].T, pairs.T)
        parts, of = np.unique(known.roots(anchor), return_inverse=True)
        inside = relation > 0
        left = known.size(parts)[of] - inside
        score = np.log(np.minimum(left, self._most))
        rows = None if features is None else features[candidate]
        if features is not None and rows is not None:
            sums = means(situation, features, parts, generator)[of] * (left + inside)[:, None] - rows * inside[:, None]
            score += _KAPPA * (unit(sums.astype(np.float32)) * rows).sum(axis=1)
        others = self._scores(rows, candidate.size)
        own, of_pair = known.roots(candidate)[:, None], parts[of][:, None]
        others = np.where((own == self._anchors) | (of_pair == self._anchors), -np.inf, others)
        odds = log_odds(np.concatenate([score[:, None], others], axis=1))[:, 0]
        return logistic(odds, inside)


def log_odds(scores: Doubles) -> Doubles:
    """Return (m, k) log-odds of each of k classes against the others and one of score 0; −∞ scores are out."""
    top = np.maximum(scores.max(axis=1, keepdims=True), 0)
    weights = np.exp(scores - top)
    others = np.maximum(weights.sum(axis=1, keepdims=True) + np.exp(-top) - weights, np.exp(-_LARGEST))
    odds = np.where(np.isfinite(scores), scores, -_LARGEST) - top - np.log(others)
    return np.asarray(np.clip(odds, -_LARGEST, _LARGEST))


def logistic(odds: Doubles, outcome: Mask) -> tuple[float, float]:
    """Return intercept and slope of a logistic regression of outcomes (m,) on log-odds (m,), with a Gaussian prior."""
    design = np.stack([np.ones_like(odds), odds], axis=1)
    weights = _PRIOR_MEAN
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -_LARGEST, _LARGEST)))
        gradient = design.T @ (outcome - chance) - _PRIOR_PRECISION @ (weights - _PRIOR_MEAN)
        curvature = (design.T * (chance * (1 - chance))) @ design + _PRIOR_PRECISION
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step / max(1.0, float(np.abs(step).max()))  # no step of more than 1: Newton's may overshoot
    return float(weights[0]), max(float(weights[1]), 0.0)
