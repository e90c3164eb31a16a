"""A killed run goes on exactly: every weight, teacher weight, τ, queue, prototype and optimiser state."""

from __future__ import annotations

import json
import runpy
import shutil
import signal
from collections.abc import Callable
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pal_plugin.errors import CheckpointError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import load_checkpoint
from pal_plugin.launch import compose
from pal_plugin.train import train

WholeRuns = Callable[[str], dict[str, Any]]
SCRIPT = Path(__file__).with_name("train_process.py")
SMALL = [
    "profile=debug",
    "data.subset=32",
    "optimizer.batch_size=8",
    "max_epochs=3",
    "optimizer.lr=6.4",
    "validation.enabled=false",
    "method_kwargs.proj_hidden_dim=32",
    "method_kwargs.proj_output_dim=16",
]
LATENT = [
    "optimizer.lr=0.03",  # of AdamW
    "method_kwargs.latent_dim=4",
    "method_kwargs.latent_hidden_dims=[16]",
    "method_kwargs.editor_hidden_dims=[16]",
]
METHODS = {
    "simclr": [],
    "byol": ["method_kwargs.pred_hidden_dim=32", "momentum.base_tau=0.9", "momentum.classifier=true"],
    "mocov2plus": ["method_kwargs.queue_size=32", "momentum.base_tau=0.9"],
    "nnclr": ["method_kwargs.pred_hidden_dim=32", "method_kwargs.queue_size=32"],
    "swav": [
        "method_kwargs.queue_size=32",
        "method_kwargs.num_prototypes=10",
        "method_kwargs.epoch_queue_starts=0",
        "method_kwargs.freeze_prototypes_epochs=0",
    ],
    "dino": ["method_kwargs.num_prototypes=20", "momentum.base_tau=0.9"],
    "deepclusterv2": ["method_kwargs.num_prototypes=[6,6]"],
    "gps_simclr": ["graph.refresh_every_n_epochs=1"],
    "gps_byol": ["method_kwargs.pred_hidden_dim=32", "momentum.base_tau=0.9"],
    "pal_byol": [
        "method_kwargs.pred_hidden_dim=32",
        "momentum.base_tau=0.9",
        "graph.relations=0.2",
        "method_kwargs.importance=true",
    ],
    "adassl_simclr": [*LATENT, "method_kwargs.variant=s", "method_kwargs.reg_beta_warmup_steps=10"],
    # β follows the KL of each step's two micro-batches, and has begun to before the first epoch ends
    "adassl_byol": [
        *LATENT,
        "method_kwargs.pred_hidden_dim=32",
        "momentum.base_tau=0.9",
        "accumulate_grad_batches=2",
        "method_kwargs.reg_kl_target=2.0",
        "method_kwargs.reg_beta_warmup_steps=1",
    ],
}


class Runs:
    """Runs of one config in folders of one test, each in its own process."""

    def __init__(self, context: ForkServerContext, folder: Path, config: str, overrides: list[str]) -> None:
        self.context, self.folder, self.config, self.overrides = context, folder, config, overrides

    def __call__(self, name: str, *, batch: int | None = None, save: int | None = None, resume: bool = False) -> int:
        overrides = [*SMALL, *self.overrides, f"run_dir={self.folder / name}", *(["resume=auto"] if resume else [])]
        arguments = {"config": self.config, "overrides": overrides, "kill_at_batch": batch, "kill_in_save": save}
        process = self.context.Process(target=runpy.run_path, args=(str(SCRIPT), {"ARGS": arguments}))
        process.start()
        process.join(120)
        assert process.exitcode is not None
        return process.exitcode

    def state(self, name: str) -> dict[str, Any]:
        checkpoint = load_checkpoint(self.folder / name / "last.ckpt")
        kept = (
            "state_dict",
            "optimizer_states",
            "lr_schedulers",
            "pal_state",
            "global_step",
            "epoch",
            "cursor",
            "PairData",
        )
        metrics = json.loads((self.folder / name / "metrics.json").read_text())
        return {key: checkpoint.get(key) for key in kept} | {
            "tau": metrics.get("tau"),
            "loss": metrics["train_class_loss"],
        }


@pytest.fixture
def runs(processes: ForkServerContext, tmp_path: Path, request: pytest.FixtureRequest) -> Runs:
    return Runs(processes, tmp_path, request.param, METHODS[request.param])


@pytest.fixture(scope="module")
def whole_runs(processes: ForkServerContext, tmp_path_factory: pytest.TempPathFactory) -> WholeRuns:
    """The end of a run that nobody kills, by its config: one for all tests, without checkpoints within an epoch."""

    @cache
    def trained(config: str) -> Runs:
        runs = Runs(processes, tmp_path_factory.mktemp("whole"), config, METHODS[config])
        assert runs(config) == 0
        return runs

    return lambda config: trained(config).state(config)  # read anew: all of them in memory would be gigabytes


def assert_equal(left: Any, right: Any, where: str = "") -> None:
    if isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_equal(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right), where
        for position, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_equal(a, b, f"{where}[{position}]")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), f"{where} differs by {(left.double() - right.double()).abs().max()}"
    else:
        assert left == right, where


@pytest.mark.slow
@pytest.mark.parametrize("runs", METHODS, indirect=True)
def test_killed_in_the_middle_of_an_epoch(runs: Runs, whole_runs: WholeRuns) -> None:
    assert runs("killed", batch=6) == -signal.SIGKILL  # epoch 2 of 3, batch 3 of 4
    assert load_checkpoint(runs.folder / "killed" / "last.ckpt")["cursor"] == (1, 0)
    assert runs("killed", resume=True) == 0
    assert_equal(whole_runs(runs.config), runs.state("killed"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "runs", ["byol", "swav", "deepclusterv2", "dino", "gps_simclr", "pal_byol", "adassl_simclr"], indirect=True
)
def test_checkpoints_within_an_epoch(runs: Runs, whole_runs: WholeRuns) -> None:
    runs.overrides = [*runs.overrides, "checkpoint.every_n_steps=2"]
    assert runs("killed", batch=7) == -signal.SIGKILL  # a batch later
    assert load_checkpoint(runs.folder / "killed" / "last.ckpt")["cursor"] == (1, 2)
    assert runs("killed", resume=True) == 0
    whole, killed = whole_runs(runs.config), runs.state("killed")
    killed["loss"] = whole["loss"]  # the epoch's mean is over the batches since the restart
    assert_equal(whole, killed)


@pytest.mark.slow
@pytest.mark.parametrize("runs", ["byol"], indirect=True)
def test_killed_while_a_checkpoint_is_written(runs: Runs, whole_runs: WholeRuns) -> None:
    assert runs("killed", save=1) == -signal.SIGKILL  # in the middle of the second checkpoint
    assert load_checkpoint(runs.folder / "killed" / "last.ckpt")["cursor"] == (1, 0)
    assert runs("killed", resume=True) == 0
    assert_equal(whole_runs(runs.config), runs.state("killed"))


ON_TWO_RANKS = ["data.subset=64", "devices=2", "strategy=ddp"]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["swav", "deepclusterv2"])
def test_every_rank_keeps_a_memory_of_its_own(
    method: str, run_ranks: Callable[..., list[int | None]], tmp_path: Path
) -> None:
    """Also after both processes were killed."""

    def run(name: str, kill_at_batch: int | None, *more: str) -> list[int | None]:
        overrides = [*SMALL, *METHODS[method], *ON_TWO_RANKS, f"run_dir={tmp_path / name}", *more]
        arguments = {"config": method, "overrides": overrides, "kill_at_batch": kill_at_batch, "kill_in_save": None}
        return run_ranks(SCRIPT, arguments)

    assert run("whole", None) == [0, 0]
    assert 0 not in run("killed", 6)  # of 4 batches an epoch
    assert run("killed", None, "resume=auto") == [0, 0]
    whole, killed = (load_checkpoint(tmp_path / name / "last.ckpt") for name in ("whole", "killed"))
    assert killed["cursor"] == (3, 0)
    for key in ("state_dict", "optimizer_states"):
        assert_equal(whole[key], killed[key], key)
    late = whole["pal_state"]["late"]
    assert_equal(late, killed["pal_state"]["late"], "late")
    if method == "swav":
        rows = torch.cat([queue[0] for queue in late["queue"]])
        assert len(rows.unique(dim=0)) == len(rows) == 32
    else:
        assert sorted(torch.cat(late["local_memory_index"]).tolist()) == list(range(64))
        assert (late["assignments"][0] >= 0).all()  # every sample has a cluster


@pytest.mark.slow
@pytest.mark.parametrize("runs", ["swav"], indirect=True)
def test_memories_of_another_number_of_processes(runs: Runs, whole_runs: WholeRuns, tmp_path: Path) -> None:
    assert runs("run", batch=6) == -signal.SIGKILL
    last = tmp_path / "run" / "last.ckpt"
    checkpoint = load_checkpoint(last)
    late = checkpoint["pal_state"]["late"]
    (queue,) = late["queue"]
    late["queue"] = [queue, queue]
    torch.save(checkpoint, last)
    overrides = [*SMALL, *METHODS["swav"], f"run_dir={tmp_path / 'run'}", f"resume={last}"]
    with pytest.raises(CheckpointError, match=r"each of 2 processes kept for swav, and this run has 1"):
        train(compose("swav", overrides))
    late["queue"] = queue  # as it was written before there was one for each
    torch.save(checkpoint, last)
    train(compose("swav", overrides))
    assert_equal(whole_runs("swav"), runs.state("run"))


def test_another_run_is_not_resumed(tmp_path: Path) -> None:
    small = [*SMALL, "max_epochs=1", f"run_dir={tmp_path / 'a'}"]
    train(compose("simclr", [*small, "seed=0"]))
    last = tmp_path / "a" / "last.ckpt"
    with pytest.raises(CheckpointError, match="seed: 0 → 1"):
        train(compose("simclr", [*small, "seed=1", f"resume={last}"]))
    before = last.read_bytes()
    metrics = train(compose("simclr", [*small, "seed=1"]))  # no resume: a folder of its own
    assert Path(metrics["run_dir"]).name == "a-2"
    assert last.read_bytes() == before


def test_a_run_on_another_graph_is_not_resumed(tmp_path: Path) -> None:
    """The graph's path says nothing of its edges: a run is not gone on with when they have changed."""
    graph = tmp_path / "graph"
    small = [*SMALL, "max_epochs=1", "graph=file", f"graph.path={graph}", f"run_dir={tmp_path / 'run'}"]
    SimilarityGraph.from_edges(32, range(32), np.arange(32)[::-1]).save(graph)
    train(compose("gps_simclr", small))
    resume = f"resume={tmp_path / 'run' / 'last.ckpt'}"
    assert train(compose("gps_simclr", [*small, resume]))["steps"] == 4  # finished: nothing is left to do
    shutil.copytree(graph, tmp_path / "moved")
    assert train(compose("gps_simclr", [*small, resume, f"graph.path={tmp_path / 'moved'}"]))["steps"] == 4
    SimilarityGraph.from_edges(32, range(32), np.roll(np.arange(32), 1)).save(graph)
    with pytest.raises(CheckpointError, match="belongs to another run: graph:"):
        train(compose("gps_simclr", [*small, resume]))


def test_a_truncated_checkpoint_is_named(tmp_path: Path) -> None:
    file = tmp_path / "last.ckpt"
    torch.save({"state_dict": {"x": torch.zeros(1000)}}, file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt cannot be read"):
        load_checkpoint(file)


def test_a_checkpoint_with_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "hook": Path}, file)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt cannot be read"):
        load_checkpoint(file)
