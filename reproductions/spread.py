"""Means with their spread over seeds, and what all runs of a table say alike."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import mean, stdev
from typing import Any


def spread(numbers: list[float]) -> dict[str, float | int]:
    """Return mean, sample standard deviation (none of one number) and count."""
    deviation = {"std": round(stdev(numbers), 2)} if len(numbers) > 1 else {}
    return {"mean": round(mean(numbers), 2), **deviation, "seeds": len(numbers)}


def said_by(runs: Iterable[dict[str, Any]], key: str) -> str:
    """Return what all runs say under `key`; more than one answer is joined."""
    return " and ".join(sorted({run[key] for run in runs}))


def shown_spread(numbers: list[float]) -> str:
    """Return `mean ± standard deviation`; of one seed the number alone, and of none that there is nothing."""
    if not numbers:
        return "not run"
    summary = spread(numbers)
    return f"{summary['mean']:.2f}" + (f" ± {summary['std']:.2f}" if len(numbers) > 1 else "")
