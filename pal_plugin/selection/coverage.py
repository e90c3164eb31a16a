"""How near the picks are to all samples, for the first picks and for more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.base import Picks, checked_indices, pick_device
from pal_plugin.selection.bounds import product_error
from pal_plugin.selection.points import Points, checked_matrix, squared_distances
from pal_plugin.selection.product import full_precision

SHARES = (0.5, 0.95, 1.0)
TILE = 1024  # samples at a time
_AT_ONCE = 256  # picks at a time
_POINTS = 24  # budgets that a curve has at most


@dataclass(frozen=True)
class Coverage:
    """How far samples are from their nearest pick.

    Attributes:
        budgets: (m,) how many picks, from the first on, ascending.
        distances: (m, 3) the distance within which 50 %, 95 % and 100 % of the samples have a pick (`SHARES`); the last
            is the covering radius. Distances are float64; of picks that float32 cannot tell apart from the nearest one,
            any may be taken for it.
    """

    budgets: Longs
    distances: Doubles


def coverage(
    X: npt.ArrayLike,
    picks: Picks,
    *,
    metric: str = "euclidean",
    among: npt.ArrayLike | None = None,
    labelled: Picks | None = None,
    device: str = "auto",
) -> Coverage:
    """Measure how well the picks cover the samples, at budgets from 1 to all of them on a logarithmic scale.

    Args:
        X: (N, D) features of all samples.
        picks: in their order, as a selection or indices.
        metric: `"euclidean"`, or `"cosine"`: the Euclidean distance of the rows' directions.
        among: the samples that are to be covered, as indices; all by default.
        labelled: samples that cover before the first pick.
        device: `"cpu"`, `"cuda"` or `"auto"`.

    Raises:
        FeatureError, SelectionError, ConfigError, DeviceError: as `Selector.select`.
    """
    features = checked_matrix(X)
    order = checked_indices("picks", picks, len(features))
    known = checked_indices("labelled", labelled, len(features))
    rows = np.arange(len(features)) if among is None else checked_indices("among", among, len(features))
    budgets = curve_budgets(len(order))
    found = np.empty((len(budgets), len(SHARES)))
    with torch.inference_mode(), full_precision():
        points = Points(features, metric, pick_device(device))
        nearest = np.full(len(points), np.inf)
        _cover_exactly(points, nearest, known)
        done = 0
        for place, budget in enumerate(budgets):
            _cover_exactly(points, nearest, order[done:budget])
            done = budget
            found[place] = np.quantile(np.sqrt(nearest[rows]), SHARES, method="higher") if len(rows) else 0.0
    return Coverage(budgets, np.ldexp(found, -points.exponent))


def curve_budgets(most: int) -> Longs:
    """Return budgets from 1 to `most` in about equal ratios; none for 0."""
    if most < 1:
        return np.empty(0, dtype=np.int64)
    return np.unique(np.rint(np.geomspace(1, most, _POINTS)).astype(np.int64))


def squared_products(points: Points, rows: slice, others: Longs) -> Tensor:
    """Return squared distances (rows, others) by a float32 product, none below 0."""
    y, c = points.products(rows), points.products(others)
    return (y.square().sum(dim=1)[:, None] + c.square().sum(dim=1) - 2 * y @ c.T).clamp_(min=0)


def _cover_exactly(points: Points, nearest: Doubles, picks: Longs) -> None:
    """Lower `nearest` (N,), float64 squared distances to the nearest pick so far, by more picks, in place.

    Products say which pick is the nearest and of whom it may be nearer than those before, differences say how near.
    """
    norms = points.norms.astype(np.float64)
    for begin in range(0, len(picks), _AT_ONCE):
        some = picks[begin : begin + _AT_ONCE]
        centres = points.exact(some)
        for start in range(0, len(points), TILE):
            rows = slice(start, start + TILE)
            products, places = squared_products(points, rows, some).min(dim=1)
            limit = nearest[rows] + product_error(norms[rows], nearest[rows], points.width)
            near = np.flatnonzero(products.cpu().numpy() <= limit)
            exact = squared_distances(points.exact(start + near), centres[places.cpu().numpy()[near]])
            nearest[start + near] = np.minimum(nearest[start + near], exact)
    nearest[picks] = 0.0  # whichever pick a product takes for the nearest


def cover_(points: Points, nearest: Tensor, picks: Longs) -> None:
    """Lower `nearest` (N,), squared distances to the nearest pick so far, by more picks, in place."""
    for begin in range(0, len(picks), _AT_ONCE):
        some = picks[begin : begin + _AT_ONCE]
        for start in range(0, len(points), TILE):
            rows = slice(start, start + TILE)
            nearest[rows] = torch.minimum(nearest[rows], squared_products(points, rows, some).amin(dim=1))
    nearest[torch.from_numpy(picks).to(nearest.device)] = 0.0  # which a product misses by its rounding
