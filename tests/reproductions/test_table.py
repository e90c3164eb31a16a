"""Means, spreads and gaps of the table, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from reproductions.gps_ssl.table import gaps, spread, summarise, table

CLAIM = {
    "method": "simclr",
    "augmentation": "flip_only",
    "setting": "CIFAR-10",
    "baseline": {"value": 37.51, "provenance": "abstract"},
    "gps": {"value": 85.58, "provenance": "abstract"},
}


def result(arm: str, seed: int, knn: float, linear: float, untrained: float = 30.0) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "base": "simclr",
        "data": "cifar10",
        "augmentation": "flip_only",
        "images": {"train": 4096, "test": 10000},
        "hardware": "a machine",
        "commit": "abc",
        "metrics": {"knn": {"top1": knn}, "linear": {"top1": linear}},
        "untrained": {"knn": {"top1": untrained}, "linear": {"top1": untrained + 5}},
    }


RUNS = [
    result("baseline", 0, 23.0, 29.0, untrained=30.0),
    result("baseline", 1, 25.0, 31.0, untrained=31.0),
    result("gps", 0, 38.0, 38.0),
    result("gps", 1, 37.0, 40.0),
]


def test_spread_and_gaps() -> None:
    assert spread([38.0, 37.0]) == {"mean": 37.5, "std": pytest.approx(0.71), "seeds": 2}
    assert spread([38.0]) == {"mean": 38.0, "std": 0.0, "seeds": 1}
    assert gaps(RUNS, "knn") == [15.0, 12.0]
    assert gaps(RUNS[:3], "knn") == [15.0]  # seeds that have both arms
    assert gaps(RUNS[:2], "knn") == []


def test_summary() -> None:
    summary = summarise(RUNS)
    assert summary["knn"]["gap"] == {"mean": 13.5, "least": 12.0}
    assert summary["knn"]["untrained"]["mean"] == 30.5
    assert summary["linear"]["baseline"] == {"mean": 30.0, "std": pytest.approx(1.41), "seeds": 2}


def test_an_arm_that_has_not_run() -> None:
    assert "gap" not in summarise(RUNS[:2])["knn"]
    assert "| gps_simclr | not run | not run | 0 | 85.58 |" in table("smoke", "simclr", "flip_only", RUNS[:2], [CLAIM])


def test_table() -> None:
    text = table("smoke", "simclr", "flip_only", RUNS, [CLAIM])
    assert "| gps_simclr | 37.50 ± 0.71 | 39.00 ± 1.41 | 2 | 85.58 |" in text
    assert "| gap | +13.50 (least +12.00) | +9.00 (least +9.00) | 2 | +48.07 |" in text
    assert "| untrained network | 30.50 ± 0.71 | 35.50 ± 0.71 | 2 | not available |" in text
    unknown = table("smoke", "simclr", "flip_only", RUNS, [])
    assert unknown.count("not available") == 4
