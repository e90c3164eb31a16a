"""What the runs of a paper cost in a profile, and the whole pipeline: time, processors, and at which commits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproductions.layout import ROOT, results
from reproductions.reading import read_result

_CPU = re.compile(r"^(.*), (\d+) cores, threads: (\d+)$")
COUNTED = (
    "Time is what the runs' files say: training, evaluating, choosing images; not start-up, features, graphs and "
    "tables. CPU-hours are that times threads."
)
BESIDE = "In the profile `cpu`, runs on one thread went two at a time: less passed by the clock."  # no file says it
CORESET = "CoreSet"  # the one choice that trains


@dataclass(frozen=True)
class Cost:
    """What a profile's runs of a paper took.

    Attributes:
        runs: how many have said what they took.
        seconds: theirs, one after the other: all that their files tell of.
        cpu_hours: hours times threads, of runs on a CPU.
        gpu_hours: hours of runs on a GPU.
        hardware: what they ran on.
        commits: what they ran.
    """

    runs: int
    seconds: float
    cpu_hours: float
    gpu_hours: float
    hardware: tuple[str, ...]
    commits: tuple[str, ...]


def cost(profile: str, paper: str) -> Cost | None:
    """Return what the runs of a paper took in a profile, or None where there is none."""
    found = [read_result(file) for file in sorted(results(profile, paper).rglob("*.json"))]
    runs = [run for run in found if {"wall_s", "hardware"} <= run.keys()]
    if not runs:
        return None
    cpu = gpu = 0.0
    for run in runs:
        on_cpu = _CPU.match(run["hardware"])
        if on_cpu:
            cpu += _seconds(run) * int(on_cpu[3]) / 3600
        else:
            gpu += _seconds(run) / 3600
    return Cost(
        runs=len(runs),
        seconds=sum(_seconds(run) for run in runs),
        cpu_hours=cpu,
        gpu_hours=gpu,
        hardware=machines(run["hardware"] for run in runs),
        commits=tuple(sorted({run["commit"] for run in runs})),
    )


def machines(told: Iterable[str]) -> tuple[str, ...]:
    """Return the machines of result files, each once: a processor with all numbers of threads that were used on it."""
    threads: dict[str, set[int]] = {}
    for hardware in told:
        cpu = _CPU.match(hardware)
        used = threads.setdefault(f"{cpu[1]}, {cpu[2]} cores" if cpu else hardware, set())
        if cpu:
            used.add(int(cpu[3]))
    return tuple(f"{machine}{_threads(used)}" for machine, used in sorted(threads.items()))


def whole_file(profile: str) -> Path:
    """Return the file in which `python -m reproductions.whole` says what the whole pipeline took in a profile."""
    return ROOT / "results" / profile / "whole.json"


def whole_run(profile: str) -> str:
    """Return the sentence on what a whole `dvc repro` in a fresh clone took in a profile, or "" if none was timed."""
    if not whole_file(profile).exists():
        return ""
    return _told(read_result(whole_file(profile), _told))


def _told(whole: dict[str, Any]) -> str:
    (machine,) = machines([whole["hardware"]])
    took, setup = (f"{whole[key] / 60:.1f} min" for key in ("wall_s", "setup_s"))
    return (
        f"`{whole['measured']}` in a fresh clone with empty caches took {took} there, downloads and all: {setup} until "
        f"the first stage, then {whole['stages_run']} stages. {machine}, {whole['date']}, commit {whole['commit']}."
    )


def _seconds(run: dict[str, Any]) -> float:
    """Return all the seconds that a result tells of; `wall_s` is its training, or all of a stage that does it all."""
    return float(run["wall_s"]) + float(run.get("evaluation_s", 0)) + _choosing(run)


def _choosing(run: dict[str, Any]) -> float:
    """Return the seconds of choosing images: one choice a budget, each from nothing, none of them in `wall_s`.

    Core-Set's go on from one another instead, and hold the trainings in between, which `wall_s` has as well.
    """
    budgets = [found for found in run.get("metrics", {}).values() if isinstance(found, dict) and "select_s" in found]
    if run.get("method") != CORESET or not budgets:
        return sum(float(found["select_s"]) for found in budgets)
    trained = sum(float(found["train_s"]) for found in budgets[:-1])
    return max(0.0, float(budgets[-1]["select_s"]) - trained)


def _threads(used: set[int]) -> str:
    if not used:
        return ""
    numbers = [str(number) for number in sorted(used)]
    told = " or ".join(filter(None, [", ".join(numbers[:-1]), numbers[-1]]))
    return f", {told} thread{'s' * (used != {1})}"
