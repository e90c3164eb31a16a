"""What a run that learns from known relations says, logs and refuses; on digits, a few steps each."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from pal_plugin.data import PairComposition, load_digits
from pal_plugin.data.draws import permutation
from pal_plugin.errors import ConfigError, GraphError, PalError
from pal_plugin.graph import SimilarityGraph, knn_graph, mutual
from pal_plugin.graph.relations import relations
from pal_plugin.graphs import make_graph
from pal_plugin.launch import compose
from pal_plugin.oracle import oracle_graph
from pal_plugin.relations import describe, doubts, figures
from pal_plugin.train import train

SMALL = [
    "profile=debug",
    "data.subset=64",
    "optimizer.batch_size=16",
    "max_epochs=1",
    "validation.enabled=false",
    "method_kwargs.proj_hidden_dim=16",
    "method_kwargs.proj_output_dim=8",
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


def small(method: str, tmp_path: Path, *overrides: str) -> DictConfig:
    return compose(method, [*SMALL, *overrides, f"run_dir={tmp_path / 'run'}"])


def digits_graph(folder: Path, rows: Any, columns: Any, weights: Any = None, *, transitive: bool = True) -> Path:
    manifest = load_digits("train").subset(64, 0).manifest
    builder = {"name": "pairs", "parameters": {}, "transitive": transitive}
    return SimilarityGraph.from_edges(64, rows, columns, weights, manifest=manifest, builder=builder).save(folder)


def test_pal_byol_with_no_other_argument(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = train(compose("pal_byol", ["profile=debug", f"run_dir={tmp_path}"]))
    said = capsys.readouterr().err
    labels = load_digits("train").subset(256, 0).labels
    known = int(relations(oracle_graph(labels, 0.01)).known.sum())
    asked = f"(26 of 256 images asked about, {known} of them related to another)"
    assert f"known relations of 1 % of all pairs {asked} from an oracle of labels" in said
    assert (metrics["asked_images"], metrics["known_images"]) == (26, known)
    assert known < 26
    assert metrics["oracle_edges"] >= 16  # a quarter of a batch of 128 is 16 related pairs
    assert np.isfinite(metrics["graph_loss"])
    assert "anchors_without_edges" not in metrics
    with (tmp_path / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len([row for row in rows if row.get("oracle_edges_epoch")]) == 2
    assert [row["asked_images"] for row in rows if row.get("asked_images")] == ["26"]


@pytest.mark.parametrize("method", ["pal_simclr", "pal_spectral"])
def test_mixed_precision(method: str, tmp_path: Path) -> None:
    weighted = ["method_kwargs.importance=true"] if method == "pal_spectral" else []
    metrics = train(small(method, tmp_path, "precision=bf16-mixed", "graph.relations=0.2", *weighted))
    assert all(np.isfinite(value) for key, value in metrics.items() if isinstance(value, float)), metrics


def test_relations_that_follow_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A graph of neighbours may be related too, and one that is refreshed brings other relations."""
    overrides = ["graph=knn", "graph.k=1", "default_prior=pixels", "graph.refresh_every_n_epochs=1", "max_epochs=2"]
    metrics = train(small("pal_simclr", tmp_path, *overrides))
    assert metrics["known_images"] == 64
    assert "asked_images" not in metrics
    assert metrics["oracle_edges"] >= 2
    said = capsys.readouterr().err
    assert "pair(s) of neighbours among 64 of 64 images, from knn" in said
    assert said.count("have an edge in one direction only: a relation is an unordered pair") == 1


def test_known_relations_that_do_not_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = train(small("pal_simclr", tmp_path, "method_kwargs.graph_alpha=0", "graph.relations=0.2"))
    assert (
        "graph_alpha=0: the known relations compose the batches and count for nothing else" in capsys.readouterr().err
    )
    assert metrics["oracle_edges"] > 0
    metrics = train(small("pal_simclr", tmp_path, "method_kwargs.graph_alpha=0", "graph.relations=0"))
    assert (metrics["oracle_edges"], metrics["known_images"]) == (0, 0)


def test_an_epoch_without_oracle_edges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = permutation(0, 0, 64)
    digits_graph(tmp_path / "graph", [order[0]], [order[20]])  # one in the first batch, one in the second
    overrides = ["graph=file", f"graph.path={tmp_path / 'graph'}", "method_kwargs.related_share=0"]
    metrics = train(small("pal_simclr", tmp_path, *overrides))
    assert (metrics["oracle_edges"], metrics["known_images"]) == (0, 2)
    said = capsys.readouterr().err
    assert "1 pair(s) known to be related among 2 of 64 images, from pairs, closed under transitivity" in said
    assert said.count("no batch of epoch 1 held a pair that is known to be related") == 1


@pytest.mark.parametrize(
    ("overrides", "error", "message"),
    [
        (["graph=none"], ConfigError, r"none.*graph=oracle.*graph=pairs.*graph=file"),
        (["graph.relations=0"], GraphError, r"No two images of digits.*graph_alpha=0"),
        (["graph.relations=2"], GraphError, r"relations=2"),
        (
            ["graph.relations=0", "method_kwargs.graph_alpha=1"],
            GraphError,
            r"No two images.*method_kwargs\.graph_alpha",
        ),
        (
            ["method_kwargs.graph_alpha=1", "method_kwargs.related_share=0"],
            ConfigError,
            r"graph_alpha=1 .* of 64 images have none.*Set method_kwargs\.graph_alpha below 1, or .*related_share",
        ),
        (["method_kwargs.graph_alpha=1.5"], ConfigError, r"graph_alpha is 1\.5"),
        (["method_kwargs.related_share=0.1"], ConfigError, r"less than one related pair.*batch size of 20"),
        (["+method_kwargs.importance=true"], ConfigError, r"pal_spectral or pal_byol"),
        (["graph.noise=0.1", "graph.relations=0.002"], GraphError, r"No two of the 3 samples"),
    ],
)
def test_what_is_refused(overrides: list[str], error: type[PalError], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        train(small("pal_simclr", tmp_path, *overrides))


def test_importance_without_relations(tmp_path: Path) -> None:
    nothing = ["graph.relations=0", "method_kwargs.graph_alpha=0", "method_kwargs.importance=true"]
    with pytest.raises(ConfigError, match="composed along relations, and these are not"):
        train(small("pal_spectral", tmp_path, *nothing))


def test_an_oracle_of_labels_needs_labels() -> None:
    dataset = load_digits("train").subset(64, 0)
    graph = compose("pal_simclr", ["profile=debug"]).graph
    assert make_graph(graph, dataset).digest == oracle_graph(dataset.labels, 0.01).digest
    unlabelled = dataclasses.replace(dataset, labels=np.full_like(dataset.labels, -1))
    with pytest.raises(ConfigError, match=r"images of digits have none.*graph=pairs"):
        make_graph(graph, unlabelled)


def test_pairs_and_their_closure(tmp_path: Path) -> None:
    dataset = load_digits("train").subset(64, 0)
    a, b, c = dataset.ids[:3]
    (tmp_path / "pairs.csv").write_text(f"id_a,id_b\n{a},{b}\n{b},{c}\n", encoding="utf-8")
    for word, count in (("false", 2), ("true", 3)):
        overrides = [
            "profile=debug",
            "graph=pairs",
            f"graph.pairs={tmp_path / 'pairs.csv'}",
            f"graph.transitive={word}",
        ]
        assert relations(make_graph(compose("pal_simclr", overrides).graph, dataset)).num_pairs == count


def test_contradictions_are_named(tmp_path: Path) -> None:
    graph = digits_graph(tmp_path / "graph", [0, 1, 0], [1, 2, 2], [1, 1, -1])
    with pytest.raises(GraphError, match="0 and 2"):
        train(small("pal_simclr", tmp_path, "graph=file", f"graph.path={graph}"))


def test_a_transitive_graph_is_another_run_than_its_edges(tmp_path: Path) -> None:
    path = ["graph=file", f"graph.path={tmp_path / 'graph'}"]
    digits_graph(tmp_path / "graph", range(20), range(1, 21))
    train(small("pal_simclr", tmp_path, *path))
    digest = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["graph"]
    assert digest == SimilarityGraph.load(tmp_path / "graph").digest
    last = f"resume={tmp_path / 'run' / 'last.ckpt'}"
    assert train(small("pal_simclr", tmp_path, *path, last))["steps"] == 5  # nothing left to do
    (tmp_path / "graph").rename(tmp_path / "closed")
    digits_graph(tmp_path / "graph", range(20), range(1, 21), transitive=False)
    with pytest.raises(PalError, match="belongs to another run: graph:"):
        train(small("pal_simclr", tmp_path, *path, last))


def test_doubts() -> None:
    chain = {"name": "pairs", "parameters": {}, "transitive": True}
    graph = SimilarityGraph.from_edges(6, [0, 1, 2, 4], [1, 2, 3, 0], [1, 1, 1, -1], builder=chain)
    unrelated, large = doubts(graph, relations(graph), alpha=0.5, share=0.25, batch_size=16)
    assert "“not related” (1) only serve to find contradictions" in unrelated
    assert "one component of the closure holds 4 of 6 images" in large
    labels = oracle_graph([0, 0, 0, 0, 1, 1], 1.0)
    assert doubts(labels, relations(labels), alpha=0.5, share=0.0, batch_size=16) == []


def test_a_share_that_cannot_be_had() -> None:
    graph = SimilarityGraph.from_edges(40, [0, 1, 2, 3], [1, 0, 3, 2])
    known = relations(graph)  # 2 pairs
    for share, batch_size in ((0.25, 16), (0.5, 8), (0.0, 256)):
        assert PairComposition(known, batch_size, share).pairs == round(share * batch_size / 2)
        assert doubts(graph, known, alpha=0.5, share=share, batch_size=batch_size) == []
    (said,) = doubts(graph, known, alpha=0.5, share=0.5, batch_size=32)
    assert "related_share=0.5 of a batch of 32 is 8 related pairs, and there are 2: every batch holds them all" in said
    assert said.endswith("a share of 0.12")
    assert 2 * PairComposition(known, 32, 0.5).pairs / 32 == 0.125


def test_edges_without_one_back_are_counted() -> None:
    graph = SimilarityGraph.from_edges(6, [0, 1, 0, 2, 3, 4], [1, 0, 2, 3, 3, 5], [1, 1, 1, 1, 1, -1])
    said, unrelated = doubts(graph, relations(graph), alpha=0.5, share=0.0, batch_size=16)
    assert said.startswith("2 of the graph's 3 pairs have an edge in one direction only")
    assert "not related" in unrelated


def test_descriptions() -> None:
    labels = np.arange(100) % 5
    graph = oracle_graph(labels, 0.25, noise=0.1)
    asked = "(50 of 100 images asked about, 50 of them related to another)"
    expected = f"known relations of 25 % of all pairs {asked} from an oracle of labels, 10 % of whose answers are wrong"
    assert describe(graph, relations(graph)) == expected
    edges = SimilarityGraph.from_edges(4, [0, 1], [1, 0])
    assert describe(edges, relations(edges)) == "1 pair(s) known to be related among 2 of 4 images, from edges"
    near = knn_graph(np.array([[0.0], [1.0], [5.0], [6.0]], dtype=np.float32), 1)
    for graph, name in ((near, "knn"), (mutual(near), "mutual")):
        assert describe(graph, relations(graph)) == f"2 pair(s) of neighbours among 4 of 4 images, from {name}"


@pytest.mark.parametrize(
    ("builder", "said"),
    [
        ({"name": "oracle"}, "'oracle', and its parameter relations is None"),
        ({"name": "oracle", "parameters": {"relations": 1, "noise": "x"}}, "noise is 'x'"),
        ({"name": "oracle", "parameters": {"relations": 1, "noise": np.float32(0)}}, "images is None"),
        ({"name": "answers", "parameters": {}}, "'answers', and its parameter must_link is None"),
    ],
)
@pytest.mark.parametrize("edges", [[], [0, 1]])
def test_another_maker_that_calls_itself_as_ours(builder: dict[str, Any], said: str, edges: list[int]) -> None:
    """Also where nothing is related: what a run has of its graph is read after the training."""
    graph = SimilarityGraph.from_edges(4, edges, edges[::-1], builder=builder)
    with pytest.raises(GraphError, match=said):
        describe(graph, relations(graph))
    if builder["name"] == "oracle":
        with pytest.raises(GraphError, match=said):
            figures(graph, relations(graph))
