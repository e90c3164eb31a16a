"""`pal graph` builds what the functions build, and says what is wrong in one paragraph."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.graph import (
    SimilarityGraph,
    adjacent_graph,
    hop,
    knn_graph,
    label_graph,
    mix,
    mutual,
    pairs_graph,
    radius_graph,
    symmetrise,
    union,
)

PART = ["--data", "digits", "--subset", "150", "--seed", "3"]
ACTIONS = (
    "knn",
    "radius",
    "labels",
    "hierarchy",
    "factors",
    "pairs",
    "adjacent",
    "union",
    "mix",
    "mutual",
    "symmetrise",
    "hop",
    "inspect",
)


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits", "train", subset=150, seed=3)


@pytest.fixture
def points(tmp_path):
    array = np.random.default_rng(0).standard_normal((120, 6)).astype(np.float32)
    np.save(tmp_path / "points.npy", array)
    return array


@pytest.fixture
def build(tmp_path, capsys):
    """Run `pal graph …` and return the graph it wrote and the figures it printed."""

    def run(*arguments, name="made"):
        capsys.readouterr()
        status = main(["graph", *map(str, arguments), "--out", str(tmp_path / name), "--json"])
        assert status == 0, capsys.readouterr().err
        figures = json.loads(capsys.readouterr().out)
        graph = SimilarityGraph.load(tmp_path / name)
        assert figures["graph"] == str(tmp_path / name)
        assert (figures["nodes"], figures["edges"]) == (graph.num_nodes, graph.num_edges)
        assert figures["without_edges"] == (graph.degree == 0).sum()
        return graph, figures

    return run


def test_graphs_of_features(build, points, tmp_path):
    features = ["--features", tmp_path / "points.npy"]
    graph, figures = build("knn", *features, "--k", 3, "--engine", "faiss_ivf")
    assert graph.digest == knn_graph(points, 3, engine="faiss_ivf").digest
    assert figures["recall"] == graph.builder["parameters"]["recall"]
    graph, figures = build("radius", *features, "--tau", "adaptive", "--k", 5, "--metric", "cosine")
    assert graph.digest == radius_graph(points, "adaptive", k=5, metric="cosine").digest
    again, _ = build("radius", *features, "--tau", figures["tau"], "--metric", "cosine")
    assert again.digest == graph.digest
    graph, _ = build("radius", *features, "--tau", 2, "--max-neighbours", 2)
    assert graph.digest == radius_graph(points, 2.0, max_neighbours=2).digest


def test_graphs_of_data_sets(build, digits, tmp_path):
    graph, _ = build("labels", *PART, "--k", 2, "--draw-seed", 7)
    assert graph.digest == label_graph(digits.labels, 2, seed=7).digest
    assert graph.manifest == digits.manifest.reference()
    table = tmp_path / "pairs.csv"
    table.write_text(f"id_a,id_b,relation\n{digits.ids[4]},{digits.ids[9]},cannot-link\n")
    graph, figures = build("pairs", table, *PART)
    assert graph.digest == pairs_graph(table, digits.ids).digest
    assert graph.manifest == digits.manifest.reference()
    assert (figures["must_link"], figures["cannot_link"]) == (0, 1)
    assert not graph.transitive
    graph, figures = build("pairs", table, *PART, "--transitive")
    assert graph.transitive
    assert graph.digest == pairs_graph(table, digits.ids, transitive=True).digest
    graph, _ = build("adjacent", *PART, "--window", 4)
    assert graph.digest == adjacent_graph(digits.ids, 4).digest
    assert graph.manifest == digits.manifest.reference()


def test_graphs_of_graphs(build, points, tmp_path):
    near, far = knn_graph(points, 2), knn_graph(points, 6, metric="cosine")
    paths = near.save(tmp_path / "near"), far.save(tmp_path / "far")
    assert build("union", *paths)[0].digest == union(near, far).digest
    assert build("mix", *paths, "--shares", 1, 3)[0].digest == mix([near, far], [1, 3]).digest
    assert build("mutual", paths[0])[0].digest == mutual(near).digest
    assert build("symmetrise", paths[0])[0].digest == symmetrise(near).digest
    assert build("hop", paths[0])[0].digest == hop(near).digest
    assert build("hop", paths[0], "--n", 3)[0].digest == hop(near, 3).digest


def test_defaults_are_those_of_the_config_group(build, points, digits, tmp_path):
    assert build("radius", "--features", tmp_path / "points.npy")[0].digest == radius_graph(points, "adaptive").digest
    assert build("labels", *PART)[0].digest == label_graph(digits.labels, 4).digest


def test_a_graph_without_a_positive_edge_is_said_in_one_line(tmp_path, capsys):
    ring = SimilarityGraph.from_edges(4, range(4), [1, 2, 3, 0]).save(tmp_path / "ring")
    assert main(["graph", "mutual", str(ring), "--out", str(tmp_path / "made")]) == 0
    captured = capsys.readouterr()
    assert "edges: 0" in captured.out
    assert captured.err.startswith("pal: warning: THE GRAPH")
    assert "HAS NO POSITIVE EDGE" in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["knn", "--features", "points.npy", "--k", "3", "--engine", "faiss_ivff"], "faiss_ivf"),
        (["radius", "--features", "points.npy", "--tau", "adaptiv"], "adaptive"),
        (["radius", "--features", "points.npy", "--tau", "-1"], "-1"),
        (["pairs", "none.csv", *PART], "none.csv"),
        (["labels", *PART, "--k", "0"], "k=0"),
        (["hierarchy", *PART], "digits/train has no classes above its own"),
        (["factors", *PART], "digits/train were made from is not known"),
        (["adjacent", *PART, "--window", "0"], "window=0"),
        (["hop", "nowhere"], "There is no graph at nowhere"),
        (["adjacent", "--data", "digits", "--subset", "10"], "in steps of"),
        (["radius", "--features", "points.npy", "--tau", "1e-9"], "Choose a larger tau"),
        (["union", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_paragraph(arguments, named, points, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["graph", *arguments, "--out", "made"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("pal: ")
    assert captured.err.count("\n") == 1
    assert named in captured.err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_help(action, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["graph", action, "--help"])
    assert stop.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_every_choice_of_the_config_group_names_its_builder_and_draw():
    import pal_plugin

    found = {}
    for path in (Path(pal_plugin.__file__).parent / "conf" / "graph").glob("*.yaml"):
        if path.stem != "none":
            config = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
            found[path.stem] = config["builder"]
            assert config["draw"] in ("uniform", "furthest", "weighted"), path
            assert "path" in config, path
    names = ("knn", "radius", "labels", "hierarchy", "factors", "pairs", "adjacent", "oracle", "answers", "file")
    assert found == {name: name for name in names}
