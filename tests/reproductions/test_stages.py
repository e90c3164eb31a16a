"""Stages that `dvc repro` leaves out by default, run as dvc.yaml's command lines say, on toy data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reproductions.adassl.moving_mnist.cells import PROFILES

if TYPE_CHECKING:
    from .conftest import Pipeline, Stage

RESULTS = Path("reproductions/results/debug")
NOISY = ["adassl.long=[debug]", "adassl.noisy=[v-hog]"]  # digits have no coarse classes, as pairs of a noise need
MOVING_MNIST = ["adassl.long=[debug]", "adassl.moving_mnist=[v-B]"]
PRIORS = ["zero_shot_al.checkpoints=[]", "zero_shot_al.priors=[pixels,untrained]", "zero_shot_al.ablation=[kcenter]"]


@pytest.fixture
def run_all(
    pipeline: Pipeline,
    run_stage: Callable[[Stage], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str, list[str]], set[str]]:
    """Run in an empty folder what a table needs and the table, and return the stages, without profile and cell."""
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(table: str, overrides: list[str]) -> set[str]:
        stages = pipeline.stages(["profiles=[debug]", *overrides], [table])
        for stage in stages:
            run_stage(stage)
        return {stage.name.split("@")[0] for stage in stages}

    return run


def test_noisy_pairs(run_all: Callable[[str, list[str]], set[str]]) -> None:
    assert run_all("adassl_noisy_table", NOISY) == {"gps_data", "adassl_noisy", "adassl_noisy_table"}
    run = json.loads((RESULTS / "adassl" / "noisy" / "v-hog-0.json").read_text(encoding="utf-8"))
    assert (run["arm"], run["pairs"], run["seed"]) == ("v", "hog", 0)
    accuracy = run["metrics"]["knn"]["top1"]
    assert json.loads((RESULTS / "adassl_noisy.json").read_text(encoding="utf-8"))["v-hog"]["knn"]["mean"] == accuracy
    assert "| neighbours by hog |" in (RESULTS / "adassl_noisy.md").read_text(encoding="utf-8")


def test_moving_mnist(run_all: Callable[[str, list[str]], set[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    short = PROFILES["debug"]._replace(steps=2, fit=64, choose=32, test=32, queries=24)
    monkeypatch.setitem(PROFILES, "debug", short)
    assert run_all("adassl_moving_mnist_table", MOVING_MNIST) == {"adassl_moving_mnist", "adassl_moving_mnist_table"}
    run = json.loads((RESULTS / "adassl" / "moving_mnist" / "v-B-0.json").read_text(encoding="utf-8"))
    assert (run["method"], run["setting"], run["seed"], run["steps"]) == ("v", "B", 0, 2)
    assert "| AdaSSL-V | B |" in (RESULTS / "adassl_moving_mnist.md").read_text(encoding="utf-8")


def test_other_features(run_all: Callable[[str, list[str]], set[str]]) -> None:
    ran = run_all("zero_shot_table", PRIORS)
    assert ran == {"gps_data", *(f"zero_shot_{part}" for part in ("priors", "ablation", "unguided", "table"))}
    summary = json.loads((RESULTS / "zero_shot_al.json").read_text(encoding="utf-8"))
    text = (RESULTS / "zero_shot_al.md").read_text(encoding="utf-8")
    for features, dimensions in (("pixels", 192), ("untrained", 512)):
        run = RESULTS / "zero_shot_al" / "runs" / f"{features}.kcenter-0.json"
        accuracy = json.loads(run.read_text(encoding="utf-8"))["metrics"]["b60"]["top1"]
        assert summary[f"{features}.kcenter"]["b60"]["mean"] == accuracy
        assert f"| {features} | {dimensions} | " in text
