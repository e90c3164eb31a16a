"""Means, spreads and gaps of the table, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reproductions.gps_ssl.figure import draw
from reproductions.gps_ssl.graphs import graph_table, other_graphs
from reproductions.gps_ssl.numbers import gaps, summarise
from reproductions.gps_ssl.table import table
from reproductions.spread import spread

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
    assert spread([38.0]) == {"mean": 38.0, "seeds": 1}  # which has no spread
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


def test_the_prior_itself() -> None:
    prior = {"prior": "lite0", "images": {"test": 2000}, "metrics": {"knn": {"top1": 80.0}, "linear": {"top1": 85.5}}}
    text = table("smoke", "simclr", "flip_only", RUNS, [CLAIM], prior)
    assert "| the prior itself, lite0 | 80.00 | 85.50 | 2000 test images | not available |" in text


def test_runs_of_two_machines_and_commits_are_said() -> None:
    runs = [*RUNS[:3], RUNS[3] | {"commit": "def", "hardware": "another"}]
    assert "; a machine and another; commit abc and def." in table("smoke", "simclr", "flip_only", runs, [])


@pytest.fixture
def ablation(tmp_path: Path) -> Path:
    (tmp_path / "ablation").mkdir()
    (tmp_path / "graph.json").write_text(json.dumps({"prior": "lite0", "k": 4, "purity": 0.77, "nodes": 9}))
    for name, purity, knn in (("labels-k4-0", 1.0, 45.0), ("pixels-k4-0", 0.24, 30.0), ("pixels-k4-1", 0.24, 32.0)):
        prior, k, seed = name.split("-")
        run = result("gps", int(seed), knn, knn + 1) | {"prior": prior, "k": int(k[1:]), "purity": purity}
        (tmp_path / "ablation" / f"{name}.json").write_text(json.dumps(run))
    return tmp_path


def test_graphs(ablation: Path) -> None:
    graphs = other_graphs(ablation, RUNS)
    assert list(graphs) == ["labels-k4", "lite0-k4", "pixels-k4", "none"]
    text = graph_table("smoke", graphs)
    assert "| labels-k4 | 1.000 | 45.00 | 46.00 | 1 |" in text
    assert "| lite0-k4 | 0.770 | 37.50 ± 0.71 | 39.00 ± 1.41 | 2 |" in text  # the main table's own graph
    assert "| pixels-k4 | 0.240 | 31.00 ± 1.41 | 32.00 ± 1.41 | 2 |" in text
    assert "| none (simclr) | | 24.00 ± 1.41 | 30.00 ± 1.41 | 2 |" in text.replace("|  |", "| |")
    assert summarise(graphs["pixels-k4"])["knn"]["gps"]["seeds"] == 2


def test_the_main_graph_among_the_ablated_counts_once(ablation: Path) -> None:
    again = result("gps", 1, 0.0, 0.0) | {"prior": "lite0", "k": 4, "purity": 0.77}
    (ablation / "ablation" / "lite0-k4-1.json").write_text(json.dumps(again))
    assert [run["seed"] for run in other_graphs(ablation, RUNS)["lite0-k4"]] == [0, 1]


def test_no_other_graph(tmp_path: Path) -> None:
    assert other_graphs(tmp_path, RUNS) == {}


def test_figure(ablation: Path, tmp_path: Path) -> None:
    sizes = []
    for graphs in ({}, other_graphs(ablation, RUNS)):
        draw(tmp_path / "figure.png", "smoke", {("simclr", "flip_only"): RUNS[:2]}, graphs)
        with Image.open(tmp_path / "figure.png") as picture:
            picture.load()
            sizes.append(picture.size)
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] > sizes[0][1]  # a row of panels more
