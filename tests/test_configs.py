"""Every shipped config composes with every profile, and trains."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pal_plugin.errors import ConfigError, DeviceError, ManifestError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import METHODS, host_info, load_backbone
from pal_plugin.launch import compose, config_names, main
from pal_plugin.methods import method_names
from pal_plugin.methods.adassl import ADASSL_METHODS
from pal_plugin.methods.pal import PAL_METHODS
from pal_plugin.train import train

PROFILES = ("auto", "debug", "smoke", "cpu", "paper")
GPS = [name for name in config_names() if name.startswith("gps_")]
PAL = [name for name in config_names() if name.startswith("pal_")]
ADASSL = [name for name in config_names() if name.startswith("adassl_")]
ONE_STEP = ["profile=debug", "data.subset=128", "max_epochs=1", "validation.enabled=false"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", config_names())
def test_composes(name: str, profile: str) -> None:
    cfg = compose(name, [f"profile={profile}"])
    assert cfg.method == name
    assert cfg.profile == (profile if profile != "auto" else "paper" if torch.cuda.is_available() else "smoke")


def test_there_is_a_config_for_every_method() -> None:
    assert set(config_names()) <= set(method_names())
    hosts = set(config_names()) - set(GPS) - set(PAL) - set(ADASSL)
    assert set(PAL) == set(PAL_METHODS)
    assert set(ADASSL) == set(ADASSL_METHODS)
    assert {name for name in config_names() if name.startswith("gps_")} == {f"gps_{name}" for name in hosts}
    assert host_info().kind == "main" or hosts == set(METHODS)


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a run, which may leave 300 MB there."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", GPS)
def test_trains_in_debug(name: str, run_folder: Path) -> None:
    small = ["data.subset=128", "validation.subset=32"]
    metrics = train(compose(name, ["profile=debug", *small, f"run_dir={run_folder}"]))
    assert (metrics["steps"], metrics["epochs"], metrics["anchors_without_edges"]) == (2, 2, 0)
    assert all(value is not None for key, value in metrics.items() if "deepcluster" not in key)
    state = torch.load(run_folder / "model.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point())


@pytest.mark.parametrize("name", sorted(set(config_names()) - set(GPS)))
def test_trains_one_step(name: str, run_folder: Path) -> None:
    metrics = train(compose(name, [*ONE_STEP, f"run_dir={run_folder}"]))
    assert metrics["steps"] == 1
    assert json.loads((run_folder / "metrics.json").read_text())["steps"] == 1
    assert list(run_folder.glob("csv/version_0/metrics.csv"))
    backbone, cfg = load_backbone(run_folder / "model.ckpt")
    assert cfg.method == name
    saved = torch.load(run_folder / "model.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(saved["backbone.conv1.weight"], backbone.conv1.weight)


def test_the_papers_profile_takes_steps(tmp_path: Path) -> None:
    toy = ["data=digits", "data.subset=512", "data.num_workers=0", "default_prior=pixels"]
    short = ["max_epochs=2", "scheduler.warmup_epochs=1", "validation.enabled=false", "accelerator=cpu"]
    cfg = compose("gps_simclr", ["profile=paper", *toy, *short, f"run_dir={tmp_path}"])
    assert (cfg.optimizer.name, cfg.optimizer.batch_size, cfg.optimizer.lr) == ("lars", 256, 0.4)
    assert train(cfg)["steps"] == 4


def test_the_papers_profile_is_the_papers() -> None:
    cfg = compose("gps_simclr", ["profile=paper"])
    assert (cfg.max_epochs, cfg.scheduler.warmup_epochs, cfg.backbone.name, cfg.backbone.stem) == (
        200,
        10,
        "resnet18",
        "auto",
    )
    assert dict(cfg.optimizer.kwargs) == {"momentum": 0.9, "eta": 0.02, "clip_lr": True, "exclude_bias_n_norm": True}
    assert dict(cfg.method_kwargs) == {"proj_hidden_dim": 2048, "proj_output_dim": 256, "temperature": 0.2}
    assert not cfg.augmentations[0].rrc.enabled
    assert cfg.augmentations[0].horizontal_flip.prob == 0.5


@pytest.mark.parametrize(
    ("name", "lr", "weight_decay", "head"),
    [
        ("gps_simclr", 0.4, 1e-4, {"proj_hidden_dim": 2048, "proj_output_dim": 256, "temperature": 0.2}),
        ("gps_byol", 1.0, 1e-5, {"proj_hidden_dim": 4096, "proj_output_dim": 256, "pred_hidden_dim": 4096}),
        ("gps_barlow_twins", 0.3, 1e-4, {"proj_hidden_dim": 2048, "proj_output_dim": 2048, "scale_loss": 0.1}),
        (
            "gps_vicreg",
            0.3,
            1e-4,
            {"proj_hidden_dim": 2048, "proj_output_dim": 2048}
            | {"sim_loss_weight": 25.0, "var_loss_weight": 25.0, "cov_loss_weight": 1.0},
        ),
        (
            "gps_nnclr",
            0.4,
            1e-5,
            {"proj_hidden_dim": 2048, "pred_hidden_dim": 4096, "proj_output_dim": 256}
            | {"temperature": 0.2, "queue_size": 65536},
        ),
    ],
)
def test_the_five_methods_of_the_paper(name: str, lr: float, weight_decay: float, head: dict[str, float]) -> None:
    cfg = compose(name, ["profile=paper"])
    assert dict(cfg.method_kwargs) == head
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay, cfg.optimizer.classifier_lr) == (lr, weight_decay, 0.1)
    assert (cfg.optimizer.name, cfg.optimizer.batch_size, cfg.max_epochs) == ("lars", 256, 200)
    if name == "gps_byol":
        assert (cfg.momentum.base_tau, cfg.momentum.final_tau) == (0.99, 1.0)


@pytest.mark.parametrize("name", GPS)
def test_both_arms_differ_in_pairs_only(name: str) -> None:
    baseline, gps = compose(name.removeprefix("gps_"), ["augmentation=flip_only"]), compose(name)
    differing = {key for key in baseline if baseline[key] != gps[key]}
    assert differing <= {"method", "graph", "name", "run_dir"}


@pytest.mark.parametrize("name", sorted(set(PAL) - {"pal_spectral"}))
def test_pal_differs_from_its_host_in_the_graph_only(name: str) -> None:
    host, pal = compose(name.removeprefix("pal_")), compose(name)
    differing = {key for key in host if host[key] != pal[key]}
    assert differing == {"method", "method_kwargs", "graph", "name", "run_dir"}
    assert {key: value for key, value in pal.method_kwargs.items() if key in host.method_kwargs} == host.method_kwargs
    assert (pal.graph.builder, pal.graph.relations) == ("oracle", 0.01)


def test_the_spectral_loss_has_simclrs_settings() -> None:
    simclr, spectral = compose("simclr"), compose("pal_spectral")
    differing = {key for key in simclr if simclr[key] != spectral[key]}
    assert differing == {"method", "method_kwargs", "graph", "name", "run_dir"}
    assert simclr.method_kwargs.keys() - spectral.method_kwargs.keys() == {"temperature"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], r"No config is named.*gps_simclr"),
        (["--config-name", "gps_simlcr"], "did you mean gps_simclr"),
        (["--config-name=gps_simclr", "profile=smokee"], "did you mean smoke"),
        (["--config-name", "gps_simclr", "optimzer.lr=1"], r"no option 'optimzer.lr'.*did you mean optimizer.lr"),
        (["--config-name", "gps_simclr", "profile=debug", "method=gps_bylo"], "did you mean gps_byol"),
        (["--config-name", "gps_simclr", "profile=debug", "graph.prior=pixel"], "did you mean pixels"),
        (["--config-name", "gps_simclr", "profile=debug", "optimizer.name=lar"], "did you mean lars"),
    ],
)
def test_near_matches(arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        main(arguments)


def test_a_users_own_config_extends_ours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text("defaults: [gps_simclr, _self_]\nname: my-own\noptimizer: {lr: 7.0}\n")
    main(["--config-dir", str(tmp_path), "--config-name", "mine", "profile=debug", "--cfg", "job"])
    printed = capsys.readouterr().out
    assert "name: my-own" in printed
    assert "lr: 7.0" in printed
    assert "dataset: digits" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="accelerator=gpu was asked for"):
        train(compose("simclr", [*ONE_STEP, "accelerator=gpu", f"run_dir={tmp_path / 'run'}"]))
    assert not (tmp_path / "run").exists()


def test_a_graph_of_another_data_set(tmp_path: Path) -> None:
    other = {"name": "cifar10", "split": "train", "size": 2, "digest": "0" * 64}
    SimilarityGraph.from_edges(2, [0, 1], [1, 0], manifest=other).save(tmp_path / "graph")
    with pytest.raises(ManifestError, match="cifar10"):
        train(
            compose("gps_simclr", [*ONE_STEP, "graph=file", f"graph.path={tmp_path / 'graph'}", f"run_dir={tmp_path}"])
        )


def test_a_checkpoint_of_another_architecture(tmp_path: Path) -> None:
    from pal_plugin.errors import CheckpointError

    train(compose("simclr", [*ONE_STEP, f"run_dir={tmp_path}"]))
    model = torch.load(tmp_path / "model.ckpt", weights_only=True)
    model["config"]["backbone"]["name"] = "resnet50"
    torch.save(model, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="another architecture than its config's resnet50"):
        load_backbone(tmp_path / "other.ckpt")


def test_a_logger_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(compose("simclr", [*ONE_STEP, "logger=wandb", f"run_dir={tmp_path}"]))
    assert list(tmp_path.glob("wandb/offline-run-*"))
    assert list(tmp_path.glob("csv/version_0/metrics.csv"))  # as ever


@pytest.mark.skipif(find_spec("dvclive") is not None, reason="dvclive is installed")
def test_a_logger_that_is_not_installed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"logger=dvclive needs.*pip install 'pal-plugin\[dvclive\]'"):
        train(compose("simclr", [*ONE_STEP, "logger=dvclive", f"run_dir={tmp_path}"]))
