"""Every shipped config composes with every profile, and trains."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from pal_plugin.errors import ConfigError, DeviceError, ManifestError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import load_backbone
from pal_plugin.launch import compose, config_names, main
from pal_plugin.methods import method_names
from pal_plugin.train import train

PROFILES = ("auto", "debug", "smoke", "cpu", "paper")
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
    assert {"gps_simclr", "gps_byol", "simclr", "byol"} <= set(config_names())
    assert set(config_names()) <= set(method_names())


@pytest.mark.parametrize("name", config_names())
def test_trains_one_step(name: str, tmp_path: Path) -> None:
    metrics = train(compose(name, [*ONE_STEP, f"run_dir={tmp_path}"]))
    assert metrics["steps"] == 1
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == 1
    assert list(tmp_path.glob("csv/version_0/metrics.csv"))
    backbone, cfg = load_backbone(tmp_path / "model.ckpt")
    assert cfg.method == name
    saved = torch.load(tmp_path / "model.ckpt", weights_only=True)["state_dict"]
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


def test_both_arms_differ_in_pairs_only() -> None:
    baseline, gps = compose("simclr", ["augmentation=flip_only"]), compose("gps_simclr")
    differing = {key for key in baseline if baseline[key] != gps[key]}
    assert differing <= {"method", "graph", "name", "run_dir"}


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
