"""Training from nothing on labelled images: networks, augmentation by hand, resume after a kill, bad input."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pal_plugin.data import ImageDataset, load_digits
from pal_plugin.errors import CheckpointError, ConfigError, DataError
from pal_plugin.evaluation.supervised import (
    PROTOCOLS,
    Protocol,
    WideResNet,
    features_by_labels,
    make_classifier,
    train_on_labels,
)
from pal_plugin.evaluation.supervised.batches import LabelledBatches, holes, shifted
from pal_plugin.evaluation.supervised.training import LAST

SHORT = Protocol("wrn-10-1", epochs=8, batch_size=16, dropout=0.3, padding=1, hole=2)

PROGRAM = """
import json, sys
from pathlib import Path
from pal_plugin.data import load_digits
from pal_plugin.evaluation.supervised import Protocol, train_on_labels
short = Protocol("wrn-10-1", epochs=8, batch_size=16, dropout=0.3, padding=1, hole=2)
train = load_digits("train").subset(300, 0)
print(json.dumps(train_on_labels(train, load_digits("test"), short, seed=1, folder=Path(sys.argv[1]), device="cpu")))
"""


def test_networks_have_the_papers_sizes() -> None:
    def size(network: torch.nn.Module) -> int:
        return sum(parameter.numel() for parameter in network.parameters())

    with torch.device("meta"):
        assert size(WideResNet(28, 10, 10)) == 36_479_194  # 36.5 M in arXiv 1605.07146, table 4
        assert size(WideResNet(16, 8, 10)) == 10_961_370  # 11.0 M
        assert size(WideResNet(40, 4, 10)) == 8_949_210  # 8.9 M
        scores = make_classifier("resnet18", 7)(torch.zeros(2, 3, 32, 32))
    assert scores.shape == (2, 7)
    network = make_classifier("wrn-16-1", 10).eval()
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 64, 8, 8)


@pytest.mark.parametrize("name", ["wrn-27-10", "wrn-4-1", "wrn-10-0", "vgg"])
def test_networks_that_there_are_not(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no"):
        make_classifier(name, 10)
    with pytest.raises(ConfigError, match="dropout"):
        make_classifier("resnet18", 10, dropout=0.3)


def test_windows_and_holes_by_loops() -> None:
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.integers(1, 256, (5, 6, 6, 3), dtype=np.uint8))
    corners = generator.integers(0, 5, (5, 2))
    found = shifted(images, corners, 2)
    for number, (top, left) in enumerate(corners.tolist()):
        for row in range(6):
            for column in range(6):
                y, x = row + top - 2, column + left - 2
                inside = 0 <= y < 6 and 0 <= x < 6
                expected = images[number, y, x].tolist() if inside else [0, 0, 0]
                assert found[number, row, column].tolist() == expected
    centres = np.array([[0, 0], [5, 3], [2, 5]])
    for hole in (1, 2, 3):
        for (y, x), mask in zip(centres, holes(centres, 6, hole), strict=True):
            expected_mask = np.zeros((6, 6), bool)
            low = np.maximum(np.array([y, x]) - hole // 2, 0)
            high = np.array([y, x]) - hole // 2 + hole
            expected_mask[low[0] : high[0], low[1] : high[1]] = True
            np.testing.assert_array_equal(mask, expected_mask)


def test_an_epoch_shows_every_image_once_and_is_a_function_of_seed_and_epoch() -> None:
    digits = load_digits("train").subset(129, 0)
    batches = LabelledBatches(digits, 64, seed=3, padding=0, hole=0)
    first = list(batches)
    assert [len(labels) for _, labels in first] == [64, 65]  # the image that is left over joins the last batch
    assert len(batches) == 2
    assert torch.cat([labels for _, labels in first]).bincount().tolist() == np.bincount(digits.labels).tolist()
    again = list(LabelledBatches(digits, 64, seed=3, padding=0, hole=0))
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(first, again, strict=True))
    batches.set_epoch(1)
    assert not torch.equal(next(iter(batches))[0], first[0][0])
    whole = LabelledBatches(digits, 200, seed=3, padding=1, hole=4)
    (shown, _), *rest = list(whole)
    assert not rest
    covered = (shown == 0).all(dim=1).flatten(1).sum(1)
    assert (covered >= 4).all()  # a corner of the hole at the least; CutOut's centre may be at an edge
    assert covered.max() >= 16


def test_training_learns_and_is_exact_after_a_kill(tmp_path: Path) -> None:
    def start(folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            text=True,
            stdout=subprocess.PIPE,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    whole, killed = start(tmp_path / "whole"), start(tmp_path / "killed")
    checkpoint, deadline = tmp_path / "killed" / LAST, time.monotonic() + 300
    while not checkpoint.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    done = torch.load(checkpoint, weights_only=True)["epoch"] + 1
    assert done < SHORT.epochs, "killed too late to show anything"
    told, resumed = (json.loads(run.communicate()[0].splitlines()[-1]) for run in (whole, start(tmp_path / "killed")))
    assert resumed["top1"] == told["top1"] > 50
    assert resumed["steps"] == 8 * 19
    states = [torch.load(tmp_path / name / LAST, weights_only=True)["state_dict"] for name in ("whole", "killed")]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", ["wrn-10-1", "resnet18"])
def test_what_the_last_layer_reads(name: str, tmp_path: Path) -> None:
    train, pool = load_digits("train").subset(32, 0), load_digits("test").subset(20, 0)
    how = dataclasses.replace(SHORT, network=name, epochs=1, dropout=0.0)
    first = train_on_labels(train, pool, how, seed=1, folder=tmp_path, device="cpu")
    found = features_by_labels(train, pool, how, seed=1, folder=tmp_path, device="cpu")
    state = torch.load(tmp_path / LAST, weights_only=True)["state_dict"]
    head = "head" if name == "wrn-10-1" else "fc"
    weight, bias = (state[f"network.{head}.{part}"] for part in ("weight", "bias"))
    scores = torch.from_numpy(found) @ weight.T + bias
    hits = (scores.argmax(dim=1).numpy() == pool.labels).mean()
    assert first["top1"] == pytest.approx(100 * hits, abs=100 / 20)  # features may be in bfloat16: one may change sides
    assert first["images"] == 32


def test_bad_input(tmp_path: Path) -> None:
    train, test = load_digits("train").subset(40, 0), load_digits("test").subset(20, 0)
    one_epoch = dataclasses.replace(SHORT, epochs=1)

    def run(first: ImageDataset = train, second: ImageDataset = test, **change: object) -> object:
        protocol = dataclasses.replace(one_epoch, **change)  # type: ignore[arg-type]
        return train_on_labels(first, second, protocol, seed=0, folder=tmp_path / "run", device="cpu")

    unlabelled = dataclasses.replace(train, labels=np.full(40, -1))
    for data, said in ((train.take([0]), "1 images"), (unlabelled, "40 of them without a label")):
        with pytest.raises(DataError, match=said):
            run(data)
    with pytest.raises(DataError, match="20 test images have no label"):
        run(second=dataclasses.replace(test, labels=np.full(20, -1)))
    wide = dataclasses.replace(train, images=np.zeros((40, 8, 9, 3), np.uint8))
    with pytest.raises(DataError, match="not squares"):
        run(wide)
    with pytest.raises(CheckpointError, match="of another run: epochs 1 in place of 2"):
        run(epochs=2)
    corrected = dataclasses.replace(train, labels=(train.labels + 1) % 10)  # by which a manifest does not change
    with pytest.raises(CheckpointError, match="of another run: labels"):
        run(corrected)
    (tmp_path / "run" / LAST).write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run()
    for change in ({"epochs": 0}, {"batch_size": 1}, {"hole": -1}, {"learning_rate": 0.0}, {"schedule": "linear"}):
        with pytest.raises(ConfigError):
            run(**change)


def test_protocols_are_those_of_their_papers() -> None:
    cutout, few = PROTOCOLS["cutout"], PROTOCOLS["low_budget"]
    assert (cutout.network, cutout.epochs, cutout.batch_size, cutout.learning_rate) == ("wrn-28-10", 200, 128, 0.1)
    assert (cutout.hole, cutout.weight_decay, cutout.schedule) == (16, 5e-4, "step")
    assert (few.network, few.batch_size, few.learning_rate, few.schedule) == ("resnet18", 100, 0.025, "cosine")
