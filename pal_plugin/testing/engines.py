"""What every engine for nearest neighbours keeps to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from pal_plugin.graph import knn_graph, recall
from pal_plugin.graph.knn import Engine
from pal_plugin.registry import engines

NAME = "conformance"


class EngineConformance:
    """Tests of an engine; derive from it and define `make`.

    Attributes:
        exact: whether the engine promises the true neighbours.
        repeatable: whether it promises the same ones each time.
        least_recall: of an engine that is not exact, on 2000 points in 24 dimensions.
    """

    exact: ClassVar[bool] = False
    repeatable: ClassVar[bool] = False
    least_recall: ClassVar[float] = 0.9

    def make(self) -> Engine:
        """Return the engine: (features, k, metric) → (N, k) neighbours, nearest first, no sample its own."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _named(self) -> Iterator[None]:
        with engines.holding(NAME, self.make()):
            yield

    def points(self, size: int, width: int) -> npt.NDArray[np.float32]:
        """Return (size, width) features in twenty clusters."""
        random = np.random.default_rng(0)
        centres = random.standard_normal((20, width))
        return (centres[random.integers(0, 20, size)] + 0.7 * random.standard_normal((size, width))).astype(np.float32)

    @pytest.mark.parametrize("metric", ["euclidean", "cosine"])
    def test_finds_neighbours(self, metric: str) -> None:
        """Recall against exact rows: 1 of an exact engine."""
        points = self.points(2000, 24)
        graph = knn_graph(points, 10, metric=metric, engine=NAME)
        found = recall(graph, points, metric=metric, sample=500)
        assert found == 1 if self.exact else found >= self.least_recall

    @pytest.mark.parametrize("metric", ["euclidean", "cosine"])
    def test_lists_are_of_k_others_nearest_first(self, metric: str) -> None:
        """No sample is its own neighbour, none comes twice, and distances do not fall."""
        points = self.points(1000, 8)
        found = knn_graph(points, 6, metric=metric, engine=NAME).indices.reshape(1000, 6)
        own = np.arange(1000)[:, None]
        assert not (found == own).any()
        assert (np.diff(np.sort(found, axis=1), axis=1) > 0).all()
        scaled = points.astype(np.float64)
        if metric == "cosine":
            scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
        distances = np.square(scaled[found] - scaled[own]).sum(axis=2)
        assert (np.diff(distances, axis=1) >= -1e-6 * distances[:, 1:]).all()

    def test_more_duplicates_than_neighbours(self) -> None:
        """A sample's copies are its neighbours."""
        points = np.repeat(self.points(4, 8), 100, axis=0)
        found = knn_graph(points, 3, engine=NAME).indices.reshape(400, 3)
        assert (found // 100 == np.arange(400)[:, None] // 100).all()

    @pytest.mark.parametrize("size", [2, 3, 60])
    def test_as_many_neighbours_as_there_are_others(self, size: int) -> None:
        """All others, exactly."""
        points = self.points(size, 3)
        found = knn_graph(points, size - 1, engine=NAME)
        np.testing.assert_array_equal(found.indices, knn_graph(points, size - 1, engine="faiss").indices)

    def test_the_same_again(self) -> None:
        """Twice the same graph, where that is promised."""
        if not self.repeatable:
            pytest.skip("this engine does not promise it")
        points = self.points(1000, 16)
        first, again = (knn_graph(points, 5, engine=NAME).digest for _ in range(2))
        assert first == again

    def test_given_features_are_not_changed(self) -> None:
        """Features may be read-only, as a memory map is."""
        points = self.points(300, 8)
        before = points.copy()
        points.flags.writeable = False
        self.make()(points, 3, "cosine")
        np.testing.assert_array_equal(points, before)
