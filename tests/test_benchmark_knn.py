"""The benchmark of neighbour graphs on a few rows: figures that hang together, recalls that are measured, a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import __main__ as command
from benchmarks import features, knn
from benchmarks.plot import plot
from benchmarks.timing import medians, spreads
from pal_plugin.graph.search import Search
from pal_plugin.graph.space import Space


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    points = np.random.default_rng(0).standard_normal((600, 16)).astype(np.float32)
    np.save(tmp_path / "f.npy", points)
    monkeypatch.setenv(features.FEATURES, str(tmp_path / "f.npy"))
    monkeypatch.setattr(knn, "SIZES", (300, 50_000))
    monkeypatch.setattr(knn, "SECONDS", 0.0)
    monkeypatch.delitem(knn.WHOLE, "pynndescent")  # it compiles for a minute
    return tmp_path


def test_figures_and_curves(few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(knn.BLOCKS, "absent", ("no_such_library", knn._torch))
    monkeypatch.setitem(knn.BLOCKS, "wrong", ("numpy", lambda X, rows: (rows[:, None] + 1 + np.arange(50)) % len(X)))
    arguments = ["benchmarks", "knn", "--json", str(few / "figures.json"), "--plot", str(few / "curves.png")]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    found = json.loads((few / "figures.json").read_text(encoding="utf-8"))["knn"]
    contestants = {"exact", "sklearn_brute", "torch_topk", *knn.WHOLE}
    assert contestants <= set(found)
    for name in ("exact", "sklearn_brute", "torch_topk"):
        assert found[name]["recall"] == 1
        ratio = found[name]["seconds"] / found["floor"]["seconds"]
        assert found[name]["ratio_to_gemm_floor"] == pytest.approx(ratio, rel=0.02)
    assert found["faiss_hnsw32_ef64"]["recall"] > 0.9
    assert 0.02 < found["wrong"]["recall"] < 0.3
    assert found["floor"]["blas"] in ("numpy", "torch")
    assert "no_such_library" in found["left_out"]["absent"]
    assert found["features"]["shape"] == [600, 16]
    for points in found["curves"]["lines"].values():
        assert [size for size, _ in points] == [300, 600]
    assert capsys.readouterr().out.count("recall 1.0000") >= 6
    with Image.open(few / "curves.png") as image:
        assert image.format == "PNG"
        assert np.unique(np.asarray(image.convert("L"))).size > 10


def test_recall_of_answers_with_gaps_and_itself() -> None:
    points = np.arange(20, dtype=np.float32)[:, None]
    search = Search.of(Space.of(points, "euclidean"))
    right = np.stack([np.argsort(np.abs(points[:, 0] - p), kind="stable")[1:3] for p in points[:, 0]])
    assert knn._recall(search, right) == 1
    wrong = right.copy()
    wrong[:, 1] = -1
    assert knn._recall(search, wrong) == 0.5
    wrong[:, 1] = np.arange(20)
    assert knn._recall(search, wrong) == 0.5


def test_spreads() -> None:
    calls: list[int] = []
    times = spreads({"one": lambda: calls.append(1)}, seconds=0.0, least=3, warm_up=False)["one"]
    assert len(calls) == 3
    assert 0 <= times.least <= times.median <= times.most
    assert medians({"one": lambda: None}, seconds=0.0)["one"] >= 0


def test_no_curves_no_picture(few: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    figures: dict[str, Any] = {}
    monkeypatch.setitem(command.BENCHMARKS, "losses", lambda: figures)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "losses", "--plot", str(few / "curves.png")])
    command.main()
    assert "losses has no curves" in capsys.readouterr().err
    assert not (few / "curves.png").exists()


def test_a_panel_for_each_benchmark(tmp_path: Path) -> None:
    curves = {"x": "x", "y": "y", "lines": {"a": [[1, 1], [10, 2]], "b": [[1, 2], [10, 30]]}}
    plot({"one": curves}, tmp_path / "one.png")
    plot({"one": curves, "two": curves}, tmp_path / "two.png")
    with Image.open(tmp_path / "one.png") as one, Image.open(tmp_path / "two.png") as two:
        assert (two.width, two.height) == (one.width, 2 * one.height)
