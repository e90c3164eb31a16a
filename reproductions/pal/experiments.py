"""One trial of each of the authors' five experiments on circles, as their notebooks do them.

A trial draws its own training and test points and returns test errors along a curve, (runs, points) for each name.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pal_plugin.oracle import RandomPairs
from reproductions.pal.circles_names import COMPONENTS
from reproductions.pal.notebook import NotebookActive, NotebookPassive
from reproductions.pal.querying import Clean, Querying, clean_active
from reproductions.pal.toy import CLASSES, Labels, Protocol, Task, circles

Curves: TypeAlias = dict[str, npt.NDArray[np.float64]]

PER_ROUND = 10  # queries: a grid of ten, or ten pairs
QUERIES = PER_ROUND * np.arange(80)
COUNTS = np.array([0, 2, 4, 6, 10, 15, 20, 30, 40, 50, 75, 100, 125, 150, 175, 199])  # of the notebook's 0 … 199
ALPHAS = (0.5, 1e-3, 1e-6)
ORDERS = 5  # in which labels come, for each data set
MISSING = np.linspace(0.5, 1, 20)
REDRAWN = np.arange(10, 301, 10)


def active(rng: np.random.Generator, protocol: Protocol) -> Curves:
    """Ask by grids of points that the present embedding takes for one class's, or by random pairs."""
    task = make_task(150, 0.1, rng, protocol)
    strategies = {"active": make_active(task, rng, protocol), "passive": make_passive(task, rng, protocol)}
    errors: Curves = {name: np.empty((1, QUERIES.size)) for name in strategies}
    for position in range(QUERIES.size):
        for name, strategy in strategies.items():
            errors[name][0, position] = task.error(strategy.known())
            strategy.ask(task.embedding)
    return errors


def contrastive(rng: np.random.Generator, protocol: Protocol) -> Curves:
    """Ask by random grids, and tell the embedding of unrelated pairs, −1, or only of related ones, 0/1."""
    task = make_task(300, 0.0, rng, protocol)
    strategy = make_active(task, rng, protocol)
    errors: Curves = {name: np.empty((1, QUERIES.size)) for name in ("±1", "0/1")}
    for position in range(QUERIES.size):
        known = strategy.known()
        errors["±1"][0, position] = task.error(known)
        errors["0/1"][0, position] = task.error(np.maximum(known, 0))
        strategy.ask()
    return errors


def missing(rng: np.random.Generator, protocol: Protocol) -> Curves:
    """Drop entries of the graph of classes, 0/1, at random, those of the diagonal too."""
    task = make_task(100, 0.0, rng, protocol)
    related = same(task.labels)
    errors, components = [], []
    for share in MISSING:
        kept = np.triu(rng.random(related.shape) >= share)
        graph = related * (kept | kept.T)
        errors.append(task.error(graph))
        components.append(connected_components(csr_array(graph), directed=False)[0])
    return {"error": np.array([errors]), COMPONENTS: np.array([components], dtype=np.float64)}


def noise(rng: np.random.Generator, protocol: Protocol) -> Curves:
    """Redraw more and more of the labels, uniformly, before the ±1 graph of classes is made of them.

    The clean probe is fitted on the true labels: it reads the embedding, and the mistakes are in the graph.
    """
    task = make_task(300, 0.0, rng, protocol)
    order = rng.permutation(task.labels.size)
    drawn = rng.integers(CLASSES, size=task.labels.size)
    errors = []
    for count in REDRAWN:
        labels = task.labels.copy()
        labels[order[:count]] = drawn[order[:count]]
        errors.append(task.error(2 * same(labels) - 1))
    return {"error": np.array([errors])}


def interpolation(rng: np.random.Generator, protocol: Protocol) -> Curves:
    """Mix (1 − α) times the graph of views with α times that of the labels known so far."""
    views, count = 2, 200
    points, labels = circles(count, 0.0, rng)
    points, labels = np.repeat(points, views, axis=0), np.repeat(labels, views)
    points = points + 0.1 * rng.standard_normal(points.shape)
    task = Task((points, labels), circles(500, 0.0, rng, grid=True), sigma=1.0, protocol=protocol)
    of_views = np.kron(np.eye(count), np.ones((views, views)))
    errors: Curves = {f"α={alpha:g}": np.empty((ORDERS, COUNTS.size)) for alpha in ALPHAS}
    for order in range(ORDERS):
        samples = rng.permutation(count)
        for position, known in enumerate(COUNTS):
            rows = views * samples[:known, None] + np.arange(1 if protocol.one_view else views)
            of_labels = np.zeros_like(of_views)
            of_labels[np.ix_(rows.ravel(), rows.ravel())] = same(labels[rows.ravel()])
            for alpha in ALPHAS:
                graph = (1 - alpha) * of_views + alpha * of_labels
                errors[f"α={alpha:g}"][order, position] = task.error(graph)
    return errors


def make_task(count: int, noise_level: float, rng: np.random.Generator, protocol: Protocol) -> Task:
    """Return `count` training points and 1000 test points, kernel width .2."""
    train = circles(count, noise_level, rng)
    return Task(train, circles(1000, noise_level, rng, grid=True), sigma=0.2, protocol=protocol)


def make_active(task: Task, rng: np.random.Generator, protocol: Protocol) -> Querying:
    """Return grids of the active strategy at their start, where the first point of each class is known."""
    make = NotebookActive if protocol.as_published else clean_active
    return make(task.labels, grid=PER_ROUND, seed=seed_from(rng))


def make_passive(task: Task, rng: np.random.Generator, protocol: Protocol) -> Querying:
    """Return rounds of random pairs."""
    seed = seed_from(rng)
    if protocol.as_published:
        return NotebookPassive(task.labels, pairs=PER_ROUND, seed=seed)
    return Clean(RandomPairs(seed, pairs=PER_ROUND), task.labels)


def seed_from(rng: np.random.Generator) -> int:
    """Draw the seed of a strategy."""
    return int(rng.integers(2**32))


def same(labels: Labels) -> npt.NDArray[np.float64]:
    """Return the graph of classes: 1 where two labels are equal, 0 elsewhere."""
    return np.equal.outer(labels, labels).astype(np.float64)
