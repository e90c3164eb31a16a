"""Training on data sets of every kind: without labels, without a split to validate on, with classes to be asked for."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import runpy
import shutil
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.demos.boring_classes import BoringModel
from numpy.typing import NDArray
from omegaconf import OmegaConf

from pal_plugin.callbacks import AtomicCheckpointIO, Checkpoints, duration
from pal_plugin.data import ImageDataset, load_digits
from pal_plugin.data.sources import SOURCES, Source
from pal_plugin.datamodule import PairData, validation_images
from pal_plugin.errors import ConfigError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graphs import graph_of_features, make_graph
from pal_plugin.host import METHODS
from pal_plugin.launch import compose
from pal_plugin.methods import load_method
from pal_plugin.resume import set_aside
from pal_plugin.train import train, with_classes
from pal_plugin.trainer import make_trainer

SCRIPT = Path(__file__).with_name("move_process.py")
SMALL = [
    "profile=debug",
    "data.subset=32",
    "data.num_classes=null",
    "optimizer.batch_size=16",
    "max_epochs=1",
    "validation.subset=16",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
]
Offer = Callable[..., None]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Offer the digits under a name of their own, changed as the test wants, with the splits that it wants."""

    def add(name: str, splits: tuple[str, ...], labels: Callable[[Any], Any], classes: int) -> None:
        def load(split: str, _root: Path, _options: Any) -> ImageDataset:
            digits = load_digits("train" if split == "train" else "test")
            names = digits.class_names[:classes]
            return dataclasses.replace(digits, name=name, split=split, labels=labels(digits.labels), class_names=names)

        monkeypatch.setitem(SOURCES, name, Source(load, lambda _root, _options: splits))

    return add


def unlabelled(labels: Any) -> Any:
    return np.full_like(labels, -1)


@pytest.mark.parametrize("method", ["gps_simclr", "gps_byol", "gps_nnclr"])
def test_images_without_labels(method: str, offer: Offer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offer("photos", ("train",), unlabelled, 0)
    predictor = [] if method == "gps_simclr" else ["method_kwargs.pred_hidden_dim=16"]
    momentum = ["momentum.classifier=true", "++knn_eval.enabled=true"]
    overrides = [*SMALL, *predictor, *momentum, "data.dataset=photos", f"run_dir={tmp_path / 'run'}"]
    metrics = train(compose(method, overrides))
    assert "no validation: the images have no labels" in capsys.readouterr().err
    assert not {
        key for key in metrics if key.startswith(("val_", "train_acc", "train_class", "train_nn_acc", "train_mom"))
    }
    assert all(value is not None for value in metrics.values())
    saved = torch.load(tmp_path / "run" / "model.ckpt", weights_only=True)
    assert saved["config"]["data"]["num_classes"] == 1
    assert saved["state_dict"]["classifier.weight"].shape[0] == 1
    assert all(torch.isfinite(value).all() for value in saved["state_dict"].values())


def test_one_class(offer: Offer, tmp_path: Path) -> None:
    offer("one", ("train", "test"), np.zeros_like, 1)
    metrics = train(compose("gps_simclr", [*SMALL, "data.dataset=one", f"run_dir={tmp_path / 'run'}"]))
    assert metrics["val_acc1"] == 100
    assert metrics["train_class_loss"] == 0


def test_no_split_to_validate_on(offer: Offer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    offer("train_only", ("train",), lambda labels: labels, 10)
    metrics = train(compose("simclr", [*SMALL, "data.dataset=train_only", f"run_dir={tmp_path / 'run'}"]))
    assert "no validation: train_only has neither a val nor a test split" in capsys.readouterr().err
    assert "train_acc1" in metrics
    assert "val_acc1" not in metrics


def test_the_probe_is_read_on_val_where_there_is_one(offer: Offer) -> None:
    cfg = compose("simclr", ["profile=debug", "validation.subset=50"])
    dataset = load_digits("train")
    images, reason = validation_images(cfg, dataset)
    assert (images is not None and images.split, len(images or ()), reason) == ("test", 50, "")
    cfg = compose("simclr", ["profile=debug", "++data.val_fraction=0.25"])
    images, _ = validation_images(cfg, dataset)
    assert images is not None
    assert (images.split, len(images)) == ("val", round(len(dataset) * 0.25))
    assert validation_images(compose("simclr", ["validation.enabled=false"]), dataset) == (None, "")
    offer("half", ("train", "test"), unlabelled, 10)
    _, reason = validation_images(compose("simclr", ["profile=debug", "data.dataset=half"]), dataset)
    assert reason == "the test split has no labels"


def test_classes_are_asked_of_the_data_set() -> None:
    dataset = load_digits("train")
    cfg = compose("simclr", ["profile=debug", "data.num_classes=null"])
    assert with_classes(cfg, dataset).data.num_classes == 10
    assert cfg.data.num_classes is None  # the config that was handed in is left alone
    with pytest.raises(ConfigError, match=r"num_classes is 5, but digits has the label 9.*num_classes=10"):
        with_classes(compose("simclr", ["profile=debug", "data.num_classes=5"]), dataset)


def test_images_without_edges_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = np.arange(2, 32)
    SimilarityGraph.from_edges(32, nodes, nodes[::-1]).save(tmp_path / "graph")
    run = [*SMALL, "graph=file", f"graph.path={tmp_path / 'graph'}", f"run_dir={tmp_path / 'run'}"]
    with pytest.warns(RuntimeWarning, match="2 of 32 samples have no positive edge"):
        metrics = train(compose("gps_simclr", run))
    assert metrics["anchors_without_edges"] == 2
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["anchors_without_edges"] == 2
    said = capsys.readouterr().err
    assert "a graph of 30 edges" in said
    assert "paired with themselves" not in said  # the warning says it
    assert logged(tmp_path / "run", "anchors_without_edges") == [("0", "2")]


def logged(run: Path, name: str) -> list[tuple[str, str]]:
    """Return step and value wherever the run's CSV log has `name`."""
    with (run / "csv" / "version_0" / "metrics.csv").open(encoding="utf-8") as file:
        return [(row["step"], row[name]) for row in csv.DictReader(file) if row[name]]


def test_every_graph_gives_the_loggers_its_figures_once(tmp_path: Path) -> None:
    run = [*SMALL, "max_epochs=4", "graph.refresh_every_n_epochs=2", f"run_dir={tmp_path / 'run'}"]
    train(compose("gps_simclr", run))  # two steps an epoch
    assert [(step, float(value)) for step, value in logged(tmp_path / "run", "anchors_without_edges")] == [
        ("0", 0),
        ("4", 0),
    ]


def test_plain_methods_that_would_mix_up_a_pair(tmp_path: Path) -> None:
    run = [*SMALL, "graph=knn", "method_kwargs.num_prototypes=[5]", f"run_dir={tmp_path / 'run'}"]
    with pytest.raises(ConfigError, match=r"deepclusterv2 mixes up.*method=gps_deepclusterv2"):
        train(compose("deepclusterv2", run))
    if "supcon" not in METHODS:  # the release's simclr has main's supcon as an option
        run = [*SMALL, "graph=knn", "+method_kwargs.supervised=true", f"run_dir={tmp_path / 'run'}"]
        with pytest.raises(ConfigError, match=r"simclr mixes up.*method=gps_simclr"):
            train(compose("simclr", run))


def test_graphs_by_their_builder(tmp_path: Path) -> None:
    dataset = load_digits("train").subset(64, 0)

    def made(*overrides: str) -> SimilarityGraph:
        return make_graph(compose("gps_simclr", ["profile=debug", *overrides]).graph, dataset)

    k3 = made("graph.k=3")
    assert (k3.num_edges, k3.builder["name"]) == (192, "knn")
    k3.save(tmp_path / "graph")
    assert made("graph=file", f"graph.path={tmp_path / 'graph'}").digest == k3.digest
    assert made(f"graph.path={tmp_path / 'graph'}").digest == k3.digest
    labels = made("graph=labels")
    assert (dataset.labels[labels.indices] == np.repeat(dataset.labels, labels.degree)).all()
    assert made("graph=radius").builder["parameters"]["rule"] == "adaptive"
    assert made("graph=adjacent").builder["name"] == "adjacent"
    (tmp_path / "pairs.csv").write_text(f"id_a,id_b\n{dataset.ids[5]},{dataset.ids[9]}\n")
    pairs = made("graph=pairs", f"graph.pairs={tmp_path / 'pairs.csv'}")
    assert (pairs.positives(5).tolist(), pairs.positives(9).tolist(), pairs.num_edges) == ([9], [5], 2)


def test_graphs_that_cannot_be_had() -> None:
    dataset = load_digits("train").subset(64, 0)
    with pytest.raises(ConfigError, match=r"no graph.builder 'lables'.*did you mean labels"):
        make_graph(compose("gps_simclr", ["graph.builder=lables"]).graph, dataset)
    with pytest.raises(ConfigError, match="graph=file names no graph"):
        make_graph(compose("gps_simclr", ["graph=file", "graph.path=null"]).graph, dataset)


class InWorkers:
    """Photographs in memory that note in which process they are read."""

    def __init__(self, arrays: NDArray[np.uint8], readers: Path) -> None:
        self.arrays, self.readers = arrays, readers

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, rows: Any) -> Any:
        (self.readers / str(os.getpid())).touch()
        return self.arrays[rows]

    def content(self) -> str:
        return hashlib.sha256(self.arrays.tobytes()).hexdigest()

    def subset(self, rows: Any) -> InWorkers:
        return InWorkers(self.arrays[rows], self.readers)


def test_workers_read_for_every_purpose(tmp_path: Path) -> None:
    """For the graph's prior, the probe's validation and a refresh, not in training alone."""
    digits = load_digits("train").subset(16, 0)
    photos = dataclasses.replace(digits, images=InWorkers(digits.images, tmp_path / "read"))  # type: ignore[arg-type]
    cfg = compose("gps_simclr", [*SMALL, "graph.k=2", "graph.refresh_every_n_epochs=1", "data.num_workers=1"])
    data = PairData(cfg, photos, None, photos, pair_batch=True)
    data.trainer = Rank0()  # type: ignore[assignment]
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    for read in (
        lambda: make_graph(cfg.graph, photos, num_workers=cfg.data.num_workers),
        lambda: list(data.val_dataloader()),
        lambda: data.refresh(network),
    ):
        (tmp_path / "read").mkdir()
        read()
        readers = {path.name for path in (tmp_path / "read").iterdir()}
        assert readers
        assert str(os.getpid()) not in readers
        shutil.rmtree(tmp_path / "read")


class Rank0:
    """What `PairData.refresh` asks of a trainer."""

    is_global_zero = True
    strategy = type("Strategy", (), {"broadcast": staticmethod(lambda graph: graph)})


def test_the_draw_is_the_configs(tmp_path: Path) -> None:
    """With `nearest` every anchor meets its first neighbour only, as on the graph of that neighbour alone."""
    states = []
    for draw, k in (("nearest", 4), ("uniform", 1), ("furthest", 4)):
        folder = tmp_path / draw
        train(compose("gps_simclr", [*SMALL, f"graph.draw={draw}", f"graph.k={k}", f"run_dir={folder}"]))
        states.append(torch.load(folder / "model.ckpt", weights_only=True)["state_dict"]["backbone.conv1.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_nothing_stops_a_run_early(tmp_path: Path) -> None:
    """Not even labels that say it gets no better: the authors' code stops by them unless told not to."""
    folder = tmp_path / "run"
    cfg = compose("gps_simclr", [*SMALL, "max_epochs=4", "optimizer.lr=0", f"run_dir={folder}"])
    trainer = make_trainer(cfg, {}, folder, precision="32-true", validate=True, refresh_every=None)
    assert not [callback for callback in trainer.callbacks if isinstance(callback, EarlyStopping)]  # type: ignore[attr-defined]
    assert train(cfg)["epochs"] == 4


@pytest.mark.parametrize("length", ["max_epochs=1", "max_steps=1"])
@pytest.mark.parametrize("lost", [["metrics.json"], ["model.ckpt", "metrics.json"], []])
def test_a_run_that_was_killed_after_its_last_step_ends_the_same(tmp_path: Path, lost: list[str], length: str) -> None:
    run = tmp_path / "run"
    cfg = compose("gps_simclr", [*SMALL, length, "resume=auto", f"run_dir={run}"])
    whole = train(cfg)
    weights = torch.load(run / "model.ckpt", weights_only=True)["state_dict"]
    for name in lost:
        (run / name).unlink()
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    again = train(cfg)
    assert whole["train_nce_loss"] is not None
    assert {**again, "wall_s": None} == {**whole, "wall_s": None}
    assert json.loads((run / "metrics.json").read_text()).items() <= again.items()
    kept = torch.load(run / "model.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, kept[name]) for name, value in weights.items())
    assert lost or {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


def test_what_another_run_left_in_the_folder_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    cfg = compose("gps_simclr", [*SMALL, "resume=auto", f"run_dir={tmp_path / 'run'}"])
    whole = train(cfg)
    for name in ("model.ckpt", "metrics.json"):  # as of a run before this one, which was killed before it wrote its own
        (tmp_path / "run" / name).write_text("{}")
        os.utime(tmp_path / "run" / name, (0, 0))
    assert {**train(cfg), "wall_s": None} == {**whole, "wall_s": None}
    assert torch.load(tmp_path / "run" / "model.ckpt", weights_only=True)["config"]["method"] == "gps_simclr"


def test_figures_of_before_a_kill_are_in_the_metrics(tmp_path: Path) -> None:
    """Of the second epoch, after which nothing was validated any more."""
    options = [*SMALL, "max_epochs=3", "validation.every_n_epochs=2", "checkpoint.every_n_epochs=2"]
    whole = train(compose("gps_simclr", [*options, f"run_dir={tmp_path / 'whole'}"]))
    half = [*options, "resume=auto", f"run_dir={tmp_path / 'half'}"]

    def interrupt(self: Checkpoints, trainer: Trainer, *_: Any) -> None:
        if trainer.current_epoch == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(compose("gps_simclr", half))
    again = train(compose("gps_simclr", half))
    assert whole["val_acc1"] is not None
    kept = {key: value for key, value in whole.items() if key not in ("run_dir", "wall_s")}
    assert {key: again.get(key) for key in kept} == kept


def test_auto_moves_another_run_out_of_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    (tmp_path / "run-2").mkdir()  # taken
    run = [*SMALL, f"run_dir={folder}", "resume=auto"]
    train(compose("simclr", [*run, "max_epochs=2"]))
    (folder / "notes.txt").write_text("mine")
    old = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"last.ckpt", "model.ckpt", "metrics.json", "csv/version_0/metrics.csv"} <= old.keys()
    capsys.readouterr()
    assert train(compose("simclr", run))["run_dir"] == str(folder)
    aside = tmp_path / "run-3"
    assert f"{folder} held another run (max_epochs: 2 → 1), which is now in {aside}" in capsys.readouterr().err
    assert {name: (aside / name).read_bytes() for name in old if name != "notes.txt"} | {"notes.txt": b"mine"} == old
    assert (folder / "notes.txt").exists()
    assert json.loads((folder / "metrics.json").read_text())["epochs"] == 1
    assert [path.name for path in (folder / "csv").iterdir()] == ["version_0"]  # its curve is its own
    # and it can be gone on with where it is now
    assert train(compose("simclr", [*SMALL, f"run_dir={aside}", "resume=auto", "max_epochs=2"]))["epochs"] == 2
    assert not (tmp_path / "run-4").exists()


def test_a_kill_while_a_run_is_moved_loses_nothing(processes: ForkServerContext, tmp_path: Path) -> None:
    """The checkpoint goes last, so that the next attempt finds that there is something to move."""
    folder, parts = tmp_path / "run", ("metrics.json", "model.ckpt", "csv")
    for moved in range(5):
        folder.mkdir()
        (folder / "csv").mkdir()
        for name in ("last.ckpt", "model.ckpt", "metrics.json", "csv/log"):
            (folder / name).write_text(name)
        process = processes.Process(target=runpy.run_path, args=(str(SCRIPT), {"ARGS": (folder, parts, moved)}))
        process.start()
        process.join(60)
        assert process.exitcode == (-signal.SIGKILL if moved < 4 else 0)
        assert (folder / "last.ckpt").exists() == (moved < 4)
        if moved < 4:
            set_aside(folder, parts)
        kept = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert sorted(path.read_text() for path in kept) == ["csv/log", "last.ckpt", "metrics.json", "model.ckpt"]
        assert not list(folder.iterdir())
        for left in tmp_path.iterdir():
            shutil.rmtree(left)


def test_a_run_of_steps_on_known_relations_ends_with_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a batch of 16, 8 are of the epoch's order where there are 4 pairs: 4 batches an epoch of 32, and not 2."""
    nodes = np.arange(32)
    manifest = load_digits("train").subset(32, 0).manifest
    SimilarityGraph.from_edges(32, nodes, nodes ^ 1, manifest=manifest).save(tmp_path / "graph")
    run = [
        *(*SMALL, "graph=file", f"graph.path={tmp_path / 'graph'}", "method_kwargs.related_share=0.5"),
        *("max_epochs=100", "max_steps=8", "checkpoint.every_n_epochs=50", f"run_dir={tmp_path / 'run'}"),
    ]
    metrics = train(compose("pal_simclr", run))
    assert (metrics["steps"], metrics["epochs"]) == (8, 2)
    assert ", 2 epochs, " in capsys.readouterr().err
    checkpoint = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert (checkpoint["global_step"], checkpoint["config"]["max_epochs"]) == (8, 2)


@pytest.mark.parametrize(("limits", "step"), [({"max_steps": 3}, 3), ({"max_epochs": 2}, 4)])
def test_the_last_epoch_is_kept_however_a_run_ends(tmp_path: Path, limits: dict[str, int], step: int) -> None:
    keeper = Checkpoints(tmp_path, {}, every_n_epochs=10)
    options: dict[str, Any] = {"max_epochs": 100, **limits, "accelerator": "cpu", "logger": False}
    trainer = Trainer(
        **options,
        limit_train_batches=2,
        limit_val_batches=0,
        callbacks=[keeper],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(BoringModel())
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == step


@pytest.mark.parametrize("method", ["swav", "deepclusterv2"])
def test_a_method_with_a_memory_is_read_back(method: str, tmp_path: Path) -> None:
    """From both checkpoints, and from a model.ckpt that still holds what the run remembered."""
    prototypes = "5" if method == "swav" else "[5]"
    run = [*SMALL, f"method_kwargs.num_prototypes={prototypes}", f"run_dir={tmp_path / 'run'}"]
    train(compose(method, run))
    model = tmp_path / "run" / "model.ckpt"
    saved = torch.load(model, weights_only=True)
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    late = last["pal_state"]["late"]
    assert late
    assert not late.keys() & saved["state_dict"].keys()
    older = saved | {"state_dict": saved["state_dict"] | {name: value[0] for name, value in late.items()}}
    torch.save(older, tmp_path / "older.ckpt")
    for path in (model, tmp_path / "run" / "last.ckpt", tmp_path / "older.ckpt"):
        state = load_method(path)[0].state_dict()
        assert all(torch.equal(value, state[name]) for name, value in saved["state_dict"].items())


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(42.4, "42 s"), (59.6, "1 min 0 s"), (185, "3 min 5 s"), (3600, "1 h 0 min"), (7859, "2 h 10 min")],
)
def test_a_duration_as_a_person_says_it(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_builder_of_labels_builds_from_no_features() -> None:
    digits = load_digits("test")
    with pytest.raises(ConfigError, match=r"graph\.builder=labels builds from no features"):
        graph_of_features(OmegaConf.create({"builder": "labels"}), np.zeros((len(digits), 2), np.float32), digits)
