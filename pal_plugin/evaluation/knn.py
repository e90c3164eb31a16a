"""Weighted k-nearest-neighbour accuracy, the quick look at a representation (Wu et al., arXiv 1805.01978).

Weights and defaults are solo-learn's (`WeightedKNNClassifier`, which does not run on torchmetrics 1.0 or later):
exp(cosine / temperature), or 1 / (distance + 1e-5) for the Euclidean metric.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation._checks import Floats, accuracy, checked_pair, same_width

METRICS = ("cosine", "euclidean")
_EPSILON = 1e-5  # solo-learn's, added to distances
_TINY = 1e-12  # a vector of zeros has cosine 0 with everything
_SPARE = 16  # candidates beyond k: float32 may order near ties wrongly, the float64 pass over k + 16 mends that
_BLOCK_ROWS = 256
_BLOCK_ELEMENTS = 2**25  # at most 128 MiB of float32 similarities at a time


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

    Candidates come from a float32 matrix product in blocks of rows and are ranked again in float64, ties by index:
    the same as brute force unless more than 16 train rows tie at the k-th place. Votes that tie go to the lower class.

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
    if metric not in METRICS:
        raise ConfigError(f"There is no metric {metric!r}", f"Choose one of {', '.join(METRICS)}")
    if k < 1 or temperature <= 0:
        raise ConfigError(
            f"k={k} and temperature={temperature} cannot vote", "Use k of 1 or more and a temperature above 0"
        )
    train_x, train_y = checked_pair(train_x, train_y, name="train")
    test_x, test_y = checked_pair(test_x, test_y, name="test")
    same_width(train_x, test_x)
    if k > len(train_x):
        warnings.warn(
            f"k={k} is more than the {len(train_x)} train rows; all of them vote", RuntimeWarning, stacklevel=2
        )
        k = len(train_x)
    bank, offset, queries = _prepare(train_x, test_x, metric)
    classes, columns = np.unique(train_y, return_inverse=True)
    votes = np.zeros((len(test_x), len(classes)))
    rows = max(1, min(_BLOCK_ROWS, _BLOCK_ELEMENTS // len(train_x)))
    for start in range(0, len(test_x), rows):
        block = slice(start, min(start + rows, len(test_x)))
        products = torch.from_numpy(queries[block]) @ bank.T - offset
        candidates = products.topk(min(k + _SPARE, len(train_x)), sorted=False).indices.sort(dim=1).values.numpy()
        closeness = _closeness(test_x[block], train_x[candidates], metric)
        order = np.argsort(-closeness, axis=1, kind="stable")[:, :k]  # candidates are sorted by index, so ties are too
        voters = columns[np.take_along_axis(candidates, order, axis=1)]
        weights = _weights(np.take_along_axis(closeness, order, axis=1), temperature, metric)
        np.add.at(votes, (np.arange(block.start, block.stop)[:, None], voters), weights)
    return {f"top{n}": accuracy(votes, classes, test_y, n) for n in (1, 5)}


def _prepare(train_x: Floats, test_x: Floats, metric: str) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float32]]:
    """Return float32 `bank`, `offset`, `queries` such that `queries @ bank.T - offset` ranks the bank by nearness."""
    if metric == "cosine":
        bank, queries = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), _TINY) for x in (train_x, test_x))
        offset = np.zeros(len(bank))
    else:
        # distances do not change, but 2xy - |y|² loses fewer digits near the origin
        centre = train_x.mean(axis=0, dtype=np.float64)
        bank, queries = train_x - centre, 2 * (test_x - centre)
        offset = np.einsum("nd,nd->n", bank, bank)
    return torch.from_numpy(bank).float(), torch.from_numpy(offset).float(), queries.astype(np.float32)


def _closeness(queries: Floats, near: Floats, metric: str) -> NDArray[np.float64]:
    """Return (B, K) float64, larger is nearer, for `queries` (B, D) and the candidates `near` (B, K, D) of each."""
    queries, near = queries.astype(np.float64), near.astype(np.float64)
    closeness: NDArray[np.float64]
    if metric == "euclidean":
        closeness = -np.linalg.norm(near - queries[:, None], axis=2)
    else:
        norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(near, axis=2)
        closeness = np.einsum("bd,bkd->bk", queries, near) / np.maximum(norms, _TINY)
    return closeness


def _weights(closeness: NDArray[np.float64], temperature: float, metric: str) -> NDArray[np.float64]:
    if metric == "cosine":
        # relative to the nearest neighbour: the vote is the same and a small temperature cannot overflow
        weights: NDArray[np.float64] = np.exp((closeness - closeness[:, :1]) / temperature)
    else:
        weights = 1 / (-closeness + _EPSILON)
    return weights
