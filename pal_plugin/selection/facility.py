"""Facility location: picks that are near to every sample on average."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.progress import progress
from pal_plugin.selection.base import Selector, Task, pick_device
from pal_plugin.selection.coverage import TILE, cover_, squared_products
from pal_plugin.selection.points import Points
from pal_plugin.selection.product import full_precision
from pal_plugin.selection.starts import by_mean

_AT_ONCE = 64  # gains that are brought up to date at a time


class FacilityLocation(Selector):
    """Pick what lowers the mean squared distance of all samples to their nearest pick the most: greedy k-medoids.

    That is facility location with the similarity "largest squared distance minus squared distance", whose greedy is
    within 1 − 1/e of the best (Nemhauser, Wolsey & Fisher 1978). Where nothing is labelled, the first pick is the
    sample nearest to the mean, which has the least sum of squared distances. Gains are kept lazily (Minoux 1978): one
    product over all pairs at the start, then a few columns a pick; the N × N matrix is never held. Distances are
    float32.

    Args:
        metric: `"euclidean"` or `"cosine"`, see `KCenterGreedy`.
        device: as there.
    """

    def __init__(self, *, metric: str = "euclidean", device: str = "auto") -> None:
        self.metric = metric
        self.device = device

    def _order(self, task: Task) -> tuple[Longs, None]:
        if task.budget == 0:
            return task.candidates[:0], None
        with torch.inference_mode(), full_precision():
            points = Points(task.features, self.metric, pick_device(self.device))
            first = np.empty(0, dtype=np.int64)
            if not len(task.labelled):
                first = np.array([by_mean(points, task.candidates, np.arange(len(points)), 1)])
            covered = torch.full((len(points),), torch.inf, device=points.device)
            cover_(points, covered, task.labelled if len(task.labelled) else first)
            return self._greedy(points, covered, task, first), None

    def _greedy(self, points: Points, covered: Tensor, task: Task, first: Longs) -> Longs:
        blocks = range(0, len(task.candidates), TILE)
        gains = [_gains(points, covered, task.candidates[i : i + TILE]) for i in progress(blocks, "gains (blocks)")]
        bound = np.concatenate(gains)
        bound[np.isin(task.candidates, first)] = -np.inf
        picks = first.tolist()
        fresh = np.full(len(bound), len(picks))  # the picks that a gain accounts for
        while len(picks) < task.budget:
            best = int(bound.argmax())
            if fresh[best] < len(picks):
                stale = np.flatnonzero(fresh < len(picks))
                top = stale[np.argsort(-bound[stale], kind="stable")[:_AT_ONCE]]
                bound[top] = np.minimum(bound[top], _gains(points, covered, task.candidates[top]))
                fresh[top] = len(picks)
                continue
            picks.append(int(task.candidates[best]))
            cover_(points, covered, task.candidates[[best]])
            bound[best] = -np.inf
        return np.array(picks, dtype=np.int64)


def _gains(points: Points, covered: Tensor, candidates: Longs) -> Doubles:
    """Return by how much each candidate would lower the sum over all samples."""
    total = torch.zeros(len(candidates), dtype=torch.float64, device=points.device)
    for start in range(0, len(points), TILE):
        rows = slice(start, start + TILE)
        total += (covered[rows, None] - squared_products(points, rows, candidates)).clamp_(min=0).sum(dim=0)
    return np.asarray(total.cpu().numpy())
