"""Selectors by clusters: as many clusters as labels, and one sample of each cluster that has none yet."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans

from pal_plugin.graph.space import Doubles, Longs, Space, check_metric, checked_features
from pal_plugin.selection.base import Selector, Task
from pal_plugin.selection.density import mean_distances
from pal_plugin.selection.parameters import check_least

_MINI_BATCH_FROM = 50  # clusters: TypiClust's code changes over to mini-batches of 5000 above
_MINI_BATCH = 5000
NEIGHBOURS = 20  # of a sample's typicality
_EPSILON = 1e-5  # in typicality, as in TypiClust's code


class ClusterSelector(Selector):
    """Cluster, and pick one sample from each of the largest clusters without a label, in rounds.

    The number of clusters is that of the labels after the round, so a single round would order every budget anew. The
    rounds therefore have fixed ends: 10, 20, 40, 80 … picks. A budget that is the end of a round was chosen as its own
    method says, given the picks before it, and all budgets are prefixes of one order.

    Earlier picks (`after`) count in the rounds: after the end of a round the order is that of all picks at once. After
    a part of a round the rest is picked from the clusters of the whole round, and each earlier pick counts as a label
    of its cluster: the order may then differ from that of all at once, where it comes to clusters with labels.
    """

    metric: str
    first: int
    most_clusters: int | None
    least: int
    seed: int

    def _order(self, task: Task) -> tuple[Longs, None]:
        check_metric(self.metric)
        check_least(self, first=1, most_clusters=1, least=0)
        X = _points(task, self.metric)
        pool = np.union1d(task.candidates, task.labelled)
        picks: list[int] = []
        end = self.first
        while end <= task.earlier:
            end *= 2
        while len(picks) < task.budget:
            picks += self._round(X, pool, np.concatenate([task.labelled, picks]).astype(np.int64), end, task)
            end *= 2
        return np.array(picks[: task.budget], dtype=np.int64), None

    def _round(self, X: Doubles, pool: Longs, labelled: Longs, end: int, task: Task) -> list[int]:
        """Return the picks up to the round's end, or all that are left."""
        picked = len(labelled) - len(task.labelled)
        wanted = min(end - task.earlier - picked, len(task.candidates) - picked)
        count = min(len(labelled) + wanted, self.most_clusters or len(pool), len(pool))
        group = _clusters(X[pool], count, self.seed)
        sizes = np.bincount(group, minlength=count)
        held = np.bincount(group[np.isin(pool, labelled)], minlength=count)
        # Clusters with the fewest labels first, of those the largest; small ones only where nothing else is left.
        order = np.lexsort((np.arange(count), -sizes, held, sizes <= self.least))
        free = [pool[(group == name) & ~np.isin(pool, labelled)] for name in order]
        picks: list[int] = []
        while len(picks) < wanted:
            for place, rows in enumerate(free):
                if len(rows) and len(picks) < wanted:
                    pick = int(rows[self._best(X[rows])])
                    picks.append(pick)
                    free[place] = rows[rows != pick]
        return picks

    @abstractmethod
    def _best(self, rows: Doubles) -> int:
        """Return which sample of a cluster, those with a label left out, is picked."""


class TypiClust(ClusterSelector):
    """Pick the most typical sample of each cluster (Hacohen, Dekel & Weinshall 2022).

    Clusters of k-means, min(labels, 500) of them; those of 5 samples or fewer come last. The typicality of a sample is
    1 / (mean distance to its 20 nearest in the cluster + 10⁻⁵), or of half of the cluster where it is smaller.

    Args:
        metric: `"cosine"`, which the authors' normalised features are, or `"euclidean"`.
        first: picks of the first round, see `ClusterSelector`.
        most_clusters: never more clusters than these.
        least: clusters of so many samples or fewer come last.
        seed: of k-means.
    """

    def __init__(
        self, *, metric: str = "cosine", first: int = 10, most_clusters: int = 500, least: int = 5, seed: int = 0
    ) -> None:
        self.metric = metric
        self.first = first
        self.most_clusters = most_clusters
        self.least = least
        self.seed = seed

    def _best(self, rows: Doubles) -> int:
        k = max(1, min(NEIGHBOURS, len(rows) // 2))
        return int(np.argmax(1 / (mean_distances(rows, "euclidean", k) + _EPSILON)))


class KMedoids(ClusterSelector):
    """Pick the sample nearest to the mean of each cluster: k-means with as many clusters as labels, largest first.

    Args:
        metric: `"euclidean"` or `"cosine"`.
        first: picks of the first round, see `ClusterSelector`.
        most_clusters: never more clusters than these; None: as many as labels.
        least: clusters of so many samples or fewer come last.
        seed: of k-means.
    """

    def __init__(
        self,
        *,
        metric: str = "euclidean",
        first: int = 10,
        most_clusters: int | None = None,
        least: int = 0,
        seed: int = 0,
    ) -> None:
        self.metric = metric
        self.first = first
        self.most_clusters = most_clusters
        self.least = least
        self.seed = seed

    def _best(self, rows: Doubles) -> int:
        return int(np.argmin(np.square(rows - rows.mean(axis=0)).sum(axis=1)))


def _points(task: Task, metric: str) -> Doubles:
    """Return (N, D) float32 features, or their directions."""
    if len(task.features) == 1:
        return np.asarray(task.features, dtype=np.float32)
    return np.asarray(Space.of(checked_features(task.features), metric).take(slice(None)))


def _clusters(X: Doubles, count: int, seed: int) -> Longs:
    """Return (n,) the cluster of every row."""
    if count == len(X):
        return np.arange(len(X))
    if count <= _MINI_BATCH_FROM:
        means = KMeans(count, n_init=1, random_state=seed)
    else:
        means = MiniBatchKMeans(count, batch_size=_MINI_BATCH, n_init=1, random_state=seed)
    return np.asarray(means.fit_predict(X), dtype=np.int64)
