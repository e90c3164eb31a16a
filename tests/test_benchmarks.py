"""The benchmarks run, and write figures that hang together; how good they are is not for a test on a busy machine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import loader, losses, step
from benchmarks.table import table
from benchmarks.timing import medians
from pal_plugin.data import ImageDataset, load_dataset
from pal_plugin.host import host_info


def test_medians() -> None:
    calls: list[str] = []

    def call(name: str, seconds: float) -> None:
        calls.append(name)
        time.sleep(seconds)

    found = medians({"slow": lambda: call("slow", 0.02), "fast": lambda: call("fast", 0.0)}, seconds=0.0, least=4)
    assert found["slow"] > 0.02 > found["fast"]
    assert calls.count("slow") == calls.count("fast") == 5  # the first to warm up
    assert {"slow", "fast"} == set(calls[-2:])  # rounds are whole


def test_losses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(losses, "BATCHES", (16,))
    monkeypatch.setattr(losses, "SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "losses", "--json", str(tmp_path / "figures.json")])
    command.main()
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert set(figures["losses"]) == {"simclr", "byol", "vicreg", "barlow", "spectral", "vic2"}
    for by_batch in figures["losses"].values():
        found = by_batch["b16"]
        assert found["ratio_to_host"] == pytest.approx(found["pal_ms"] / found["host_ms"], rel=0.01, abs=0.02)
    assert figures["machine"]["blas"]
    assert figures["machine"]["threads"] >= 1


def test_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "METHODS", ("byol",))
    monkeypatch.setattr(step, "ROUNDS", 1)
    monkeypatch.setenv("PAL_BENCH_BATCH", "4")
    figures = step.run()
    assert figures["batch"] == 4
    found = figures["byol"]
    assert found["s"] > 0
    assert found["ratio_vs_solo_learn"] == pytest.approx(found["solo_learn_s"] / found["s"], rel=0.05)


@pytest.mark.filterwarnings("ignore:This DataLoader will create", "ignore:'pin_memory'", "ignore:The load is")
def test_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    """On noise in the place of CIFAR-10, which is not everywhere."""
    if host_info().kind != "release":
        pytest.skip("the peer is the release's loader")
    pictures = np.random.default_rng(0).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    ids, third = tuple(map(str, range(300))), (0.5, 0.5, 0.5)
    noise = ImageDataset("noise", "train", pictures, np.zeros(300, int), ids, ("a",), third, third)

    def load(name: str, **options: Any) -> ImageDataset:
        return noise if name == "cifar10" else load_dataset(name, **options)

    monkeypatch.setattr(loader, "load_dataset", load)
    small = {"ROUNDS": 2, "BATCH": 32, "FOLDER_BATCH": 4, "PEERS_IMAGES": 160, "FILES": 16, "HEIGHT": 75, "WIDTH": 100}
    for name, value in small.items():
        monkeypatch.setattr(loader, name, value)
    figures = loader.run()
    assert set(figures) == {"strong_no_blur", "strong_blur_solarize", "folder_224", "peers", "load_before"}
    for name in set(figures) - {"peers", "load_before"}:
        found = figures[name]
        for unit in ("", "cpu_"):
            low, high = found[f"{unit}ratio_vs_solo_learn_range"]
            assert 0 < low <= found[f"{unit}ratio_vs_solo_learn"] <= high
            slow, fast = (found[f"{who}{unit}images_per_s_range"] for who in ("solo_learn_", ""))
            # rates are rounded to whole images
            assert (fast[0] - 0.5) / (slow[1] + 0.5) - 0.01 <= low <= high <= (fast[1] + 0.5) / (slow[0] - 0.5) + 0.01
    assert "pal_with_graph_ratio_vs_solo_learn" in figures["folder_224"]


def test_the_table_has_a_line_for_every_loss() -> None:
    found = json.loads(Path("benchmarks/results/cpu.json").read_text(encoding="utf-8"))
    lines = [line for line in table(found).splitlines() if "loss along a graph" in line]
    assert len(lines) == len(found["losses"]) == 6
    ratios = [1 / figures["ratio_to_host"] for figures in found["losses"]["spectral"].values()]
    expected = f"spectral, batch 256 to 4,096 | solo-learn's simclr | {min(ratios):.2f} to {max(ratios):.2f} |"
    assert any(line.endswith(expected) for line in lines)
