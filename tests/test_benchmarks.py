"""The benchmarks run, and write figures that hang together; how good they are is not for a test on a busy machine."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import losses
from benchmarks.timing import medians


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
