"""Retrieval: is an image of the query's class among its nearest?

Recall@k as in metric learning (Song et al., arXiv 1511.06452), and in R-HID's setting of hotels: every image of a split
is searched for among the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation._checks import Labels, checked_pair, same_width
from pal_plugin.evaluation._nearest import check_metric, nearest

DEFAULT_KS = (1, 5, 10)


def recall_at_k(
    query_x: NDArray[Any],
    query_y: NDArray[Any],
    gallery_x: NDArray[Any] | None = None,
    gallery_y: NDArray[Any] | None = None,
    *,
    ks: Sequence[int] = DEFAULT_KS,
    metric: str = "cosine",
) -> dict[str, float | int]:
    """Return the share of queries with an image of their class among their k nearest in the gallery.

    Args:
        query_x: (M, D) features.
        query_y: (M,) classes.
        gallery_x: (N, D) features; None: the queries themselves, each left out of its own search.
        gallery_y: (N,) classes; given where `gallery_x` is.
        ks: the k's.
        metric: `"cosine"` or `"euclidean"`.

    Returns:
        `{"R@1", …}` in percent of all queries, how many `"queries"`, and how many of them are `"without_match"`: no
        image of their class is in the gallery, and they can only be missed.

    Raises:
        ConfigError: unknown metric, no k, or one below 1; a gallery without classes, or classes without a gallery.
        FeatureError: shapes that do not fit, values that are not finite.
        DataError: labels that do not fit, unlabelled samples, or a single query to be searched among itself.
    """
    ranks = first_match(query_x, query_y, gallery_x, gallery_y, depth=max(ks, default=0), metric=metric)
    return recalls(ranks, ks) | {"queries": len(ranks), "without_match": int((ranks < 0).sum())}


def recalls(ranks: Labels, ks: Sequence[int]) -> dict[str, float | int]:
    """Return R@k in percent from the ranks that `first_match` gave.

    Raises:
        ConfigError: no k, or one below 1.
    """
    if not ks or min(ks) < 1:
        raise ConfigError(f"Recall at k={', '.join(map(str, ks)) or 'nothing'} has no meaning", "Use k of 1 or more")
    return {f"R@{k}": float(((ranks >= 0) & (ranks < k)).mean() * 100) for k in ks}


def first_match(
    query_x: NDArray[Any],
    query_y: NDArray[Any],
    gallery_x: NDArray[Any] | None = None,
    gallery_y: NDArray[Any] | None = None,
    *,
    depth: int,
    metric: str = "cosine",
) -> Labels:
    """Return (M,) the place, from 0, of the nearest image of each query's class.

    `depth` where it is none of the `depth` nearest, and -1 where the gallery has none.

    Raises:
        ConfigError, FeatureError, DataError: see `recall_at_k`.
    """
    check_metric(metric)
    if depth < 1:
        raise ConfigError(f"Recall at k={depth} has no meaning", "Use k of 1 or more")
    query_x, query_y = checked_pair(query_x, query_y, name="query")
    alone = gallery_x is None
    if alone != (gallery_y is None):
        raise ConfigError("A gallery is features and classes, and one of them is missing", "Pass both, or neither")
    if gallery_x is None or gallery_y is None:
        gallery_x, gallery_y = query_x, query_y
    gallery_x, gallery_y = checked_pair(gallery_x, gallery_y, name="gallery")
    same_width(gallery_x, query_x)
    available = len(gallery_x) - alone
    if not available:
        raise DataError("There is one image, and nothing to find beside it", "Choose a split with two images or more")
    ranks = np.full(len(query_x), depth, dtype=np.int64)
    for block, rows, _ in nearest(gallery_x, query_x, min(depth, available), metric, leave_one_out=alone):
        same = gallery_y[rows] == query_y[block, None]
        ranks[block] = np.where(same.any(axis=1), same.argmax(axis=1), depth)
    classes, counts = np.unique(gallery_y, return_counts=True)
    ranks[~np.isin(query_y, classes[counts > alone])] = -1
    return ranks
