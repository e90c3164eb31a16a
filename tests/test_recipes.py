"""AdaSSL's runs on 3DIdent, CelebA and iNat-1M: the authors' settings, and each of them trained and evaluated."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf

from pal_plugin.cli import main
from pal_plugin.data import PairComposition, RelatedSampler, eval_loader, load_dataset
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation import attribute_probes, dci, linear_r2
from pal_plugin.graph.relations import Cliques
from pal_plugin.launch import compose
from pal_plugin.length import epochs_without_pairs, with_length
from pal_plugin.methods import load_method
from pal_plugin.train import train

SMALL = ["profile=debug", "max_steps=1", "optimizer.batch_size=16", "data.crop_size=16"]


@pytest.mark.parametrize("profile", ["paper", "smoke", "debug"])
@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("three_d_ident", [], ("v", 16, [128, 128], "linear", 0.5, 10_000, False, 0.05, False)),
        ("three_d_ident", ["adassl=three_d_ident_s"], ("s", 16, [128, 128], None, 0.5, 0, False, 0.05, False)),
        ("celeba", [], ("v", 20, [1024], None, 0.1, 10_000, True, 0.1, True)),
        ("celeba", ["adassl=celeba_s"], ("s", 20, [1024], None, 0.5, 0, True, 0.1, True)),
        ("inat", [], ("v", 8, [1024], None, 0.8, 10_000, True, 0.1, True)),
    ],
)
def test_the_latent_is_the_authors(name: str, settings: list[str], expected: tuple[Any, ...], profile: str) -> None:
    kwargs = compose("adassl_simclr", [f"profile={profile}", f"+recipe={name}", *settings]).method_kwargs
    assert (
        *(kwargs.variant, kwargs.latent_dim, list(kwargs.latent_hidden_dims), kwargs.editor),
        *(kwargs.reg_beta, kwargs.reg_beta_warmup_steps, kwargs.additional_view),
        *(kwargs.temperature, kwargs.learnable_lambda),
    ) == expected


@pytest.mark.parametrize("profile", ["paper", "smoke", "debug"])
@pytest.mark.parametrize(
    ("name", "head", "network", "optimizer", "steps", "pairs"),
    [
        ("three_d_ident", (128, 16), ("resnet18", "no_maxpool", 128), (256, 1e-4, 1e-5), 150_000, "factors"),
        ("celeba", (1024, 128), ("resnet18", "cifar", 64), (512, 2e-4, 1e-4), 80_000, "labels"),
        ("inat", (1024, 128), ("resnet50", "imagenet", 224), (256, 2e-4, 1e-4), 200_000, "hierarchy"),
    ],
)
def test_the_run_is_the_authors(
    name: str,
    head: tuple[int, int],
    network: tuple[str, str, int],
    optimizer: tuple[int, float, float],
    steps: int,
    pairs: str,
    profile: str,
) -> None:
    cfg = compose("adassl_simclr", [f"profile={profile}", f"+recipe={name}"])
    assert (cfg.method_kwargs.proj_hidden_dim, cfg.method_kwargs.proj_output_dim) == head
    assert (cfg.backbone.name, cfg.backbone.stem, cfg.augmentations[0].crop_size) == network
    rate = cfg.optimizer.lr * cfg.optimizer.batch_size / 256  # as it is scaled
    assert (cfg.optimizer.name, cfg.scheduler.name, cfg.gradient_clip_val) == ("adamw", "none", 1.0)
    assert (cfg.optimizer.batch_size, rate, cfg.optimizer.weight_decay) == optimizer
    assert (cfg.max_steps, cfg.data.dataset, cfg.data.subset, cfg.graph.builder) == (steps, name, None, pairs)
    assert len(cfg.augmentations) == 1
    assert cfg.augmentations[0].rrc.enabled == (name != "three_d_ident")


def test_the_byol_of_a_recipe_has_its_pairs_and_augmentation() -> None:
    cfg = compose("adassl_byol", ["+recipe=celeba", "profile=paper"])
    assert (cfg.graph.builder, len(cfg.augmentations), cfg.momentum.base_tau) == ("labels", 1, 0.996)
    plain = compose("adassl_byol", ["profile=paper"])
    assert (plain.graph.builder, len(plain.augmentations)) == ("knn", 2)


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({"max_steps": None}, 1000),
        ({"max_steps": 10}, 2),
        ({"max_steps": 9, "accumulate_grad_batches": 4}, 5),
        ({"max_steps": 10, "devices": 2, "num_nodes": 2}, 5),
        ({"max_steps": 10, "limit_train_batches": 3}, 4),
        ({"max_steps": 10, "limit_train_batches": 0.5}, 3),
        ({"max_steps": 10**7}, 1000),
    ],
)
def test_epochs_that_steps_take(changes: dict[str, Any], epochs: int) -> None:
    keys = {"max_epochs": 1000, "accumulate_grad_batches": 1, "devices": 1, "num_nodes": 1, "limit_train_batches": None}
    cfg = OmegaConf.create({**keys, "optimizer": {"batch_size": 16}, **changes})
    dataset = load_dataset("digits", "train", subset=140)  # 8 batches
    assert with_length(cfg, dataset).max_epochs == epochs
    assert cfg.max_epochs == 1000


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


def evaluated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["eval", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def embedded(path: Path, name: str, split: str, root: Path, *, projector: bool) -> np.ndarray:
    """Return what the networks of a checkpoint make of a split, by their own forward."""
    method, _ = load_method(path)
    parts = []
    with torch.no_grad():
        for images, _ in eval_loader(load_dataset(name, split, root=root), 64, 16):
            rows = method.backbone(images)
            parts.append(F.normalize(method.projector(rows), dim=1) if projector else rows)
    return torch.cat(parts).numpy()


def test_three_d_ident_trains_and_is_evaluated(
    three_d_ident_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "run" / "model.ckpt"
    options = [f"data.root={three_d_ident_root}", f"run_dir={model.parent}"]
    metrics = train(compose("adassl_simclr", [*SMALL, "+recipe=three_d_ident", *options]))
    assert (metrics["steps"], metrics["epochs"], metrics["anchors_without_edges"]) == (1, 1, 0)
    found = evaluated(["r2", "dci", "--checkpoint", str(model), "--embedding", "projector"], capsys)
    data = []
    for split in ("train", "test"):
        data += [embedded(model, "three_d_ident", split, three_d_ident_root, projector=True)]
        data += [load_dataset("three_d_ident", split, root=three_d_ident_root).known_factors]
    assert found["r2"]["r2"] == pytest.approx(linear_r2(*data)["r2"], abs=1e-3)
    assert found["dci"]["disentanglement"] == pytest.approx(dci(*data)["disentanglement"], abs=1e-2)
    assert (found["embedding"], len(found["r2"]["per_factor"])) == ("projector", 10)
    assert (found["data"]["fit"]["size"], found["data"]["read"]["classes"]) == (120, {})  # labels are not read
    pixels = ["--prior", "pixels", "--data", "three_d_ident", "--root", str(three_d_ident_root)]
    assert evaluated(["r2", *pixels], capsys)["r2"]["r2"] > 0.9  # the renderings are made of their factors
    assert main(["eval", "knn", "--checkpoint", str(model)]) == 2
    assert "None of the 40 images of three_d_ident/test has a label" in capsys.readouterr().err


def test_celeba_trains_and_is_evaluated(celeba_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "run" / "model.ckpt"
    options = [f"data.root={celeba_root}", f"run_dir={model.parent}", "adassl=celeba_s"]
    persons = celeba_root / "celeba/identity_CelebA.txt"
    persons.write_text(persons.read_text().replace("000007.jpg 14", "000007.jpg 9999"))  # nobody else's
    with pytest.warns(RuntimeWarning, match="1 of 60 samples have no positive edge in the graph: they are paired with"):
        metrics = train(compose("adassl_simclr", [*SMALL, "+recipe=celeba", *options]))
    assert (metrics["steps"], metrics["anchors_without_edges"]) == (1, 1)
    found = evaluated(["attributes", "--checkpoint", str(model)], capsys)["attributes"]
    data = []
    for split in ("train", "test"):
        data += [embedded(model, "celeba", split, celeba_root, projector=False)]
        data += [load_dataset("celeba", split, root=celeba_root).known_attributes]
    expected = attribute_probes(*data, names=("Bald", "Male", "Smiling", "Young"))
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=5)  # bfloat16 may turn one of 20 images
    assert found.keys() == expected.keys() | {"C"}
    assert main(["eval", "attributes", "--checkpoint", str(model)]) == 0
    assert "attributes: accuracy" in capsys.readouterr().out
    assert main(["eval", "attributes", "--checkpoint", str(model), "--C", "1", "2"]) == 2
    assert "Give one value of --C" in capsys.readouterr().err


def test_inat_trains_and_is_evaluated(inat_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "run" / "model.ckpt"
    options = [f"data.root={inat_root}", f"run_dir={model.parent}", "backbone.name=resnet18", "graph.k=4"]
    epoch = ["max_steps=3", "validation.every_n_epochs=1"]
    metrics = train(compose("adassl_simclr", [*SMALL, "+recipe=inat", *options, *epoch]))
    assert (metrics["steps"], metrics["epochs"]) == (3, 1)
    assert {"val_acc1", "val_acc5"} <= metrics.keys()  # of species, by the online probe
    found = evaluated(["linear", "coarse", "--checkpoint", str(model), "--embedding", "projector"], capsys)
    assert len(found["linear"]["per_class"]) == 6
    assert found["coarse"]["per_class"].keys() == {"0", "1"}
    assert found["coarse"]["top5"] == 100
    pixels = ["--prior", "pixels?side=8", "--data", "inat", "--root", str(inat_root)]
    found = evaluated(["coarse", *pixels, "--C", "1", "10"], capsys)["coarse"]
    assert found["top1"] > 90  # species, and so their superclasses, differ in brightness
    assert len(found["chosen_from"]) == 2


def test_what_a_data_set_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = ["--prior", "pixels", "--data", "digits"]
    for measure, named in (("r2", "three_d_ident"), ("dci", "three_d_ident"), ("attributes", "celeba")):
        assert main(["eval", measure, *digits]) == 2
        assert f"Choose a data set that has: {named}" in capsys.readouterr().err
    assert main(["eval", "coarse", *digits]) == 2
    assert "Choose a data set that has: cifar10, cifar100 or inat" in capsys.readouterr().err
    assert main(["eval", "knn", *digits, "--embedding", "projector"]) == 2
    assert "--embedding is for checkpoints" in capsys.readouterr().err
    with pytest.raises(DataError, match="they have no factors"):
        train(compose("adassl_simclr", ["profile=debug", "graph=factors", f"run_dir={tmp_path / 'run'}"]))
    with pytest.raises(ConfigError, match=r"graph\.probability is -1"):
        train(compose("adassl_simclr", ["profile=debug", "graph=factors", "graph.probability=-1"]))


def test_batches_with_related_pairs_make_epochs_longer() -> None:
    """Of a batch of 16 with 2 pairs, 12 are of the epoch's order: 11 batches an epoch of 140 images, and not 8."""
    cfg = OmegaConf.create(
        {
            **{"max_epochs": 1000, "max_steps": 23, "accumulate_grad_batches": 1, "devices": 1, "num_nodes": 1},
            **{"limit_train_batches": None, "optimizer": {"batch_size": 16}},
        }
    )
    dataset = load_dataset("digits", "train", subset=140)
    composition = PairComposition(Cliques(np.arange(140) // 2), 16, 0.25)
    assert len(RelatedSampler(composition, seed=0)) == 11
    assert with_length(cfg, dataset, composition).max_epochs == 3


@pytest.mark.parametrize("share", [0.0, 0.125, 0.25, 0.5, 0.75])
@pytest.mark.parametrize("epochs", [1, 7, 40])
def test_epochs_of_the_control_take_as_many_steps(share: float, epochs: int) -> None:
    """Within an epoch of the steps that the loader's batches of pairs take, at any share that is whole pairs."""
    with_pairs = len(RelatedSampler(PairComposition(Cliques(np.arange(960) // 2), 16, share), seed=0))
    without = len(RelatedSampler(PairComposition(Cliques(np.arange(960) // 2), 16, 0.0), seed=0))
    assert abs(epochs_without_pairs(epochs, share) * without - epochs * with_pairs) <= without


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_that_leaves_no_epoch(share: float) -> None:
    with pytest.raises(ConfigError, match="share of related pairs"):
        epochs_without_pairs(4, share)
