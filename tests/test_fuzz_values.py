"""Files that are JSON, and checkpoints, with something else in the place of any one value: read, or a `PalError`.

What is broken otherwise, anywhere in a file's bytes, is in `test_fuzz.py`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from pal_plugin.data.digits import load_digits
from pal_plugin.data.manifest import Manifest, check_reference
from pal_plugin.errors import CheckpointError, PalError
from pal_plugin.graph import SimilarityGraph, mutual, union
from pal_plugin.host import load_backbone, load_checkpoint
from pal_plugin.host.checkpoint import make_backbone
from pal_plugin.io import write_json
from pal_plugin.oracle import Account
from pal_plugin.oracle.file import FileOracle
from pal_plugin.oracle.store import files
from pal_plugin.priors.checkpoint import CheckpointPrior
from pal_plugin.priors.store import load_features, save_features
from pal_plugin.rounds.points import RoundPoint, questions_at_begin, read_asked, read_point
from pal_plugin.rounds.settings import begin
from pal_plugin.selection import RandomSelection, Selection
from pal_plugin.sheet.graph_html import Report

IDS = tuple(f"train/{row:04d}" for row in range(20))
MANIFEST = Manifest("toy", "train", IDS, "0" * 64)
VALUES: tuple[Any, ...] = (None, 0, -1, 1.5, 10**400, "x", [], {}, [[]], True)


def changed(content: Any, values: tuple[Any, ...] = VALUES) -> Iterator[Any]:
    """Yield `content` with one value, at any depth, left out or with something of another type in its place."""
    places = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    for place in places:
        without = copy.deepcopy(content)
        del without[place]
        yield without
        for value in (*values, *changed(content[place], values)):
            other = copy.deepcopy(content)
            other[place] = value
            yield other
    if isinstance(content, dict):
        yield content | {"one more": 1}


def graph(folder: Path) -> Path:
    """A graph that was made of others, whose description has all that one can have."""
    first = SimilarityGraph.from_edges(20, range(20), np.roll(np.arange(20), 1), manifest=MANIFEST)
    mutual(union(first, mutual(first))).save(folder / "graph")
    return folder / "graph" / "graph.json"


def read_graph(file: Path) -> None:
    read = SimilarityGraph.load(file.parent)
    union(read, read), repr(read), read.digest
    sheet = Report(read, {})
    assert sheet.source
    assert sheet.nearest_first in (True, False)
    check_reference(read.manifest, MANIFEST, what="The graph")


def picks(folder: Path) -> Path:
    chosen = RandomSelection(seed=0).select(np.zeros((20, 1), dtype=np.float32), 8)
    replace(chosen, manifest=MANIFEST.reference()).save(folder / "picks.csv", ids=IDS)
    return folder / "picks.json"


def features(folder: Path) -> Path:
    save_features(folder / "features", np.ones((20, 3), dtype=np.float32), MANIFEST, {"prior": "toy"})
    return folder / "features" / "features.json"


def answers(folder: Path) -> Path:
    (folder / "a.csv").write_text(f"id_a,id_b,relation\n{IDS[0]},{IDS[1]},must-link\n{IDS[3]},{IDS[4]},cannot-link\n")
    entries = files.read(folder / "a.csv", IDS, annotator="who")
    files.write(folder / "answers.json", entries, IDS, MANIFEST.reference())
    return folder / "answers.json"


def holding(name: str, content: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_json(folder / name, content)
        return folder / name

    return make


class Json(NamedTuple):
    """A file that holds JSON.

    Attributes:
        make: writes it, and what goes with it, into a folder and returns it.
        read: reads it.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], object]


POINT = asdict(RoundPoint(Account(3, 1, 4, 5, 0, 2.5), 2, 3, cost=1.0, purity=0.9, accuracy=50.0, round=1))
ASKED = {"drawn": 3, "exhausted": False, "point": POINT}
RUN: dict[str, Any] = {"settings": {"budget": 3}, "config": None, "dataset": "0" * 64, "content": {}}
RECORD = {"format": 1, "run": RUN, "begun": {"questions": 0}}
JSON = {
    "graph": Json(graph, read_graph),
    "picks": Json(picks, lambda file: Selection.load(file.with_suffix(".csv"), MANIFEST)),
    "features": Json(features, lambda file: load_features(file.parent, MANIFEST)),
    "answers": Json(answers, lambda file: FileOracle(file, IDS)),
    "point of a round": Json(holding("point.json", POINT), read_point),
    "what a round asked": Json(holding("asked.json", ASKED), read_asked),
    "record of rounds": Json(
        holding("run.json", RECORD), lambda file: questions_at_begin(begin(file.parent, RUN, {}), file)
    ),
}


@pytest.mark.parametrize("name", JSON)
def test_any_value_of_a_json_file_is_read_or_named(name: str, tmp_path: Path) -> None:
    file = JSON[name].make(tmp_path)
    JSON[name].read(file)
    refused = 0
    for content in changed(json.loads(file.read_text())):
        file.write_text(json.dumps(content))
        try:
            JSON[name].read(file)
        except PalError:
            refused += 1
    assert refused


CHECKPOINT: dict[str, Any] = {
    "method": "simclr",
    "backbone": {"name": "resnet18", "stem": "cifar", "kwargs": {}},
    "data": {"dataset": "digits", "num_classes": 10},
    "augmentations": [{"crop_size": 8, "num_crops": 2}],
    "optimizer": {"name": "sgd"},
    "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Every weight is 0: of such tensors a file holds one number each."""
    network = make_backbone(OmegaConf.create(CHECKPOINT))
    zero = torch.zeros(1)
    return {
        f"backbone.{key}": zero.to(value.dtype).expand(value.shape) if value.ndim else value
        for key, value in network.state_dict().items()
    }


@pytest.mark.slow
def test_any_value_of_a_checkpoints_config_is_read_or_named(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    file, digits = tmp_path / "model.ckpt", load_digits("test").subset(2, 0)
    read: list[Any] = []
    refused = 0
    for config in (CHECKPOINT, *changed(CHECKPOINT, (None, -1, "x", {})), *VALUES):
        torch.save({"state_dict": weights, "config": config}, file)
        try:
            prior = CheckpointPrior(str(file), device="cpu", precision="float32").fitted(digits)
            assert np.isfinite(prior.embed(digits.images[:])).all(), config
            read.append(config)
        except PalError:
            refused += 1
    assert CHECKPOINT in read
    assert refused > len(read) / 2


@pytest.mark.parametrize(
    "state", [{1: torch.zeros(2)}, {"backbone.conv1.weight": "b"}, {"backbone.conv1.weight": None}]
)
def test_a_state_that_is_none_is_named(state: dict[Any, Any], tmp_path: Path) -> None:
    torch.save({"state_dict": state}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        load_backbone(tmp_path / "last.ckpt")


@pytest.mark.parametrize("where", ["backbone.name", "data.dataset", "method", "seed"])
def test_a_checkpoint_does_not_read_the_environment(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THIS_TEST", "resnet18")
    config = OmegaConf.to_container(
        OmegaConf.merge(CHECKPOINT, OmegaConf.from_dotlist([f"{where}=${{oc.env:SECRET_OF_THIS_TEST}}"]))
    )
    torch.save({"state_dict": {}, "config": config}, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"last\.ckpt has an interpolation \('\$\{oc\.env:SECRET"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.slow
def test_what_lies_beside_a_checkpoint_is_read_or_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {"backbone.conv1.weight": torch.zeros(64, 3, 3, 3)}}, tmp_path / "last.ckpt")
    whole = {"encoder": "resnet18", "dataset": "cifar10", "crop_size": [32], "backbone_args": {"cifar": True}}
    texts = [
        json.dumps(content) for content in (*changed(whole, (None, -1, [])), whole | {"encoder": "${oc.env:HOME}"})
    ]
    for text in (*texts, "[" * 100_000, '{"backbone": {"name": 5}}', '{"backbone": 5, "data": 5}'):
        (tmp_path / "args.json").write_text(text)
        with pytest.raises(PalError):  # of the weights most are missing, where it comes to that
            load_backbone(tmp_path / "last.ckpt")
