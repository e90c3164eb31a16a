"""What `adassl_*` cannot train on, given to `pal train`: it says what is wrong, where, and what mends it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer

import pal_plugin.train
from pal_plugin.cli import main
from pal_plugin.host import load_checkpoint

SMALL = [
    "profile=debug",
    "data.subset=32",
    "optimizer.batch_size=16",
    "validation.enabled=false",
    "backbone.stem=no_maxpool",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
    "method_kwargs.latent_dim=4",
    "method_kwargs.latent_hidden_dims=[16]",
    "method_kwargs.editor_hidden_dims=[16]",
    "graph=labels",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def pal_train(method: str, *overrides: str) -> int:
    return main(["train", "--config-name", f"adassl_{method}", *SMALL, *overrides, "run_dir=run"])


@pytest.mark.parametrize(
    ("method", "overrides", "said"),
    [
        ("simclr", ["graph=none"], ["no graph to draw them from", "graph=knn", "graph=pairs graph.pairs=FILE"]),
        ("simclr", ["graph=pairs"], ["needs graph.pairs", "Add graph.pairs=…"]),
        (
            "byol",
            ["graph=pairs", "graph.pairs=pairs.csv"],
            ["pairs.csv names ids", "32 samples", "'nobody' (row 2)", "Correct them"],
        ),
        (
            "simclr",
            ["method_kwargs.editor=add"],
            ["embeddings' size 8, and latent_dim is 4", "Set method_kwargs.latent_dim=8", "method_kwargs.editor=mlp"],
        ),
        (
            "byol",
            ["augmentation=multicrop", "small_crop_size=4"],
            ["adassl_byol", "small crops", "Set augmentation=strong_simclr"],
        ),
        ("vicreg", ["augmentations.0.num_crops=3"], ["the augmentations make 3", "num_crops add up to 2"]),
        ("simclr", ["optimizer.batch_size=1"], ["optimizer.batch_size is 1", "Set optimizer.batch_size to 2"]),
        ("byol", ["optimizer.batch_size=1", "method_kwargs.variant=vanilla"], ["optimizer.batch_size is 1"]),
        ("simclr", ["optimizer.batch_size=33"], ["32 samples, too few for batches of 33", "at most 32"]),
    ],
)
def test_refused(method: str, overrides: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    first, second = pal_plugin.train.dataset_from_config({"dataset": "digits", "subset": 32}, "train").ids[:2]
    Path("pairs.csv").write_text(f"id_a,id_b\n{first},{second}\n{first},nobody\n", encoding="utf-8")
    assert pal_train(method, *overrides) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("pal: ")
    assert [part for part in said if part not in error] == []
    assert not list(Path().rglob("*.ckpt"))


def test_the_last_pair_of_an_epoch_is_left_out() -> None:
    """33 images in batches of 16: no batch of one comes last."""
    assert pal_train("byol", "data.subset=33", "max_epochs=1") == 0
    assert load_checkpoint("run/last.ckpt")["global_step"] == 2


class Poison(Callback):
    """Spoils the mean of r's third dimension before the fourth step."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3:
            with torch.no_grad():
                pl_module.adassl.latent.posterior_net[-1].bias[2] = torch.nan


def test_nan_in_the_kl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Step and dimension are named, the checkpoint before it stays, and from there the run ends as if nothing was."""
    assert pal_train("simclr") == 0
    whole = torch.load("run/model.ckpt", weights_only=True)["state_dict"]
    shutil.rmtree("run")
    make_trainer = pal_plugin.train.make_trainer
    with monkeypatch.context() as patch:

        def poisoned(*args: Any, **kwargs: Any) -> Trainer:
            trainer = make_trainer(*args, **kwargs)
            trainer.callbacks.append(Poison())  # type: ignore[attr-defined]
            return trainer

        patch.setattr(pal_plugin.train, "make_trainer", poisoned)
        assert pal_train("simclr") == 2
    said = capsys.readouterr().err
    assert "Step 3: The penalty of the latent r is not finite in dimension 2: nan. Lower the learning rate" in said
    assert "the last good checkpoint is run/last.ckpt; resume=auto goes on from it" in said
    checkpoint = load_checkpoint("run/last.ckpt")
    assert checkpoint["global_step"] == 2
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values() if value.is_floating_point())
    assert not Path("run/model.ckpt").exists()

    assert pal_train("simclr", "resume=auto") == 0
    resumed = torch.load("run/model.ckpt", weights_only=True)["state_dict"]
    assert [key for key, value in whole.items() if not torch.equal(value, resumed[key])] == []


def test_a_learning_rate_that_breaks_the_networks(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a KL that would show it, no checkpoint is written of what is not finite."""
    overrides = ["method_kwargs.variant=vanilla", "optimizer.lr=1e30", "gradient_clip_val=null", "max_epochs=3"]
    assert pal_train("byol", *overrides) == 2
    assert "tensors are not finite" in capsys.readouterr().err
    if Path("run/last.ckpt").exists():
        state = load_checkpoint("run/last.ckpt")["state_dict"].values()
        assert all(value.isfinite().all() for value in state if value.is_floating_point())
