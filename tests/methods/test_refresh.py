"""The graph built anew from the network in training (GPS-SSL's refresh, which its authors' code got wrong)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pal_plugin.callbacks import GraphRefresh
from pal_plugin.data import ImageDataset, eval_loader
from pal_plugin.datamodule import PairData
from pal_plugin.errors import ConfigError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graphs import refresh_interval
from pal_plugin.launch import compose
from pal_plugin.train import train

Make = Callable[..., Any]
SCRIPT = Path(__file__).with_name("refresh_process.py")
SMALL = [
    "profile=debug",
    "data.subset=32",
    "optimizer.batch_size=16",
    "optimizer.lr=3.2",
    "validation.enabled=false",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
]


class Rank0:
    """What `PairData.refresh` asks of a trainer."""

    is_global_zero = True
    strategy = type("Strategy", (), {"broadcast": staticmethod(lambda graph: graph)})


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def data(digits: ImageDataset) -> PairData:
    nodes = np.arange(len(digits))
    graph = SimilarityGraph.from_edges(len(digits), nodes, np.roll(nodes, 1), manifest=digits.manifest)
    cfg = compose("gps_simclr", ["profile=debug", "graph.k=3", "graph.refresh_every_n_epochs=1"])
    module = PairData(cfg, digits, graph, None, pair_batch=True)
    module.trainer = Rank0()  # type: ignore[assignment]
    return module


def test_the_neighbours_are_those_of_the_network_and_it_is_left_as_it_was(
    data: PairData, make: Make, digits: ImageDataset
) -> None:
    backbone = make("gps_simclr").backbone.train()
    backbone.layer1.eval()  # a frozen part stays frozen
    backbone.bn1.running_mean.uniform_(-1, 1)
    modes = {name: part.training for name, part in backbone.named_modules()}
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    random = torch.get_rng_state()
    assert data.refresh(backbone) == pytest.approx(1, abs=0.2)  # hardly an edge of the ring is one of the new graph's
    after = backbone.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert {name: part.training for name, part in backbone.named_modules()} == modes
    assert all(parameter.grad is None and parameter.requires_grad for parameter in backbone.parameters())
    assert torch.equal(random, torch.get_rng_state())

    with torch.no_grad():
        x = torch.cat([images for images, _ in eval_loader(digits, 5, 8)])
        features = backbone.eval()(x).double()
    distance = torch.cdist(features, features).fill_diagonal_(torch.inf)
    assert data.graph is not None
    expected = distance.argsort(1)[:, :3]
    assert data.graph.indices.reshape(-1, 3).tolist() == expected.tolist()
    assert data.refresh(backbone) == 0  # the same network again


class Recorder:
    """The graph of every epoch of a run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.graphs: list[str] = []
        loader = PairData.train_dataloader

        def remember(data: PairData) -> Any:
            assert data.graph is not None
            self.graphs.append(data.graph.digest)
            return loader(data)

        monkeypatch.setattr(PairData, "train_dataloader", remember)


def test_it_happens_after_every_nth_epoch_from_the_first_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Recorder(monkeypatch)
    cfg = compose("gps_simclr", [*SMALL, "max_epochs=5", "graph.refresh_every_n_epochs=2", f"run_dir={tmp_path}"])
    train(cfg)
    first, second, third, fourth, fifth = seen.graphs
    assert first == second
    assert second != third
    assert third == fourth
    assert fourth != fifth
    said = capsys.readouterr().err
    assert "graph refreshed after epoch 2: " in said
    assert "graph refreshed after epoch 4: " in said


def test_it_is_off_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GraphRefresh, "on_train_epoch_end", lambda *_: pytest.fail("refreshed"))
    seen = Recorder(monkeypatch)
    train(compose("gps_simclr", [*SMALL, "max_epochs=2", f"run_dir={tmp_path}"]))
    assert len(seen.graphs) == 1


@pytest.mark.slow
def test_the_new_graph_reaches_the_workers(tmp_path: Path) -> None:
    states = []
    for workers in (0, 2):
        run = [*SMALL, "max_epochs=3", "graph.refresh_every_n_epochs=1", f"data.num_workers={workers}"]
        train(compose("gps_simclr", [*run, f"run_dir={tmp_path / str(workers)}"]))
        states.append(torch.load(tmp_path / str(workers) / "model.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def settings(folder: Path, *, fail: bool) -> dict[str, Any]:
    """What two ranks with a refreshed graph are given."""
    run = [*SMALL, "max_epochs=2", "graph.refresh_every_n_epochs=1", "devices=2", "strategy=ddp"]
    return {"overrides": [*run, "optimizer.batch_size=8"], "out": str(folder), "fail": fail}


@pytest.mark.slow
def test_two_processes_have_one_graph(run_ranks: Callable[..., list[int | None]], tmp_path: Path) -> None:
    """Their BatchNorm statistics differ, so each by itself would find other neighbours."""
    assert run_ranks(SCRIPT, settings(tmp_path, fail=False)) == [0, 0]
    first, second = (torch.load(tmp_path / f"rank.{rank}", weights_only=True) for rank in (0, 1))
    assert first["graphs"] == second["graphs"]
    assert len(set(first["graphs"])) == 2
    assert not torch.equal(first["statistics"], second["statistics"])


@pytest.mark.slow
def test_where_rank_0_fails_all_stop(run_ranks: Callable[..., list[int | None]], tmp_path: Path) -> None:
    """Each with what went wrong: the others would see a collective that breaks or times out otherwise."""
    assert run_ranks(SCRIPT, settings(tmp_path, fail=True)) == [1, 1]
    first, second = ((tmp_path / f"error.{rank}").read_text(encoding="utf-8") for rank in (0, 1))
    assert first.startswith("FeatureError: The network gives (")
    assert second.startswith(f"GraphError: Rank 0 could not refresh the graph: {first[:-1]}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["graph.refresh_every_n_epochs=0"], "refresh_every_n_epochs is 0"),
        (["graph.refresh_every_n_epochs=1", "graph.builder=labels"], "graph.builder=labels cannot be refreshed"),
        (["graph.refresh_every_n_epochs=1", "graph.builder=kn"], "did you mean knn"),
    ],
)
def test_what_cannot_be_refreshed(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        refresh_interval(compose("gps_simclr", overrides).graph)
    assert refresh_interval(compose("simclr").graph) is None
