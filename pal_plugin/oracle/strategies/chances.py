"""How likely components are to be related, from features and sizes, calibrated on the answers so far."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.checks import Mask, Nodes
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Floats, unit

Doubles = npt.NDArray[np.float64]

_KAPPA = 20.0  # concentration of a class's directions about their mean, before calibration
_WEIGHT = 10.0  # above this size a component weighs no more: it is large for having been asked about, not for its kind
_RECENT = 512  # answers that the calibration is fitted on
_STEPS = 8
_PRIOR_MEAN = np.array([0.0, 1.0])  # of intercept and slope: the mixture as it is
_PRIOR_PRECISION = np.diag([0.25, 4.0])  # standard deviations 2 and 1/2
_LARGEST = 30.0


class Chances:
    """The chance that a component is related to each of k anchors, which are the largest components.

    A mixture model: the anchors are classes whose weight is their size, at most 10, and whose directions are spread
    about their mean (von Mises and Fisher's density, κ = 20), and with the weight of one sample there is a class not
    seen yet. Anchors that a component is known apart from are out. Without features κ is 0, and the weights remain. The
    log-odds of this model are then calibrated, by logistic regression with a weak prior for leaving them as they are,
    on those of the last 512 answers that are about an anchor; a sample does not count in its own component there.

    Args:
        situation: what is known, and which answers there were.
        anchors: (k,) roots.
        sizes: (k,) their sizes.
        features: directions (N, D); None: there are none.
        means: of the anchors' directions (k, D); None where there are no features.
    """

    def __init__(
        self, situation: Situation, anchors: Nodes, sizes: Doubles, features: Floats | None, means: Floats | None
    ) -> None:
        self._sizes = sizes
        self._means = means
        self._intercept, self._slope = self._fitted(situation, anchors, features)

    def related(self, rows: Floats | None, is_open: Mask) -> tuple[Doubles, Doubles]:
        """Return the chances (m, k) that m components are related to the anchors, and (m,) to none of them.

        The former are calibrated, and 0 where it is not open; the latter are the mixture's.

        Args:
            rows: the components' mean directions (m, D); None: there are no features.
            is_open: (m, k) whether it is open that they are related.
        """
        scores = np.where(is_open, self._scores(rows, len(is_open)), -np.inf)
        odds = self._intercept + self._slope * log_odds(scores)
        top = np.maximum(scores.max(axis=1), 0)
        new = np.exp(-top) / (np.exp(-top) + np.exp(scores - top[:, None]).sum(axis=1))
        return np.where(is_open, 1 / (1 + np.exp(-odds)), 0.0), new

    def _scores(self, rows: Floats | None, count: int) -> Doubles:
        """Return the log-weights (m, k) of the anchors for m components."""
        scores = np.tile(np.log(np.minimum(self._sizes, _WEIGHT)), (count, 1))
        if rows is not None and self._means is not None:
            scores += _KAPPA * (rows @ unit(self._means).T)
        return scores

    def _fitted(self, situation: Situation, anchors: Nodes, features: Floats | None) -> tuple[float, float]:
        """Return intercept and slope of the calibration."""
        known, pairs = situation.known, situation.asked.pairs[-_RECENT:]
        if not len(pairs):
            return 0.0, 1.0
        column = np.full(situation.num_samples, -1, dtype=np.int64)
        column[anchors] = np.arange(anchors.size)
        of = column[known.roots(pairs)]
        swapped = (of[:, 0] < 0) | ((of[:, 1] >= 0) & (of[:, 1] < of[:, 0]))  # the larger one is the anchor
        anchor = np.where(swapped, of[:, 1], of[:, 0])
        sample, own = np.where(swapped, pairs[:, 0], pairs[:, 1]), np.where(swapped, of[:, 0], of[:, 1])
        relation = known.relation(pairs[:, 0], pairs[:, 1])
        kept = (anchor >= 0) & (relation != 0)
        if not kept.any():
            return 0.0, 1.0
        anchor, sample, own, relation = anchor[kept], sample[kept], own[kept], relation[kept]
        rows = None if features is None else features[sample]
        scores = self._scores(rows, sample.size)
        self._without_itself(scores, own, rows)
        odds = log_odds(scores)[np.arange(sample.size), anchor]
        return logistic(odds, relation > 0)

    def _without_itself(self, scores: Doubles, own: Nodes, rows: Floats | None) -> None:
        """Take samples out of their own components: `own` (m,) names the column, -1 where it is no anchor."""
        inside = np.flatnonzero(own >= 0)
        sizes = self._sizes[own[inside]]
        scores[inside, own[inside]] = np.log(np.clip(sizes - 1, 0.5, _WEIGHT))
        if rows is None or self._means is None:
            return
        others = unit((self._means[own[inside]] * sizes[:, None] - rows[inside]).astype(np.float32))
        scores[inside, own[inside]] += _KAPPA * (others * rows[inside]).sum(axis=1)


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
