"""k-centre greedy: the order of Sinha & Singh, "Zero-shot Active Learning Using Self Supervised Learning" (2024)."""

from __future__ import annotations

import numpy as np
import torch

from pal_plugin.errors import ConfigError, SelectionError
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.balance import turns
from pal_plugin.selection.base import Selector, Task, pick_device
from pal_plugin.selection.copies import copies
from pal_plugin.selection.density import densest
from pal_plugin.selection.farthest import Centres, Pool, traverse
from pal_plugin.selection.points import Points
from pal_plugin.selection.product import full_precision
from pal_plugin.selection.ranks import Alone, Group, Ranks
from pal_plugin.selection.starts import STARTS, start_at

NEIGHBOURS = 20  # that the density of a sample is measured by, as TypiClust does


class KCenterGreedy(Selector):
    """Pick the sample furthest from all picks, again and again (Gonzalez 1985; Sener & Savarese 2018).

    The picks are those of a greedy in float64, which sums squared differences and breaks ties by the lowest index;
    `pal_plugin.selection.farthest` says how they are found at the speed of float32 products. A sample is never picked
    twice, copies of picked ones come last. Memory beyond the features and the picks' own is O(N).

    Args:
        metric: `"euclidean"`, or `"cosine"`: the Euclidean distance of the rows' directions. A row of zeros has none and
            counts as being at right angles to all others (warned of).
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
        distributed: every process of the default `torch.distributed` group calls `select` with its own rows only, and
            gets the picks over the rows of all, in order of ranks: indices, `labelled` and `start` count through.
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
        distributed: bool = False,
    ) -> None:
        self.metric = metric
        self.start = start
        self.seed = seed
        self.device = device
        self.trim = trim
        self.balanced = balanced
        self.distributed = distributed

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
        if not isinstance(self.start, (int, np.integer)) and self.start not in STARTS:
            raise ConfigError(f"There is no start {self.start!r}", f"Choose {', '.join(STARTS)} or an index")
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
        ranks: Ranks = Alone()
        first = labelled
        if not len(labelled):
            first = np.array([start_at(self.start, points, candidates, self.seed)])
            candidates = candidates[candidates != first[0]]
        picked = first[len(labelled) :]
        centres = Centres(points, len(first) + budget + 1)
        centres.add(points.exact(first))
        pool = Pool(points, candidates, centres)
        pool.drop(np.flatnonzero(copies(points.features, np.concatenate([first, candidates]))[len(first) :]))
        # One pick more than asked for: its distance is the radius of the whole selection.
        order, squared = traverse(pool, budget - len(picked) + 1, ranks)
        order = np.concatenate([picked, order])
        radii = np.zeros(budget)
        after = np.ldexp(np.sqrt(squared), -points.exponent)[1 - len(picked) :]
        radii[: len(after)] = after
        return order[:budget], radii

    def _balanced(self, points: Points, task: Task, candidates: Longs) -> tuple[Longs, Doubles]:
        """Run one greedy a class, and merge their picks by turns."""
        assert task.labels is not None  # `_check` refuses
        classes = np.unique(task.labels[candidates])
        own = [candidates[task.labels[candidates] == name] for name in classes]
        known = [task.labelled[task.labels[task.labelled] == name] for name in classes]
        order = turns(*(np.array([len(part) for part in parts]) for parts in (known, own)), task.budget)
        picks, radii = np.empty(task.budget, dtype=np.int64), np.full((task.budget, len(classes)), np.inf)
        for group, (rows, labelled) in enumerate(zip(own, known, strict=True)):
            mine = np.flatnonzero(order == group)
            picks[mine], radii[mine, group] = self._greedy(points, rows, labelled, len(mine))
        covering = np.minimum.accumulate(radii, axis=0)  # of each class after its latest pick
        return picks, np.asarray(covering.max(axis=1, initial=0))
