"""Neighbour graphs against the matrix product that an exact search cannot do without, and against other libraries.

The floor is X·Xᵀ in tiles, in float32, by numpy or torch, whichever is faster here, with nothing done to the products.
Searches that take queries one by one (the floor, ours, scikit-learn, torch) are timed in turns on the same block of
queries against all rows, and stand for all blocks. Those that build something first (ours too: its preparation is
added) are timed whole, in turns with the floor. Every contestant's recall is measured, as `recall` does. One that is
not installed is left out, and the figures say why.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.features import Floats, features
from benchmarks.timing import Spread, spreads
from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.space import Space

Longs: TypeAlias = npt.NDArray[np.int64]
Figures: TypeAlias = dict[str, Any]
Find: TypeAlias = Callable[[Floats, Longs], Longs]
"""(points (N, D), rows (B,)) → (B, K) others of these rows."""

SIZES = (2_000, 5_000, 10_000, 20_000, 50_000)
K = 50
BLOCK = 4096  # queries
TILE = 2048  # of them in one product
ROUNDS = 3
SECONDS = 20.0  # for the blocks of one size
SAMPLE = 256  # rows whose recall is measured


def run() -> Figures:
    """Return `{"exact": {"seconds", "ratio_to_gemm_floor", "recall", …}, "floor": …, <peer>: …, "curves", "left_out"}`.

    The figures are those of the largest size; times of all sizes are in the curves.
    """
    X, about = features()
    left_out: dict[str, str] = {}
    whole = _installed(WHOLE, left_out)
    blocks = _installed(BLOCKS, left_out)
    lines: dict[str, list[list[float]]] = {}
    found: Figures = {}
    for size in sorted({min(size, len(X)) for size in SIZES}):
        found = measure(np.ascontiguousarray(X[:size]), blocks, whole)
        for name, figures in found.items():
            lines.setdefault(name, []).append([size, figures["seconds"]])
            _say(size, name, figures)
    curves = {"x": f"rows of {X.shape[1]} numbers", "y": f"seconds, k={K}", "lines": lines}
    return {**found, "features": about, "left_out": left_out, "curves": curves}


def measure(X: Floats, blocks: dict[str, Find], whole: dict[str, Find]) -> Figures:
    """Return the figures of every contestant on X."""
    rows = np.arange(min(BLOCK, len(X)))
    share = len(X) / len(rows)
    search = Search.of(Space.of(X, "euclidean"))
    timed: dict[str, Callable[[], object]] = {name: partial(floor, X, rows) for name, floor in FLOORS.items()}
    timed |= {name: partial(find, X, rows) for name, find in blocks.items()}
    timed |= {"exact": partial(_exact, search, rows), "prepare": lambda: Search.of(Space.of(X, "euclidean"))}
    times = spreads(timed, seconds=SECONDS, least=ROUNDS)
    blas = min(FLOORS, key=lambda name: times[name].median)
    floor = share * times[blas].median
    exact = share * times["exact"].median + times["prepare"].median
    found = {
        "floor": {**_figures(times[blas], floor, floor), "blas": blas, "gflops": 2e-9 * len(X) * X.size / floor},
        "exact": _figures(times["exact"], exact, floor) | {"recall": _recall(search, _exact(search, rows))},
    }
    for name, find in blocks.items():
        figures = _figures(times[name], share * times[name].median, floor)
        found[name] = figures | {"recall": _recall(search, find(X, rows))}
    return found | _measured_whole(X, search, whole, partial(FLOORS[blas], X, np.arange(len(X))))


def _measured_whole(X: Floats, search: Search, finds: dict[str, Find], floor: Callable[[], object]) -> Figures:
    every = np.arange(len(X))
    answers: dict[str, Longs] = {}

    def keep(name: str, find: Find) -> None:
        answers[name] = find(X, every)

    contestants: dict[str, Callable[[], object]] = {name: partial(keep, name, find) for name, find in finds.items()}
    times = spreads(contestants | {"floor": floor}, seconds=0, least=1, warm_up=False)
    figures = {name: _figures(times[name], times[name].median, times["floor"].median) for name in finds}
    return {name: figures[name] | {"recall": _recall(search, answers[name])} for name in finds}


def _figures(spread: Spread, seconds: float, floor: float) -> Figures:
    return {
        "seconds": round(seconds, 6),
        "ratio_to_gemm_floor": round(seconds / floor, 3),
        "timed_s": [round(value, 6) for value in (spread.least, spread.median, spread.most)],
    }


def _say(size: int, name: str, figures: Figures) -> None:
    least, _, most = figures["timed_s"]
    said = f"N={size:6} {name:14} {figures['seconds']:8.2f} s  ×{figures['ratio_to_gemm_floor']:.2f} the floor"
    recall = f"  recall {figures['recall']:.4f}" if "recall" in figures else f"  {figures['blas']}"
    print(f"{said}{recall}  (timed: {least:.2f} to {most:.2f} s)", flush=True)


def _recall(search: Search, found: Longs) -> float:
    """Return the share of sampled neighbours in the (B, k) of the first rows that are no further than the k-th."""
    rows = np.sort(np.random.default_rng(0).permutation(len(found))[:SAMPLE])
    exact = without_self(search.nearest(rows, found.shape[1] + 1), rows)
    limits = search.space.distances(rows, exact[:, -1])
    answers = np.where(found[rows] < 0, rows[:, None], found[rows]).astype(np.int64)
    distances = search.space.distances(np.repeat(rows, found.shape[1]), answers.reshape(-1)).reshape(answers.shape)
    return float(((distances <= limits[:, None]) & (answers != rows[:, None])).mean())


def _exact(search: Search, rows: Longs) -> Longs:
    return without_self(search.nearest(rows, K + 1), rows)


def _numpy_floor(X: Floats, rows: Longs) -> None:
    products = np.empty((TILE, len(X)), dtype=np.float32)
    for start in range(0, len(rows), TILE):
        queries = X[rows[start : start + TILE]]
        np.matmul(queries, X.T, out=products[: len(queries)])


def _torch_floor(X: Floats, rows: Longs) -> None:
    points, products = torch.from_numpy(X), torch.empty(TILE, len(X))
    for start in range(0, len(rows), TILE):
        queries = points[rows[start : start + TILE]]
        torch.mm(queries, points.T, out=products[: len(queries)])


def _torch(X: Floats, rows: Longs) -> Longs:
    points = torch.from_numpy(X)
    halves = points.square().sum(dim=1) / 2
    found = np.empty((len(rows), K), dtype=np.int64)
    for start in range(0, len(rows), TILE):
        part = rows[start : start + TILE]
        nearest = (points[part] @ points.T).sub_(halves).topk(K + 1, dim=1).indices.numpy()
        found[start : start + TILE] = without_self(nearest, part)
    return found


def _sklearn(X: Floats, rows: Longs) -> Longs:
    neighbors = importlib.import_module("sklearn.neighbors")
    index = neighbors.NearestNeighbors(n_neighbors=K + 1, algorithm="brute").fit(X)
    return without_self(index.kneighbors(X[rows], return_distance=False), rows)


def _pynndescent(X: Floats, rows: Longs) -> Longs:
    index = importlib.import_module("pynndescent").NNDescent(X, n_neighbors=K + 1, random_state=0)
    return without_self(index.neighbor_graph[0].astype(np.int64), rows)


def _hnsw(X: Floats, rows: Longs) -> Longs:
    index = importlib.import_module("faiss").IndexHNSWFlat(X.shape[1], 32)
    index.hnsw.efSearch = 64
    index.add(X)
    return without_self(index.search(X, K + 1)[1], rows)


def _ivf(X: Floats, rows: Longs) -> Longs:
    faiss = importlib.import_module("faiss")
    cells = max(1, min(int(4 * np.sqrt(len(X))), len(X) // 39))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(X.shape[1]), X.shape[1], cells)
    index.nprobe = 16
    index.train(X)
    index.add(X)
    return without_self(index.search(X, K + 1)[1], rows)


FLOORS: dict[str, Callable[[Floats, Longs], None]] = {"numpy": _numpy_floor, "torch": _torch_floor}
BLOCKS: dict[str, tuple[str, Find]] = {"sklearn_brute": ("sklearn", _sklearn), "torch_topk": ("torch", _torch)}
WHOLE: dict[str, tuple[str, Find]] = {
    "pynndescent": ("pynndescent", _pynndescent),
    "faiss_hnsw32_ef64": ("faiss", _hnsw),
    "faiss_ivf_nprobe16": ("faiss", _ivf),
}


def _installed(peers: dict[str, tuple[str, Find]], left_out: dict[str, str]) -> dict[str, Find]:
    ready: dict[str, Find] = {}
    sample = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    for name, (module, find) in peers.items():
        try:
            importlib.import_module(module)
            find(sample, np.arange(len(sample)))  # what is compiled at the first call is not timed
        except ImportError as error:
            left_out[name] = f"not installed: {error}"
        else:
            ready[name] = find
    return ready
