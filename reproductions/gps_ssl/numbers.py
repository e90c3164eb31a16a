"""Means, spreads and gaps over seeds, from result files."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean
from typing import Any

from reproductions.gps_ssl.names import ARMS, BASELINE, GPS, READINGS
from reproductions.reading import Run
from reproductions.spread import spread


def asked(run: Run) -> object:
    """Ask a run for what is read of one in any table; a KeyError or the like says what it lacks."""
    told = run["data"], run["hardware"], run["commit"]
    arms = [values([run], run["arm"], reading) for reading in READINGS]
    untrained = [values([run], "untrained", reading) for reading in READINGS]
    return int(run["seed"]), told, arms, untrained


def own_graph(run: Run) -> Run:
    """Return what is said of a graph: prior, k and purity."""
    return {"prior": run["prior"], "k": int(run["k"]), "purity": float(run["purity"])}


def values(runs: Iterable[Run], arm: str, reading: str) -> list[float]:
    """Return an arm's top-1 accuracies, one a seed; `untrained` is read from the baseline's result files."""
    if arm == "untrained":
        return [run["untrained"][reading]["top1"] for run in runs if run["arm"] == BASELINE]
    return [run["metrics"][reading]["top1"] for run in runs if run["arm"] == arm]


def gaps(runs: list[Run], reading: str) -> list[float]:
    """Return GPS minus baseline of each seed that has both, in points."""
    by_arm = {(r["arm"], r["seed"]): r["metrics"][reading]["top1"] for r in runs}
    seeds = sorted({seed for _, seed in by_arm})
    both = [s for s in seeds if (BASELINE, s) in by_arm and (GPS, s) in by_arm]
    return [by_arm[GPS, seed] - by_arm[BASELINE, seed] for seed in both]


def summarise(runs: list[Run]) -> dict[str, Any]:
    """Return mean, standard deviation and count of every arm, and the gap's mean and least value over seeds."""
    summary: dict[str, Any] = {}
    for reading in READINGS:
        scores = {arm: values(runs, arm, reading) for arm in ARMS}
        summary[reading] = {arm: spread(of_arm) for arm, of_arm in scores.items() if of_arm}
        differences = gaps(runs, reading)
        if differences:
            summary[reading]["gap"] = {"mean": round(mean(differences), 2), "least": round(min(differences), 2)}
    return summary
