"""`pal graph inspect` and `pal data show`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.graph import SimilarityGraph, knn_graph
from pal_plugin.graph.inspect import inspect


@pytest.fixture
def graph(tmp_path):
    """The neighbours of 200 digits by their pixels."""
    dataset = load_dataset("digits", "train", subset=200)
    return knn_graph(dataset.images.reshape(200, -1), 3, manifest=dataset.manifest).save(tmp_path / "graph")


def test_the_figures_of_a_graph(graph, capsys):
    assert main(["graph", "inspect", str(graph), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == inspect(SimilarityGraph.load(graph))
    assert main(["graph", "inspect", str(graph)]) == 0
    assert "hubness: skewness " in capsys.readouterr().out


def test_the_sheet_of_a_graph(graph, tmp_path, capsys):
    arguments = ["graph", "inspect", str(graph), "--data", "digits", "--subset", "200", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--anchors", "4", "--pick", "worst", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    labels = load_dataset("digits", "train", subset=200).labels
    assert figures["purity@3"] == inspect(SimilarityGraph.load(graph), labels)["purity@3"]
    assert Image.open(figures["files"]["png"]).size[0] > 500
    assert "smallest share" in (tmp_path / "out" / "graph.html").read_text(encoding="utf-8")


def test_another_subset_is_refused(graph, tmp_path, capsys):
    arguments = ["graph", "inspect", str(graph), "--data", "digits", "--subset", "200", "--seed", "1"]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(graph) in error
    assert "digits/train" in error
    assert not (tmp_path / "out").exists()


def test_no_graph_there(tmp_path, capsys):
    assert main(["graph", "inspect", str(tmp_path)]) == 2
    assert "graph.json" in capsys.readouterr().err


def test_a_data_set_is_shown(tmp_path, capsys):
    arguments = ["data", "show", "digits", "--split", "test", "--per-class", "2", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    dataset = load_dataset("digits", "test")
    assert figures["images"] == sum(figures["classes"].values()) == len(dataset)
    assert figures["mean"]["red"] == pytest.approx(np.mean(dataset.images / 255))
    assert (figures["height"], figures["width"], figures["sizes"]) == ({"min": 8, "max": 8}, {"min": 8, "max": 8}, 1)
    assert (tmp_path / "data.html").read_text(encoding="utf-8").count("<img") == 20
    Image.open(figures["files"]["png"]).verify()


def test_a_folder_of_photographs_is_shown(tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for number, (width, height) in enumerate([(300, 200), (50, 80), (9, 9)]):
        image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(image).save(tmp_path / "photos" / f"{number} <b>.png")
    arguments = ["data", "show", "folder", "--root", str(tmp_path / "photos"), "--out", str(tmp_path / "out"), "--json"]
    assert main(arguments) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["unlabelled"], figures["sizes"], figures["width"]) == (3, 3, {"min": 9, "max": 300})
    assert "&lt;b&gt;" in (tmp_path / "out" / "data.html").read_text(encoding="utf-8")


def test_unlabelled_photographs_have_no_purity(tmp_path, capsys):
    for number in range(6):
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / "photos" / f"{number}.png")
    dataset = load_dataset("folder", "train", root=tmp_path / "photos")
    path = knn_graph(np.arange(6.0)[:, None], 2, manifest=dataset.manifest).save(tmp_path / "graph")
    arguments = ["graph", "inspect", str(path), "--data", "folder", "--root", str(tmp_path / "photos")]
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "nodes: 6" in printed
    assert "None" not in printed
    assert "purity" not in printed


def test_a_file_in_the_place_of_the_folder(tmp_path, capsys):
    taken = tmp_path / "features.npy"
    taken.write_bytes(b"x")
    assert main(["data", "show", "digits", "--subset", "20", "--out", str(taken)]) == 2
    assert capsys.readouterr().err.strip().splitlines()[-1] == f"pal: File exists: {taken}. Choose another path."
    assert taken.read_bytes() == b"x"


def test_no_such_data_set(tmp_path, capsys):
    assert main(["data", "show", "cifra10", "--out", str(tmp_path)]) == 2
    assert "cifar10" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
