"""k-centre greedy against the bandwidth floor and against installable peers, on 50,000 × 512 features.

The floor is the honest greedy of one matrix-vector product a pick, `2 * (X @ x_i)` with the norms kept: it reads X once
a pick and copies nothing. Ours and the floor run in turns. Peers (the group `bench`: `uv run --isolated --no-group dev
--group bench python -m benchmarks selection`) would take minutes: each is timed on its first picks, in turns with ours,
and the rest is extrapolated by the time a pick. One that is not installed or does not run is left out, and the figures
say why. anomalib comes by hand (`uv pip install anomalib`): in the group, each `uv sync` would resolve its many needs.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.features import Floats, features
from benchmarks.timing import spreads
from pal_plugin.selection import KCenterGreedy

Greedy: TypeAlias = Callable[[Floats, int], npt.ArrayLike]
"""(features, picks) → picks, of which the first is row 0."""

BUDGETS = (1000, 5000)
SECONDS = 30.0  # for one budget, ours and the floor
ROUNDS = 3
PEER_PICKS = (50, 150)  # that a peer's time a pick is taken from


def run() -> dict[str, Any]:
    """Return `{"b1000": {"ms", "floor_ms", "ratio_to_gemv_floor", "ratio_to_<peer>", …}, …, "features", …}`."""
    X, about = features()
    found: dict[str, Any] = {"features": about, "peers": {}}
    ready = _installed(found["peers"])
    lines: dict[str, list[list[float]]] = {}
    for budget in BUDGETS:
        budget = min(budget, len(X))
        times = spreads(
            {"pal": partial(ours, X, budget), "floor": partial(floor, X, budget)}, seconds=SECONDS, least=ROUNDS
        )
        pal = times["pal"].median
        figures = {"ms": 1000 * pal, "floor_ms": 1000 * times["floor"].median}
        figures["ratio_to_gemv_floor"] = times["floor"].median / pal
        for name, greedy in ready.items():
            seconds = _extrapolated(greedy, X, budget)
            figures[f"{name}_ms"], figures[f"ratio_to_{name}"] = 1000 * seconds, seconds / pal
        found[f"b{budget}"] = {name: round(value, 2) for name, value in figures.items()}
        print(f"b={budget}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()), flush=True)
        print(f"  pal {times['pal']}, floor {times['floor']}", flush=True)
        for name in ("pal", "floor", *ready):
            lines.setdefault(name, []).append([budget, figures["ms" if name == "pal" else f"{name}_ms"] / 1000])
    found["curves"] = {"x": f"picks of {len(X)}", "y": "seconds", "lines": lines}
    return found


def ours(X: Floats, budget: int) -> npt.ArrayLike:
    """Pick by `KCenterGreedy`."""
    return KCenterGreedy(start=0, device="cpu").select(X, budget).indices


def floor(X: Floats, budget: int) -> npt.ArrayLike:
    """Pick by one matrix-vector product a pick."""
    squares = np.einsum("nd,nd->n", X, X)
    picks = np.zeros(budget, dtype=np.int64)
    nearest = np.full(len(X), np.inf, dtype=np.float32)
    for place in range(budget):
        row = int(nearest.argmax()) if place else 0
        picks[place] = row
        products = X @ X[row]
        products *= -2
        products += squares
        products += squares[row]
        np.minimum(nearest, products, out=nearest)
        nearest[row] = -1
    return picks


def _fpsample(X: Floats, budget: int) -> npt.ArrayLike:
    picks: npt.ArrayLike = importlib.import_module("fpsample").fps_sampling(X, budget, start_idx=0)
    return picks


def _skmatter(kind: str, X: Floats, budget: int) -> npt.ArrayLike:
    selectors = importlib.import_module("skmatter.sample_selection")
    picks: npt.ArrayLike = getattr(selectors, kind)(n_to_select=budget, initialize=0).fit(X).selected_idx_
    return picks


def _skactiveml(X: Floats, budget: int) -> npt.ArrayLike:
    core_set = importlib.import_module("skactiveml.pool").CoreSet(random_state=0)
    labels = np.full(len(X), np.nan)
    labels[0] = 0  # its first pick would be random
    return np.concatenate([[0], core_set.query(X, labels, batch_size=budget - 1)])


def _google(X: Floats, budget: int) -> npt.ArrayLike:
    """Pick as google/active-learning's kCenterGreedy does: one call of scikit-learn's pairwise distances a pick."""
    pairwise = importlib.import_module("sklearn.metrics").pairwise_distances
    picks = [0]
    nearest = pairwise(X, X[[0]])
    for _ in range(budget - 1):
        picks.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, pairwise(X, X[[picks[-1]]]))
    return picks


def _anomalib(X: Floats, budget: int) -> npt.ArrayLike:
    """Pick as its PatchCore does: exact distances of features that a random matrix made fewer, from a random row."""
    sampling = importlib.import_module("anomalib.models.components.sampling")
    embedding = importlib.import_module("torch").from_numpy(X)
    picks: list[int] = sampling.KCenterGreedy(embedding, (budget + 0.5) / len(X)).select_coreset_idxs()
    return picks


PEERS: dict[str, tuple[str, Greedy]] = {
    "google_active_learning": ("sklearn", _google),
    "fpsample": ("fpsample", _fpsample),
    "skmatter_fps": ("skmatter", partial(_skmatter, "FPS")),
    "skmatter_voronoi": ("skmatter", partial(_skmatter, "VoronoiFPS")),
    "skactiveml": ("skactiveml", _skactiveml),
    "anomalib": ("anomalib", _anomalib),
}


def _installed(about: dict[str, str]) -> dict[str, Greedy]:
    """Return the peers that are there and run; `about` is told of each."""
    ready: dict[str, Greedy] = {}
    sample = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)
    for name, (module, greedy) in PEERS.items():
        try:
            importlib.import_module(module)
            greedy(sample, 5)
        except ImportError as error:
            about[name] = f"left out, not installed: {error}"
        except Exception as error:  # a peer may fail in any way of its own
            about[name] = f"left out, fails: {type(error).__name__}: {error}"
        else:
            ready[name] = greedy
            about[name] = f"first {PEER_PICKS[1]} picks, extrapolated"
    return ready


def _extrapolated(greedy: Greedy, X: Floats, budget: int) -> float:
    """Return the seconds that `budget` picks would take, from two smaller numbers of picks."""
    seconds = []
    for picks in PEER_PICKS:
        before = time.perf_counter()
        greedy(X, min(picks, budget))
        seconds.append(time.perf_counter() - before)
    each = (seconds[1] - seconds[0]) / (PEER_PICKS[1] - PEER_PICKS[0])
    return seconds[1] + max(each, 0.0) * (budget - PEER_PICKS[1])
