"""What the runs of a paper cost in a profile: time, processors, and at which commits."""

from __future__ import annotations

import re
from dataclasses import dataclass

from reproductions.layout import results
from reproductions.reading import read_result

_CPU = re.compile(r"^(.*), (\d+) cores, threads: (\d+)$")


@dataclass(frozen=True)
class Cost:
    """What a profile's runs of a paper took.

    Attributes:
        runs: how many have said what they took.
        wall_s: their seconds, one after the other.
        cpu_hours: hours times threads, of runs on a CPU.
        gpu_hours: hours of runs on a GPU.
        hardware: what they ran on.
        commits: what they ran.
    """

    runs: int
    wall_s: float
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
            cpu += run["wall_s"] * int(on_cpu[3]) / 3600
        else:
            gpu += run["wall_s"] / 3600
    return Cost(
        runs=len(runs),
        wall_s=sum(run["wall_s"] for run in runs),
        cpu_hours=cpu,
        gpu_hours=gpu,
        hardware=tuple(sorted({run["hardware"] for run in runs})),
        commits=tuple(sorted({run["commit"] for run in runs})),
    )
