"""Whole evaluations: of a network, of a prior, through the command; what is read, and when."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from pal_plugin.cli import main
from pal_plugin.commands.evaluate import _figures
from pal_plugin.data import load_dataset
from pal_plugin.errors import ConfigError
from pal_plugin.evaluation import (
    KNN,
    Finetune,
    Linear,
    LinearSGD,
    Recipe,
    Retrieval,
    Splits,
    encode,
    evaluate,
    from_prior,
    knn_accuracy,
    linear_probe,
    load_parts,
    recall_at_k,
)
from pal_plugin.evaluation.parts import Part, Parts
from pal_plugin.evaluation.sgd import Place
from pal_plugin.evaluation.source import Network
from pal_plugin.priors import embed, make_prior

DIGITS = {"dataset": "digits"}
RECIPE = Recipe(epochs=2, batch_size=64, crop_min_scale=0.5)
EVERY = (
    KNN((1, 5, 20)),
    Linear((0.01, 1.0)),
    LinearSGD((0.1, 3.0), RECIPE, (0, 1)),
    Retrieval(),
    Finetune((0.01, 0.1), RECIPE, (0, 1)),
)


class Counted:
    """Images outside memory that count how often each of them is asked for."""

    def __init__(self, images):
        self.images, self.asked = images, np.zeros(len(images), int)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        self.asked[np.arange(len(self))[rows]] += 1
        return self.images[rows]

    def content(self):
        return "counted"

    def subset(self, rows):
        return Counted(self.images[rows])


@pytest.fixture
def source():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    return Network(net, Place(precision="float32", crop_size=8), {"checkpoint": "x"})


@pytest.fixture(scope="module")
def parts():
    return load_parts(DIGITS, Splits(fit_subset=300, read_subset=100), choose=True)


def test_the_figures_are_those_of_the_functions(source, parts):
    result = evaluate(source, parts, [KNN(), Linear(), Retrieval()])
    net, place = source.network()
    train, test = parts.fit.images, parts.read.images
    x, z = (encode(net, images, precision=place.precision, crop_size=8) for images in (train, test))
    expected = {
        "knn": knn_accuracy(x, train.labels, z, test.labels),
        "linear": linear_probe(x, train.labels, z, test.labels),
        "retrieval": recall_at_k(z, test.labels),
    }
    for measure, figures in expected.items():
        assert {key: result[measure][key] for key in figures} == figures
    gallery = evaluate(source, parts, [Retrieval((1, 5), "fit", "euclidean")])["retrieval"]
    figures = recall_at_k(z, test.labels, x, train.labels, ks=(1, 5), metric="euclidean")
    assert {key: gallery[key] for key in figures} == figures


def test_every_measure_reports_every_class_and_what_was_chosen(source, parts):
    result = json.loads(json.dumps(evaluate(source, parts, EVERY), allow_nan=False))
    counts = result["data"]["read"]["classes"]
    for measure, whole in (("knn", "top1"), ("linear", "top1"), ("linear_sgd", "top1"), ("retrieval", "R@1"),
                           ("finetune", "top1")):  # fmt: skip
        per_class = result[measure]["per_class"]
        weighted = sum(per_class[name] * counts[name] for name in counts) / sum(counts.values())
        assert weighted == pytest.approx(result[measure][whole])
        if measure != "retrieval":
            assert np.mean(list(per_class.values())) == pytest.approx(result[measure]["mean_per_class"])
    for measure, key in (("knn", "k"), ("linear", "C"), ("linear_sgd", "lr"), ("finetune", "lr")):
        tried = result[measure]["chosen_from"]
        best = max(tried, key=lambda candidate: candidate["val_top1"])
        assert result[measure][key] == best[key]
    for measure in ("linear_sgd", "finetune"):
        runs = [run["top1"] for run in result[measure]["runs"]]
        assert [run["seed"] for run in result[measure]["runs"]] == [0, 1]
        assert result[measure]["top1"] == pytest.approx(np.mean(runs))
        assert result[measure]["std"]["top1"] == pytest.approx(np.std(runs, ddof=1))
        assert result[measure]["epochs"] == 2
    for role, part in (("fit", parts.fit), ("choice_fit", parts.choice.fit), ("choice_val", parts.choice.val)):
        assert result["data"][role]["digest"] == part.images.manifest.digest


def test_the_value_chosen_is_fitted_anew_on_everything(source, parts):
    result = evaluate(source, parts, [KNN((1, 5, 20))])["knn"]
    again = evaluate(source, dataclasses.replace(parts, choice=None), [KNN((result["k"],))])["knn"]
    assert result["top1"] == again["top1"]


def test_what_is_read_is_read_once_and_chooses_nothing(source, parts):
    """Its images are asked for once, and other labels on them leave every choice and every fit as it was."""
    read = Counted(parts.read.images.images)
    images = dataclasses.replace(parts.read.images, images=read)
    for measures, times in ((EVERY[:4], 1), (EVERY[4:], 2)):  # fine-tuning: one network a seed
        read.asked[:] = 0
        evaluate(source, Parts(Part(images), parts.fit, parts.choice), measures)
        assert (read.asked == times).all()
    wrong = dataclasses.replace(parts.read.images, labels=(parts.read.images.labels + 1) % 10)
    right, other = (evaluate(source, Parts(Part(p), parts.fit, parts.choice), EVERY[:3]) for p in (images, wrong))
    for measure in ("knn", "linear", "linear_sgd"):
        assert right[measure]["chosen_from"] == other[measure]["chosen_from"]
        assert right[measure]["top1"] > other[measure]["top1"]


def test_a_rate_that_diverges_is_not_chosen(source, parts):
    result = evaluate(source, parts, [LinearSGD((8e38, 0.3), RECIPE)])["linear_sgd"]
    assert result["chosen_from"][0] == {"lr": 8e38, "val_top1": None}
    assert result["lr"] == 0.3
    assert result["std"]["top1"] is None  # one seed has no spread
    for rates in ((8e38,), (8e38, 1.2e39)):
        with pytest.raises(ConfigError, match=r"diverged at the learning rate 8e\+38"):
            evaluate(source, parts, [LinearSGD(rates, RECIPE)])


def test_parts_that_do_not_suit_the_measures(source, parts):
    with pytest.raises(ConfigError, match="choose=True"):
        evaluate(source, Parts(parts.read, parts.fit), [KNN((1, 5))])
    with pytest.raises(ConfigError, match="fit=True"):
        evaluate(source, Parts(parts.read), [Linear()])
    with pytest.raises(ConfigError, match="'theirs'"):
        Retrieval(gallery="theirs")
    assert evaluate(source, Parts(parts.read), [Retrieval()])["retrieval"]["queries"] == 100


def test_a_prior_is_probed_as_it_is(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    result = evaluate(from_prior("pixels"), parts, [KNN(), Linear()])
    prior, train, test = make_prior("pixels"), parts.fit.images, parts.read.images
    x, z = (embed(images, prior).features for images in (train, test))
    assert result["knn"]["top1"] == knn_accuracy(x, train.labels, z, test.labels)["top1"]
    assert result["linear"]["top1"] == linear_probe(x, train.labels, z, test.labels)["top1"]
    assert (result["prior"], result["prior_key"]) == ("pixels", prior.key)
    with pytest.raises(ConfigError, match="prior pixels cannot be shown augmented images"):
        evaluate(from_prior("pixels"), parts, [KNN(), LinearSGD()])


def test_a_prior_that_learns_learns_from_what_is_fitted_on(parts, tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    result = evaluate(from_prior("pca:5?side=8"), parts, [KNN()])
    train, test = parts.fit.images, parts.read.images
    fitted = make_prior("pca:5?side=8").fitted(train)
    x, z = (embed(images, fitted).features for images in (train, test))
    assert result["knn"]["top1"] == knn_accuracy(x, train.labels, z, test.labels)["top1"]
    assert result["prior_fitted_on"] == train.manifest.reference()


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A checkpoint of plain solo-learn that says nothing of itself."""
    from pal_plugin.host.checkpoint import make_backbone

    torch.manual_seed(0)
    backbone = make_backbone(OmegaConf.create({"backbone": {"name": "resnet18", "stem": "cifar"}}))
    path = tmp_path_factory.mktemp("foreign") / "x.ckpt"
    torch.save({"state_dict": {f"encoder.{key}": value for key, value in backbone.state_dict().items()}}, path)
    return path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A user's folder: images of many sizes in class folders, train and test."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for split, count in (("train", 60), ("test", 24)):
        digits = load_dataset("digits", split)
        rows = np.flatnonzero(digits.labels < 3)[:count]
        for row in rows:
            folder = root / split / f"class{digits.labels[row]}"
            folder.mkdir(parents=True, exist_ok=True)
            size = tuple(int(side) for side in rng.integers(12, 40, 2))
            Image.fromarray(digits.images[row]).resize(size).save(folder / f"{row}.png")
    return root


def test_a_folder_of_any_sizes_and_a_foreign_checkpoint(foreign, photos, capsys):
    arguments = ["eval", "knn", "linear", "linear_sgd", "finetune", "retrieval", "--checkpoint", str(foreign)]
    arguments += ["--backbone", "resnet18", "--crop-size", "16", "--data", "folder", "--root", str(photos)]
    options = ["--epochs", "1", "--batch-size", "30", "--seeds", "3", "--recall-at", "1", "2", "--json"]
    assert main([*arguments, *options]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["data"]["fit"]["size"], result["data"]["read"]["size"]) == (60, 24)
    assert set(result["knn"]["per_class"]) == {"class0", "class1", "class2"}
    assert result["retrieval"]["R@2"] >= result["retrieval"]["R@1"] > 33
    assert result["finetune"]["runs"][0]["seed"] == 3
    assert (result["backbone"], result["crop_size"]) == ("resnet18", 16)


def test_unlabelled_photos_are_refused_in_a_sentence(foreign, photos, capsys):
    flat = sorted((photos / "train").glob("*/*"))[0].parent
    arguments = ["eval", "knn", "--checkpoint", str(foreign), "--backbone", "resnet18", "--crop-size", "16"]
    options = ["--data", "folder", "--root", str(flat), "--option", "labelled=false", "--val-fraction", "0.2"]
    assert main([*arguments, *options, "--read", "val"]) == 2
    assert "has a label (labelled=false), and evaluation compares with labels" in capsys.readouterr().err


def test_a_prior_by_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    out = tmp_path / "out.json"
    arguments = [
        "eval",
        "knn",
        "linear",
        "--prior",
        "pixels",
        "--data",
        "digits",
        "--choose",
        "--label-fraction",
        "0.1",
    ]
    assert main([*arguments, "--out", str(out)]) == 0
    text, result = capsys.readouterr().out, json.loads(out.read_text())
    assert result["data"]["fit"]["size"] == 144
    assert f"knn: top1 {result['knn']['top1']:.2f}" in text
    assert "least" in text
    assert len(text.splitlines()) == 9
    assert [tried["C"] for tried in result["linear"]["chosen_from"]] == [0.001, 0.01, 0.1, 1.0, 10.0]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["knn", "--prior", "pixels"], "--data cifar10"),
        (["knn", "--prior", "pixels", "--data", "digits", "--read", "val"], "--val-fraction 0.1"),
        (["finetune", "--prior", "pixels", "--data", "digits"], "knn, linear or retrieval"),
        (["knn", "--prior", "pixels", "--data", "digits", "--k", "0"], "k=0"),
        (["linear", "--prior", "pixels", "--data", "digits", "--C", "-1"], "C is -1"),
        (["knn", "--prior", "nothing", "--data", "digits"], "no prior called 'nothing'"),
        (["knn", "--prior", "pixels", "--data", "digits", "--crop-size", "8"], "--crop-size is for checkpoints"),
        (["knn", "--prior", "pixels", "--data", "digits", "--device", "cuda"], "--device is for checkpoints"),
    ],
)
def test_bad_input_is_one_paragraph(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("pal: ")
    assert len(error.strip().splitlines()) == 1
    assert named in error


def test_the_foreign_checkpoint_asks_for_what_it_does_not_say(foreign, capsys):
    assert main(["eval", "knn", "--checkpoint", str(foreign)]) == 2
    assert "--backbone resnet18" in capsys.readouterr().err
    assert main(["eval", "knn", "--checkpoint", str(foreign), "--backbone", "resnet18"]) == 2
    assert "--data cifar10" in capsys.readouterr().err
    assert Path(foreign).is_file()


def test_the_spread_of_runs_is_printed():
    shown = _figures({"top1": 50.0, "std": {"top1": 1.5, "top5": None}})
    assert "top1 ±1.5" in shown
    assert "top5" not in shown
