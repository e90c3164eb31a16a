"""Walks along r through images, by loops over all of them; the command, its picture, and the checkpoints it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from pal_plugin.cli import main
from pal_plugin.data import ImageDataset, dataset_from_config, eval_loader
from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.evaluation.traversal import walk_latent
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host.config import plain
from pal_plugin.launch import compose
from pal_plugin.methods import load_method
from pal_plugin.train import build, export

Make = Callable[..., Any]
SMALL = {"latent_dim": 3, "latent_hidden_dims": [16], "editor_hidden_dims": [16]}
DEVIATIONS = [-4.0, 0.0, 4.0]


@pytest.fixture
def images(digits: ImageDataset) -> Tensor:
    ((batch, _),) = list(eval_loader(digits, len(digits)))
    return batch


@pytest.mark.parametrize("name", ["simclr", "byol"])
@torch.no_grad()
def test_by_loops(name: str, digits: ImageDataset, images: Tensor, make: Make) -> None:
    """Contexts are the online network's, what is retrieved the loss's targets, and the anchor is never one of them."""
    method = make(f"adassl_{name}", method_kwargs=SMALL)
    if name == "byol":
        torch.nn.init.normal_(method.momentum_projector[0].weight)  # a teacher that differs
    anchors, partners = [5, 2, 9, 11], [1, 7, 0, 4]
    found = walk_latent(method, digits, anchors, partners, shown=2, dimensions=2, deviations=DEVIATIONS, samples=3)
    assert all(part.training for part in method.modules())  # as it was given

    method.eval()
    context = method.projector(method.backbone(images))
    bank, adassl = context, method.adassl
    if name == "byol":
        bank = method.momentum_projector(method.momentum_backbone(images))
        assert not torch.allclose(bank, context)

    def best(r: Tensor, anchor: int) -> list[int]:
        edited = adassl.editor(context[[anchor]], r[None])
        told = method.predictor(edited) if name == "byol" else edited
        return [row for row in F.cosine_similarity(told, bank).argsort(descending=True).tolist() if row != anchor]

    prior = adassl.latent.prior(context[anchors])
    posterior = adassl.latent.posterior(context[anchors], bank[partners])
    normal = [torch.distributions.Normal(*of) for of in (posterior, prior)]
    kl = torch.distributions.kl_divergence(*normal).mean(0)
    np.testing.assert_allclose(found.kl, kl.double().numpy(), rtol=1e-3)
    assert found.dimensions == tuple(kl.argsort(descending=True)[:2].tolist())
    noise = adassl.latent.sample_prior(context[anchors[:2]], 3, generator=torch.Generator().manual_seed(0))
    for row, walk in enumerate(found.walks):
        assert (walk.anchor, walk.partner) == (anchors[row], partners[row])
        assert best(posterior.mean[row], walk.anchor).index(walk.partner) + 1 == walk.place_posterior
        assert best(prior.mean[row], walk.anchor).index(walk.partner) + 1 == walk.place_prior
        for line, dimension in zip(walk.along, found.dimensions, strict=True):
            for deviation, shown in zip(DEVIATIONS, line, strict=True):
                r = prior.mean[row].clone()
                r[dimension] += deviation * prior.std[row, dimension]
                assert shown == best(r, walk.anchor)[0]
        assert walk.drawn.tolist() == [best(draw[row], walk.anchor)[0] for draw in noise]
    assert len(found.walks) == 2


def test_an_r_that_nothing_reads(digits: ImageDataset, make: Make) -> None:
    """A whole line is one image, and the finding says so; where there is no KL either, r has collapsed."""
    method = make("adassl_simclr", method_kwargs=SMALL | {"editor": "linear"})
    with torch.no_grad():
        method.adassl.editor.net[0].weight[:, 8:] = 0
    found = walk_latent(method, digits, [3, 4], [5, 6], shown=2, samples=4)
    assert found.moves == 1
    assert all(len(set(walk.drawn.tolist())) == 1 for walk in found.walks)
    assert "3 of 3 dimensions of r have 0.01 nats or more" in found.finding()
    assert "moving r changes no image" in found.finding()
    with torch.no_grad():
        for net in (method.adassl.latent.prior_net, method.adassl.latent.posterior_net):
            net[-1].weight.zero_()
            net[-1].bias.zero_()
    found = walk_latent(method, digits, [3, 4], [5, 6], shown=1)
    assert (found.active, found.kl.tolist()) == (0, [0, 0, 0])
    assert found.finding().startswith("r has collapsed onto the prior: 0 of 3 dimensions")


def test_what_cannot_be_walked(digits: ImageDataset, make: Make) -> None:
    with pytest.raises(ConfigError, match=r"Variant s has no prior.*method_kwargs\.variant=v"):
        walk_latent(make("adassl_byol", method_kwargs=SMALL | {"variant": "s"}), digits, [0], [1], shown=1)
    with pytest.raises(ConfigError, match=r"simclr has no latent r.*adassl_"):
        walk_latent(make("simclr"), digits, [0], [1], shown=1)
    method = make("adassl_simclr", method_kwargs=SMALL)
    for wrong in ({"shown": 0}, {"dimensions": 0}, {"deviations": []}, {"samples": -1}):
        with pytest.raises(ConfigError, match="were asked for"):
            walk_latent(method, digits, [0], [1], **({"shown": 1} | wrong))


# checkpoints and the command


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write what `pal train` would, of networks as they begin."""
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))

    def write(name: str = "adassl_byol", *overrides: str) -> Path:
        sizes = [f"method_kwargs.{key}={value}" for key, value in SMALL.items()] if name.startswith("adassl") else []
        small = ["profile=debug", "data.subset=40", "method_kwargs.proj_output_dim=8", *sizes]
        cfg = compose(name, [*small, *overrides])
        export(build(cfg), plain(cfg), tmp_path / "model.ckpt")
        return tmp_path / "model.ckpt"

    return write


def test_a_whole_method_is_read_back(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    path = checkpoint()
    saved = torch.load(path, weights_only=True)
    before = torch.get_rng_state()
    method, cfg = load_method(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert cfg.method == "adassl_byol"
    assert not any(part.training for part in method.modules())
    state = method.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in saved["state_dict"].items())
    wider = saved["config"]["method_kwargs"] | {"latent_dim": 5}
    fewer = {key: value for key, value in saved["config"].items() if key != "optimizer"}
    for change, said in (
        ({"config": None}, "does not say what it was trained with"),
        ({"config": {}}, "does not say what it was trained with"),
        ({"config": saved["config"] | {"method": "nothing"}}, "no method called 'nothing'"),
        ({"config": fewer}, "other.ckpt describes no adassl_byol of here: The config lacks optimizer.name"),
        ({"config": saved["config"] | {"num_nodes": "x"}}, "other.ckpt describes no adassl_byol of here: TypeError"),
        ({"config": saved["config"] | {"momentum": 3}}, "other.ckpt describes no adassl_byol of here: Attribute"),
        ({"config": saved["config"] | {"method_kwargs": wider}}, "holds other networks than adassl_byol"),
        ({"state_dict": {"backbone.fc": torch.zeros(1)}}, "backbone.fc does not fit"),
    ):
        spoilt = {key: value for key, value in (saved | change).items() if value is not None}
        torch.save(spoilt, tmp_path / "other.ckpt")
        with pytest.raises((CheckpointError, ConfigError), match=said):
            load_method(tmp_path / "other.ckpt")


def traverse(path: Path, *arguments: str) -> int:
    out = str(path.with_name("walk.png"))
    return main(["traverse", "--checkpoint", str(path), "--out", out, "--rows", "3", *arguments])


def test_the_command(checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = checkpoint()
    assert traverse(path, "--dims", "2", "--steps", "5", "--samples", "7", "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    dataset = dataset_from_config({"dataset": "digits", "subset": 40}, "train")
    assert figures["data"] == dataset.manifest.reference()
    assert figures["deviations"] == [-3, -1.5, 0, 1.5, 3]
    assert (len(figures["kl"]), len(figures["walks"])) == (3, 3)
    for walk in figures["walks"]:
        lines = [*walk["along"], walk["drawn"]]
        assert [len(line["images"]) for line in lines] == [5, 5, 7]
        for line in lines:
            assert line["distinct"] == len(set(line["images"]))
            assert walk["anchor"] not in line["images"]
            assert set(line["images"]) <= set(dataset.ids)
        assert walk["partner"] != walk["anchor"]
    with Image.open(figures["file"]) as picture:
        narrow, height = picture.size
    assert traverse(path, "--dims", "3", "--steps", "9", "--data", "digits", "--split", "test", "--subset", "30") == 0
    told = capsys.readouterr().out
    assert "of 3 dimensions of r" in told
    assert "walk.png" in told
    with Image.open(figures["file"]) as picture:
        assert picture.size[0] > narrow
        assert picture.size[1] == height  # two dimensions and the draws


def test_a_checkpoint_that_says_of_no_graph(
    checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = checkpoint()
    saved = torch.load(path, weights_only=True)
    torch.save(saved | {"config": saved["config"] | {"graph": None}}, path)
    assert traverse(path) == 2
    assert "says of no graph" in capsys.readouterr().err
    images = dataset_from_config({"dataset": "digits", "subset": 40}, "train")
    ring = np.arange(40)
    SimilarityGraph.from_edges(40, ring, (ring + 1) % 40, manifest=images.manifest).save(tmp_path / "ring")
    assert traverse(path, "--graph", str(tmp_path / "ring"), "--json") == 0
    for walk in json.loads(capsys.readouterr().out)["walks"]:
        assert walk["partner"] == images.ids[(images.ids.index(walk["anchor"]) + 1) % 40]


def test_refused_commands(checkpoint: Callable[..., Path], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = checkpoint()
    SimilarityGraph.from_edges(
        30, [0], [1], manifest=dataset_from_config({"dataset": "digits", "subset": 30}, "train").manifest
    ).save(tmp_path / "graph")
    for arguments, said in (
        (["--graph", str(tmp_path / "graph")], "The graph"),
        (["--steps", "0"], "--steps is 0"),
        (["--reach", "0"], "--reach is 0"),
        (["--samples", "-1"], "--samples is -1"),
        (["--split", "val"], "val"),
    ):
        assert traverse(path, *arguments) == 2
        assert said in capsys.readouterr().err
    assert traverse(tmp_path / "none.ckpt") == 2
    assert "There is no checkpoint at" in capsys.readouterr().err
    for name, overrides, said in (
        ("simclr", [], "simclr has no latent r"),
        ("adassl_simclr", ["method_kwargs.variant=s"], "Variant s has no prior"),
    ):
        assert traverse(checkpoint(name, *overrides)) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "walk.png").exists()
