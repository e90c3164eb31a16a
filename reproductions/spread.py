"""Means with their spread over seeds, and what all runs of a table say alike."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any


def spread(numbers: list[float], digits: int = 2) -> dict[str, float | int]:
    """Return mean, sample standard deviation (none of one number) and count; `digits` of the former two."""
    deviation = {"std": round(stdev(numbers), digits)} if len(numbers) > 1 else {}
    return {"mean": round(mean(numbers), digits), **deviation, "seeds": len(numbers)}


def said_by(runs: Iterable[dict[str, Any]], key: str) -> str:
    """Return what all runs say under `key`; more than one answer is joined."""
    return " and ".join(sorted({run[key] for run in runs}))


def shown_spread(numbers: list[float], digits: int = 2) -> str:
    """Return `mean ± standard deviation`; of one seed the number alone, and of none that there is nothing."""
    if not numbers:
        return "not run"
    summary = spread(numbers, digits)
    return f"{summary['mean']:.{digits}f}" + (f" ± {summary['std']:.{digits}f}" if len(numbers) > 1 else "")
