"""k-centre greedy: the order of Sinha & Singh, "Zero-shot Active Learning Using Self Supervised Learning" (2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pal_plugin.errors import ConfigError, SelectionError
from pal_plugin.graph.similarity import Manifested
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.balance import turns
from pal_plugin.selection.base import Picks, Selector, Task, pick_device
from pal_plugin.selection.copies import copies
from pal_plugin.selection.density import densest
from pal_plugin.selection.farthest import Centres, Pool, covered
from pal_plugin.selection.points import Points
from pal_plugin.selection.product import full_precision
from pal_plugin.selection.ranks import Alone
from pal_plugin.selection.result import Selection
from pal_plugin.selection.sharded import select_sharded
from pal_plugin.selection.starts import STARTS, check_start, start_at

NEIGHBOURS = 20  # that the density of a sample is measured by, as TypiClust does


class KCenterGreedy(Selector):
    """Pick the sample furthest from all picks, again and again (Gonzalez 1985; Sener & Savarese 2018).

    The picks are those of a greedy in float64, which sums squared differences and breaks ties by the lowest index;
    `pal_plugin.selection.farthest` says how they are found at the speed of float32 products. A sample is never picked
    twice, copies of picked ones come last. Memory beyond the features and the picks' own is O(N); with `trim` a copy of
    the candidates' features comes on top.

    Args:
        metric: `"euclidean"`, or `"cosine"`: the Euclidean distance of the rows' directions. A row of zeros has none
            and counts as being at right angles to all others (warned of).
        start: the first pick where nothing is labelled: `"medoid"`, the sample nearest to the mean, which is the one
            with the least sum of squared distances; `"farthest"`, the one furthest from the mean; `"random"`; or an
            index.
        seed: of the random start.
        device: `"cpu"`, `"cuda"` or `"auto"`; the picks are the same.
        trim: share of the candidates, in [0, 1), that is left out as outliers: those with the largest mean distance to
            their 20 nearest other candidates.
        balanced: run one greedy in every class (`labels` of `select`), and take the next pick of the class with the
            fewest labelled and picked so far (ties: the lowest class). The radius is then that of covering every sample
            by picks of its own class.

    Example:
        The sample nearest to the mean, then the one furthest from it, then the one furthest from both:

        >>> picks = KCenterGreedy().select([[0.0], [1.0], [2.0], [10.0]], budget=3)
        >>> picks.indices, picks.radii
        (array([2, 3, 0]), array([8., 2., 1.]))
    """

    def __init__(
        self,
        *,
        metric: str = "euclidean",
        start: str | int = "medoid",
        seed: int = 0,
        device: str = "auto",
        trim: float = 0.0,
        balanced: bool = False,
    ) -> None:
        self.metric = metric
        self.start = start
        self.seed = seed
        self.device = device
        self.trim = trim
        self.balanced = balanced

    def _order(self, task: Task) -> tuple[Longs, Doubles]:
        self._check(task)
        device = pick_device(self.device)
        with torch.inference_mode(), full_precision():
            points = Points(task.features, self.metric, device)
            candidates = task.candidates
            if self.trim:
                candidates = densest(task.features, candidates, self.metric, self.trim, NEIGHBOURS)
                if task.budget > len(candidates):
                    raise SelectionError(
                        f"trim={self.trim} leaves {len(candidates)} candidates for a budget of {task.budget}",
                        "Trim less, or choose a smaller budget",
                    )
            if self.balanced:
                return self._balanced(points, task, candidates)
            return self._greedy(points, candidates, task.labelled, task.budget)

    def _check(self, task: Task) -> None:
        check_start(self.start)
        if not 0 <= self.trim < 1:
            raise ConfigError(f"trim={self.trim} is no share of the candidates", "Choose one in [0, 1)")
        if self.balanced and task.labels is None:
            raise SelectionError("The balanced mode needs the classes of all samples", "Pass labels=")
        if self.balanced and isinstance(self.start, (int, np.integer)):
            raise ConfigError("The balanced mode starts once in every class", f"Choose {', '.join(STARTS)}")

    def _greedy(self, points: Points, candidates: Longs, labelled: Longs, budget: int) -> tuple[Longs, Doubles]:
        """Return (budget,) picks among the candidates and the covering radius after each."""
        if budget == 0:
            return np.empty(0, dtype=np.int64), np.empty(0)
        first = labelled
        if not len(labelled):
            first = np.array([start_at(self.start, points, candidates, self.seed)])
            candidates = candidates[candidates != first[0]]
        known = copies(points.features, np.concatenate([first, candidates]))[len(first) :]
        pool = Pool(points, candidates, Centres(points, points.exact(first), budget))
        pool.drop(np.flatnonzero(known))
        return covered(pool, first[len(labelled) :], budget, Alone())

    def _balanced(self, points: Points, task: Task, candidates: Longs) -> tuple[Longs, Doubles]:
        """Run one greedy a class, and merge their picks by turns."""
        assert task.labels is not None  # `_check` refuses
        classes = np.unique(task.labels[candidates])
        own = [candidates[task.labels[candidates] == name] for name in classes]
        known = [task.labelled[task.labels[task.labelled] == name] for name in classes]
        held, available = (np.array([len(part) for part in parts]) for parts in (known, own))
        order = turns(held, available, task.budget)
        picks, radii = np.empty(task.budget, dtype=np.int64), np.full((task.budget, len(classes)), np.inf)
        for group, (rows, labelled) in enumerate(zip(own, known, strict=True)):
            mine = np.flatnonzero(order == group)
            picks[mine], radii[mine, group] = self._greedy(points, rows, labelled, len(mine))
        covering = np.minimum.accumulate(radii, axis=0)  # of each class after its latest pick
        return picks, np.asarray(covering.max(axis=1, initial=0))

    def select_sharded(
        self,
        X: npt.ArrayLike,
        budget: int | float,
        *,
        labelled: Picks | None = None,
        manifest: Mapping[str, Any] | Manifested | None = None,
    ) -> Selection:
        """Return the same picks from rows that lie on several processes.

        Every process of the default `torch.distributed` group calls this with its own rows; the features are those of
        rank 0, then of rank 1, and so on, and all indices count through. Every rank proposes its furthest rows, rank 0
        picks among them, and all take in the picks: a few hundred rows are sent for about as many picks.

        Args:
            X: (N_r, D) features on this rank, at least one row.
            budget: as for `select`, of all rows.
            labelled: as for `select`.
            manifest: as for `select`, of all rows.

        Returns:
            The same selection on every rank.

        Raises:
            FeatureError, SelectionError, ConfigError, DeviceError: as `select`, on every rank alike; also without a
                process group, with trim or balanced, and for rows of zeros under the cosine metric.
        """
        with torch.inference_mode(), full_precision():
            return select_sharded(self, X, budget, labelled, manifest)
