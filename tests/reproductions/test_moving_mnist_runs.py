"""Moving-MNIST: training that goes on after a kill, the stage from end to end, and the table of its runs."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pal_plugin.errors import CheckpointError, ConfigError, LossError
from reproductions.adassl.moving_mnist import run, train
from reproductions.adassl.moving_mnist import table as tables
from reproductions.adassl.moving_mnist.cells import PROFILES, Cell, Sizes, checkpoint, folder, grid, result, table
from reproductions.adassl.moving_mnist.figure import draw
from reproductions.adassl.moving_mnist.generator import Digits, load_digits
from reproductions.adassl.moving_mnist.network import WorldModel
from reproductions.adassl.moving_mnist.runs import READINGS, values
from reproductions.adassl.moving_mnist.runs import read as read_runs

SIZES = PROFILES["debug"]._replace(steps=6, batch=4, hidden=16, dim=8, widths=(2, 2, 2, 2, 4))
V = Cell("v", "B")
WORKER = """
import os, signal, sys, time
from pathlib import Path
import torch
from reproductions.adassl.moving_mnist import train
from reproductions.adassl.moving_mnist.cells import Cell, Sizes
from reproductions.adassl.moving_mnist.generator import load_digits
train.INTERVAL_S = 0.0
path, sizes, slow = Path(sys.argv[1]), eval(sys.argv[2]), float(sys.argv[3])
plain = train.write_torch
def slowly(*arguments):
    plain(*arguments)
    time.sleep(slow)
train.write_torch = slowly
train.train(Cell("v", "B"), 0, sizes, load_digits("digits", torch.device("cpu"))["train"], path)
"""


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits("digits", torch.device("cpu"))["train"]


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(torch.equal(value, b[key]) for key, value in a.items())


# training


@pytest.mark.parametrize("method", ["byol", "v", "s"])
def test_an_interrupted_run_goes_on_to_the_same_weights(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(train, "INTERVAL_S", 0.0)  # a checkpoint at every step
    cell, path = Cell(method, "B"), tmp_path / "run.ckpt"
    whole, _ = train.train(cell, 0, SIZES, digits, tmp_path / "whole.ckpt")
    forward, calls = WorldModel.forward, itertools.count()

    def dies(self: WorldModel, *args: Any, **kwargs: Any) -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(WorldModel, "forward", dies)
    with pytest.raises(KeyboardInterrupt):
        train.train(cell, 0, SIZES, digits, path)
    assert torch.load(path, weights_only=True)["step"] == 3
    again, seconds = train.train(cell, 0, SIZES, digits, path)
    assert same(whole.state_dict(), again.state_dict())
    finished, spent = train.train(cell, 0, SIZES, digits, path)  # nothing is left to do
    assert same(whole.state_dict(), finished.state_dict())
    assert spent == pytest.approx(seconds, abs=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_process_goes_on_to_the_same_weights(digits: Digits, tmp_path: Path) -> None:
    worker, path = tmp_path / "worker.py", tmp_path / "killed.ckpt"
    worker.write_text(WORKER, encoding="utf-8")

    def command(slow: float) -> list[str]:
        return [sys.executable, str(worker), str(path), repr(SIZES), str(slow)]

    environment = {**os.environ, "PYTHONPATH": str(Path(run.__file__).parents[3])}
    process = subprocess.Popen(command(1.0), env=environment)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 1 <= torch.load(path, weights_only=True)["step"] < SIZES.steps
    subprocess.run(command(0.0), env=environment, check=True)
    whole, _ = train.train(V, 0, SIZES, digits, tmp_path / "whole.ckpt")
    assert same(whole.state_dict(), torch.load(path, weights_only=True)["model"])


def test_seeds_and_cells_differ_and_methods_see_the_same_clips(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    forward = WorldModel.forward

    def keeps(self: WorldModel, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        seen.append(x)
        return forward(self, x, *args, **kwargs)

    monkeypatch.setattr(WorldModel, "forward", keeps)
    short = SIZES._replace(steps=2)
    runs = [(Cell("v", "B"), 0), (Cell("byol", "B"), 0), (Cell("v", "B"), 1)]
    for cell, seed in runs:
        train.train(cell, seed, short, digits, tmp_path / f"{cell.name}-{seed}.ckpt")
    v, byol, other = (torch.stack(seen[place : place + 2]) for place in (0, 2, 4))
    assert torch.equal(v, byol)
    assert not torch.allclose(v, other)
    assert not torch.allclose(v[0], v[1])


def test_a_checkpoint_of_another_run_or_none(digits: Digits, tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    train.train(V, 0, SIZES._replace(steps=1), digits, path)
    for seed, sizes, named in (
        (1, SIZES._replace(steps=1), "seed 0 in place of 1"),
        (0, SIZES, "steps 1 in place of 6"),
    ):
        with pytest.raises(CheckpointError, match=rf"another run: {named}.*Remove"):
            train.train(V, seed, sizes, digits, path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"cannot be read.*Remove"):
        train.train(V, 0, SIZES, digits, path)


def test_a_loss_that_is_not_finite_leaves_the_checkpoint(
    digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.ckpt"
    monkeypatch.setattr(train, "INTERVAL_S", 0.0)
    forward = WorldModel.forward

    def breaks(self: WorldModel, *args: Any, **kwargs: Any) -> Any:
        loss, drawn = forward(self, *args, **kwargs)
        return (loss * float("nan") if path.exists() else loss), drawn

    monkeypatch.setattr(WorldModel, "forward", breaks)
    with pytest.raises(LossError, match=r"v-B, step 2: the loss is nan, and .* not finite.*kept"):
        train.train(V, 0, SIZES, digits, path)
    state = torch.load(path, weights_only=True)
    assert state["step"] == 1
    assert all(value.isfinite().all() for value in state["model"].values())


# the stage


def test_names_go_both_ways() -> None:
    assert all(Cell.parse(cell.name) == cell for cell in grid())
    assert [cell.name for cell in grid()] == ["byol-A", "v-A", "s-A", "byol-B", "v-B", "s-B"]
    for name in ("v", "v-C", "gt-A", "v-A-0", ""):
        with pytest.raises(ConfigError, match=rf"'{name}' of profile 'debug'.*--cell METHOD"):
            run.main("debug", name, 0)
    with pytest.raises(ConfigError, match="no profile 'huge'"):
        run.main("huge", "v-A", 0)


def test_the_paper_profile_is_the_papers() -> None:
    sizes = PROFILES["paper"]
    assert sizes.widths == (32, 64, 128, 128, 256)
    assert (sizes.hidden, sizes.dim, sizes.latent_dim, sizes.steps, sizes.batch) == (1024, 128, 2, 75_000, 128)
    assert (sizes.learning_rate, sizes.weight_decay, sizes.momentum, sizes.beta) == (1e-4, 1e-4, 0.996, 0.001)


def test_from_run_to_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(PROFILES, "debug", SIZES._replace(steps=2, fit=64, choose=32, test=32, queries=24))
    for name in ("byol-A", "v-A", "s-B"):
        run.main("debug", name, 1)
    content = json.loads(result("debug", Cell("v", "A"), 1).read_text(encoding="utf-8"))
    assert (content["method"], content["setting"], content["seed"], content["steps"]) == ("v", "A", 1, 2)
    assert set(content) >= {*Sizes._fields, "paper", "profile", "wall_s", "hardware", "versions", "commit", "command"}
    assert set(content["metrics"]) == {"backbone", "projector", "latent", "energy", "readout"}
    assert content["clips_per_s"] > 0
    assert not checkpoint("debug", Cell("v", "A"), 1).exists()
    tables.main("debug")
    for suffix in (".md", ".json", ".png"):
        assert table("debug", suffix).stat().st_size > 500


# table and figure


def made(cell: Cell, seed: int, digit: float) -> dict[str, Any]:
    readings = {"digit": digit, "position": 0.9, "velocity_x": 0.8, "velocity_y": 0.7, "acceleration": 0.4}
    energy = {"law": 0.61, "unchanged": 0.8, **({} if cell.method == "s" else {"prior": 0.7, "mean": 0.9})}
    return {
        **cell._asdict(),
        "seed": seed,
        **Sizes()._asdict(),
        "metrics": {
            "backbone": readings,
            "projector": {**readings, "digit": digit - 0.1},
            "latent": {"predicted": 0.5, **({} if cell.method == "byol" else {"r": 0.3})},
            "energy": energy,
            "readout": {"velocity": 0.95},
        },
        "loss": {"posterior": 0.1, "prior": 0.4} if cell.method == "v" else {"posterior": 0.2},
        "monitor": {"kl": 5.5} if cell.method == "v" else {"expected_l0": 1.2} if cell.method == "s" else {},
        "untrained": {"backbone": {**readings, "digit": 0.3 + seed / 10}, "projector": readings},
        "train_s": 100.0,
        "hardware": "a machine",
        "commit": "abc",
    }


def written() -> None:
    for cell, scores in {Cell("v", "A"): [0.8, 0.9], Cell("byol", "A"): [0.6], Cell("s", "B"): [0.7]}.items():
        for seed, digit in enumerate(scores):
            path = result("paper", cell, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(made(cell, seed, digit)), encoding="utf-8")
            Image.new("RGB", (402 if cell.method == "v" else 102, 302), "white").save(path.with_suffix(".png"))


def test_summary_and_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written()
    cells = read_runs(folder("paper"))
    assert list(cells) == [Cell("byol", "A"), Cell("v", "A"), Cell("s", "B")]
    assert values(cells[Cell("v", "A")], "backbone_digit") == [0.8, 0.9]
    assert values(cells[Cell("s", "B")], "energy") == []
    summary = tables.summarise(cells)
    assert summary["cells"]["v-A"]["projector_digit"] == {"mean": 0.75, "std": 0.07, "seeds": 2}
    assert set(summary["cells"]["v-A"]) <= set(READINGS)
    text = tables.markdown("paper", cells, tables.load_claims())
    assert "| AdaSSL-V | A | 0.85 ± 0.07 | 0.75 ± 0.07 | 0.90 ± 0.00 |" in text
    assert "| untrained | A | 0.35 ± 0.07 |" in text
    assert "| BYOL | A | digit, backbone | 0.60 | .851 |" in text
    assert "| AdaSSL-V | A | KL, nats | 5.50 ± 0.00 | 5.87 ± .47 |" in text
    assert "| AdaSSL-S | B |" in text
    assert "The learning rate is one for all methods" not in text
    assert "The learning rate is one for all methods" in tables.markdown("cpu", cells, tables.load_claims())


def test_the_figure_of_some_cells_and_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written()
    cells = read_runs(folder("paper"))
    for shown in (cells, {Cell("s", "B"): cells[Cell("s", "B")]}):
        draw(tmp_path / "figure.png", "paper", shown)
        with Image.open(tmp_path / "figure.png") as drawn:
            drawn.load()
            assert min(drawn.size) > 300


def test_claims_name_cells_readings_and_where_they_are_from() -> None:
    names = {cell.name for cell in grid()}
    for claim in tables.load_claims()["numbers"]:
        assert claim["text"]
        assert claim["provenance"]
        assert set(claim["cells"]) <= names
        assert {reading for theirs in claim["cells"].values() for reading in theirs} <= set(READINGS)
