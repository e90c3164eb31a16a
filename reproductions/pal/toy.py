"""The authors' toy problem: four concentric circles, an embedding in closed form, and a linear probe that reads it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pal_plugin.losses.closed_form import KernelEmbedding

CLASSES = 4
DIMENSIONS = CLASSES + 1  # of the embedding: the notebooks' choice
LAMBDA = 1e-3

Points = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


class Protocol(NamedTuple):
    """How an experiment is done and read.

    Attributes:
        name: for results and figures.
        probe_on_test: the probe is fitted on the test labels that it is then scored on, instead of the training labels.
        as_published: queries are as in the notebooks, see `notebook`: grids with replacement, closure in part.
        one_view: a label is injected into the first view of its sample only, instead of all of them.
    """

    name: str
    probe_on_test: bool
    as_published: bool
    one_view: bool


AUTHORS = Protocol("authors", probe_on_test=True, as_published=True, one_view=True)
CLEAN = Protocol("clean", probe_on_test=False, as_published=False, one_view=False)
PROTOCOLS = (AUTHORS, CLEAN)


def circles(count: int, noise: float, rng: np.random.Generator, *, grid: bool = False) -> tuple[Points, Labels]:
    """Return points (count, 2) on circles of radius 1 to 4 about the origin, and which of them, 0 to 3 (count,).

    Args:
        count: number of points.
        noise: standard deviation of the Gaussian noise on each coordinate.
        rng: source of randomness.
        grid: points at equal angles, as many on each circle, instead of uniform draws of both.
    """
    if grid:
        steps = np.arange(count) * CLASSES / count
        labels, turns = np.floor(steps).astype(np.int64), steps
    else:
        labels, turns = rng.integers(CLASSES, size=count), rng.random(count)
    angles = 2 * np.pi * turns
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (labels + 1)[:, None]
    return points + noise * rng.standard_normal(points.shape), labels


class Task:
    """Training points whose graph is to be learnt from, and test points on which the result is read.

    Args:
        train: points (N, 2) and their circles (N,).
        test: points (n, 2) and their circles (n,).
        sigma: of the kernel exp(−‖x − x'‖/σ).
        protocol: where the probe is fitted.

    Attributes:
        embedding: of the training points (N, 5), with the graph that `error` had last.
    """

    def __init__(
        self, train: tuple[Points, Labels], test: tuple[Points, Labels], *, sigma: float, protocol: Protocol
    ) -> None:
        self.labels, self.test_labels = train[1], test[1]
        self._protocol = protocol
        space = KernelEmbedding(DIMENSIONS, regularisation=LAMBDA, sigma=sigma, scale=False)
        self._space = space.fit_kernel(train[0])
        self._kernel = space.kernel_matrix(test[0], train[0])  # once: the graph changes, the points do not

    def error(self, graph: npt.NDArray[Any]) -> float:
        """Embed with a graph (N, N) and return the share of test points that the probe takes for another circle's."""
        self.embedding = self._space.fit_graph(graph).embedding_
        test = self._kernel @ self._space.dual_coef_
        on_test = self._protocol.probe_on_test
        fitted, labels = (test, self.test_labels) if on_test else (self.embedding, self.labels)
        return float(np.mean(probe(fitted, labels, test) != self.test_labels))


def probe(embedding: Points, labels: Labels, queries: Points) -> Labels:
    """Return the circles (m,) of `queries` by least squares on one-hot labels, without an intercept.

    The smallest weights are taken where there are fewer points than dimensions, as at an active run's first rounds.

    Args:
        embedding: (n, k), of the points that the probe is fitted on.
        labels: (n,) their circles.
        queries: (m, k).
    """
    weights = np.linalg.lstsq(embedding, np.eye(CLASSES)[labels], rcond=None)[0]
    answers: Labels = np.argmax(queries @ weights, axis=1)
    return answers
