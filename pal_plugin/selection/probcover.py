"""ProbCover: cover as many samples as possible by balls of one radius."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.cluster import MiniBatchKMeans

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph.radius import NoEdgesError, radius_graph
from pal_plugin.graph.rows import spread
from pal_plugin.graph.similarity import SimilarityGraph
from pal_plugin.graph.space import Longs, Space, check_metric, checked_features
from pal_plugin.selection.base import Selector, Task
from pal_plugin.selection.parameters import check_least


class ProbCover(Selector):
    """Pick the sample whose ball of radius δ covers the most that no pick covers (Yehuda et al. 2022).

    Ties go to the lowest index. Where the picks cover every sample that can be picked, what they cover is forgotten and
    the rest goes on from nothing.

    Args:
        delta: the radius, as `radius_graph` takes it: a Euclidean distance, or one minus the cosine; or `"auto"`, the
            largest at which the share `purity` of balls is pure, all samples in one cluster of k-means, as the authors
            choose it without labels; measured on the balls of 1000 samples.
        metric: `"cosine"`, which the authors' normalised features are, or `"euclidean"`.
        clusters: of k-means, for `"auto"`: the number of classes.
        purity: for `"auto"`.
        seed: of k-means and of those 1000.
    """

    def __init__(
        self,
        *,
        delta: float | str = "auto",
        metric: str = "cosine",
        clusters: int = 10,
        purity: float = 0.95,
        seed: int = 0,
    ) -> None:
        self.delta = delta
        self.metric = metric
        self.clusters = clusters
        self.purity = purity
        self.seed = seed

    def _order(self, task: Task) -> tuple[Longs, None]:
        check_metric(self.metric)
        check_least(self, clusters=1)
        if not 0 <= self.purity <= 1:
            raise ConfigError(f"purity={self.purity} is no share of the balls", "Choose one in [0, 1]")
        if task.budget == 0 or len(task.features) == 1:
            return task.candidates[: task.budget], None
        graph = self._graph(task)
        allowed = np.zeros(graph.num_nodes, dtype=bool)
        allowed[task.candidates] = True
        picks: list[int] = []
        seen = task.labelled.tolist()
        while len(picks) < task.budget:
            picks += _cover(graph, allowed, seen, task.budget - len(picks))
            seen = []
        return np.array(picks, dtype=np.int64), None

    def _graph(self, task: Task) -> SimilarityGraph:
        if self.delta != "auto":
            if isinstance(self.delta, str):
                raise ConfigError(f"There is no delta called {self.delta!r}", "Give a number, or auto")
            return _balls(task, self.delta, self.metric)
        sample = np.sort(np.random.default_rng(self.seed).permutation(len(task.features))[:1000])
        features = np.asarray(Space.of(checked_features(task.features), self.metric).take(slice(None)))
        means = MiniBatchKMeans(min(self.clusters, len(features)), n_init=1, random_state=self.seed)
        cluster = means.fit_predict(features)
        points = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)  # far out, products cancel
        squared = np.square(points[sample]).sum(axis=1)[:, None] + np.square(points).sum(axis=1)
        squared = np.maximum(squared - 2 * points[sample] @ points.T, 0)
        # A ball is pure up to the nearest sample of another cluster.
        other = np.where(cluster[sample][:, None] == cluster, np.inf, squared).min(axis=1)
        finite = other[np.isfinite(other)]
        delta = float(np.sqrt(np.quantile(finite, 1 - self.purity))) if finite.size else 1.0
        return _balls(task, delta * delta / 2 if self.metric == "cosine" else delta, self.metric)


def _balls(task: Task, delta: float, metric: str) -> SimilarityGraph:
    try:
        return radius_graph(task.features, delta, metric=metric)
    except NoEdgesError:  # a ball still covers its own centre
        return SimilarityGraph.from_edges(len(task.features), [], [])
    except GraphError as error:
        raise ConfigError(f"delta={delta}: {error.what}", "Choose a larger delta, or auto") from error


def _cover(graph: SimilarityGraph, allowed: npt.NDArray[np.bool_], seen: list[int], most: int) -> list[int]:
    """Pick greedily until all of `allowed` (picks are taken out of it) is covered, or `most` times."""
    uncovered = np.ones(graph.num_nodes, dtype=bool)
    degree = np.diff(graph.indptr) + 1  # a ball covers its own centre
    picks: list[int] = []

    def cover(centre: int) -> None:
        ball = np.append(graph.indices[graph.indptr[centre] : graph.indptr[centre + 1]], centre)
        fresh = ball[uncovered[ball]].astype(np.int64)
        uncovered[fresh] = False
        starts = graph.indptr[fresh]
        _, edges = spread(graph.indptr[fresh + 1] - starts, starts)
        np.subtract.at(degree, graph.indices[edges], 1)  # balls are symmetric: a sample's neighbours are who covers it
        degree[fresh] -= 1

    for centre in seen:
        cover(centre)
    while len(picks) < most and (degree[allowed] > 0).any():
        pick = int(np.where(allowed, degree, -1).argmax())
        allowed[pick] = False
        picks.append(pick)
        cover(pick)
    return picks
