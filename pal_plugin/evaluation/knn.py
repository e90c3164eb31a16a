"""Weighted k-nearest-neighbour accuracy, the quick look at a representation (Wu et al., arXiv 1805.01978).

Weights and defaults are solo-learn's (`WeightedKNNClassifier`, which does not run on torchmetrics 1.0 or later):
exp(cosine / temperature), or 1 / (distance + 1e-5) for the Euclidean metric.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation._checks import Scores, checked_pair, checked_rows, same_width
from pal_plugin.evaluation._nearest import check_metric, nearest

_EPSILON = 1e-5  # solo-learn's, added to distances


def knn_accuracy(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    test_x: NDArray[Any],
    test_y: NDArray[Any],
    k: int = 20,
    temperature: float = 0.07,
    metric: str = "cosine",
) -> dict[str, float]:
    """Classify each test row by the weighted vote of its `k` nearest train rows.

    Args:
        train_x: (N, D) features of the bank.
        train_y: (N,) its classes.
        test_x: (M, D) features of the queries.
        test_y: (M,) their classes.
        k: neighbours that vote; more than N are cut to N with a warning.
        temperature: of the exponential, for the cosine metric.
        metric: `"cosine"` or `"euclidean"`.

    Returns:
        `{"top1", "top5"}` in percent.

    Raises:
        ConfigError: unknown metric, k below 1, temperature not positive.
        FeatureError: shapes that do not fit, values that are not finite.
        DataError: labels that do not fit, or unlabelled samples.
    """
    test_x, test_y = checked_pair(test_x, test_y, name="test")
    scores = knn_scores(train_x, train_y, test_x, k, temperature, metric)
    return {f"top{n}": scores.accuracy(test_y, n) for n in (1, 5)}


def knn_scores(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    test_x: NDArray[Any],
    k: int = 20,
    temperature: float = 0.07,
    metric: str = "cosine",
) -> Scores:
    """Return the votes of each test row's `k` nearest train rows, summed by class.

    Neighbours that are equally near are taken by index, and votes that tie go to the lower class. The arguments are
    those of `knn_accuracy`.

    Raises:
        ConfigError, FeatureError, DataError: see `knn_accuracy`.
    """
    check_metric(metric)
    if k < 1 or not temperature > 0:
        raise ConfigError(
            f"k={k} and temperature={temperature} cannot vote", "Use k of 1 or more and a temperature above 0"
        )
    train_x, train_y = checked_pair(train_x, train_y, name="train")
    test_x = checked_rows(test_x, name="test")
    same_width(train_x, test_x)
    if k > len(train_x):
        warnings.warn(
            f"k={k} is more than the {len(train_x)} train rows; all of them vote", RuntimeWarning, stacklevel=3
        )
        k = len(train_x)
    classes, columns = np.unique(train_y, return_inverse=True)
    votes = np.zeros((len(test_x), len(classes)))
    for block, rows, closeness in nearest(train_x, test_x, k, metric):
        weights = _weights(closeness, temperature, metric)
        np.add.at(votes, (np.arange(block.start, block.stop)[:, None], columns[rows]), weights)
    return Scores(votes, classes)


def _weights(closeness: NDArray[np.float64], temperature: float, metric: str) -> NDArray[np.float64]:
    if metric == "cosine":
        # relative to the nearest neighbour: the vote is the same and a small temperature cannot overflow
        weights: NDArray[np.float64] = np.exp((closeness - closeness[:, :1]) / temperature)
    else:
        weights = 1 / (-closeness + _EPSILON)
    return weights
