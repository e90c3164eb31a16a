"""The graph of a stand-in oracle: all relations among the images it was asked about, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from pal_plugin.errors import GraphError, OracleError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.oracle import oracle_graph

LABELS = np.random.default_rng(3).integers(0, 10, 4096)


def components(graph):
    matrix = csr_matrix((graph.weights, graph.indices, graph.indptr), shape=(graph.num_nodes, graph.num_nodes))
    return connected_components(matrix, directed=True, connection="strong")[1]


def known(graph):
    return np.flatnonzero(graph.degree)


@given(st.lists(st.integers(-1, 3), min_size=2, max_size=30), st.integers(0, 3))
def test_with_all_labels_the_closure_is_the_classes(labels, seed):
    labels = np.array(labels)
    expected = (labels[:, None] == labels) & (labels != -1)
    np.fill_diagonal(expected, True)
    if (labels == -1).any() or expected.sum() == labels.size:
        with pytest.raises(GraphError, match=r"have one|No two"):
            oracle_graph(labels, 1.0, seed=seed)
        return
    graph = oracle_graph(labels, 1.0, seed=seed)
    found = components(graph)
    assert np.array_equal(found[:, None] == found, expected)
    assert graph.degree.max() <= 2
    assert (graph.weights == 1).all()


def test_a_hundredth_of_the_relations_are_a_tenth_of_the_labels():
    graph = oracle_graph(LABELS, 0.01)
    nodes = known(graph)
    assert nodes.size == 410
    assert graph.num_edges == 2 * (410 - 10)
    found = components(graph)
    assert np.array_equal(found[nodes][:, None] == found[nodes], LABELS[nodes][:, None] == LABELS[nodes])
    assert graph.builder == {
        "name": "oracle",
        "parameters": {"relations": 0.01, "noise": 0.0, "seed": 0, "images": 410},
        "cost": 410.0,
        "transitive": True,
    }


def test_more_relations_are_those_of_fewer_and_others():
    nodes = [set(known(oracle_graph(LABELS, share, seed=5))) for share in (0.001, 0.01, 0.1, 1)]
    assert nodes[0] < nodes[1] < nodes[2] < nodes[3]
    assert len(nodes[3]) == LABELS.size
    assert nodes[1] != set(known(oracle_graph(LABELS, 0.01, seed=6)))
    assert oracle_graph(LABELS, 0.01, seed=5).digest == oracle_graph(LABELS, 0.01, seed=5).digest


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_noise_is_the_share_of_wrong_labels(noise):
    graph = oracle_graph(LABELS, 0.25, noise=noise)
    found, taken = components(graph), np.zeros((10, 10), dtype=int)
    for component in np.unique(found[known(graph)]):
        members = np.bincount(LABELS[found == component], minlength=10)
        taken[members.argmax()] = members  # each class is the most of what the oracle takes for it
    wrong = taken[~np.eye(10, dtype=bool)]
    assert wrong.sum() == round(noise * 2048)
    assert np.abs(wrong - wrong.mean()).max() < 5 * np.sqrt(wrong.mean())  # any class is taken for any other
    assert set(known(graph)) == set(known(oracle_graph(LABELS, 0.25)))


def test_the_samples_of_a_selection_are_asked_about():
    chosen = np.random.default_rng(1).permutation(4096)[:300]
    graph = oracle_graph(LABELS, samples=chosen, noise=0.0)
    assert set(known(graph)) <= set(chosen.tolist())
    found = components(graph)[chosen]
    assert np.array_equal(found[:, None] == found, LABELS[chosen][:, None] == LABELS[chosen])
    assert (graph.builder["cost"], graph.builder["parameters"]["images"]) == (300, 300)
    assert graph.builder["parameters"]["relations"] == pytest.approx((300 / 4096) ** 2)
    wrong = components(oracle_graph(LABELS, samples=chosen, noise=0.1))[chosen]
    assert not np.array_equal(wrong[:, None] == wrong, LABELS[chosen][:, None] == LABELS[chosen])
    assert oracle_graph(LABELS, samples=np.array([], dtype=int)).num_edges == 0
    with pytest.raises(OracleError, match="twice"):
        oracle_graph(LABELS, samples=[1, 2, 1])
    with pytest.raises(OracleError, match="4096"):
        oracle_graph(LABELS, samples=[4096, 1])
    with pytest.raises(GraphError, match="1 of the 2 samples to ask about have no label, the first of them sample 3"):
        oracle_graph(np.array([0, 0, 1, -1]), samples=[0, 3])
    with pytest.raises(GraphError, match="No two of the 2 samples"):
        oracle_graph(np.array([0, 0, 1, -1]), samples=[0, 2])


def test_no_relations_make_a_graph_without_edges():
    graph = oracle_graph(LABELS, 0, noise=0.1)
    assert (graph.num_nodes, graph.num_edges, graph.builder["cost"]) == (4096, 0, 0)


def test_it_is_kept_on_disk_with_its_manifest(tmp_path):
    manifest = {"name": "x", "split": "train", "size": 4096, "digest": "d"}
    graph = oracle_graph(LABELS, 0.01, manifest=manifest)
    read = SimilarityGraph.load(graph.save(tmp_path / "graph"))
    assert (read.digest, read.builder, read.manifest) == (graph.digest, graph.builder, manifest)
    assert read.transitive


@pytest.mark.parametrize(
    ("labels", "relations", "noise", "said"),
    [
        ([0, 0], -0.1, 0, r"relations=-0.1.*graph.relations"),
        ([0, 0], 1.1, 0, "relations=1.1"),
        ([0, 0], float("nan"), 0, "relations=nan"),
        ([0, 0], 1, 1.5, r"noise=1.5.*graph.noise"),
        ([0.0, 0.0], 1, 0, "float64"),
        ([[0, 0]], 1, 0, "shape"),
        ([0, 0], "x", 0, r"relations='x'.*graph.relations"),
        ([0, 0], None, 0, "relations=None"),
        ([0, 0], True, 0, "relations=True"),
        ([0, 0], 1, "x", "noise='x'"),
        ([0, 0, -2, -3, -1], 0.1, 0, "Sample 2 has the label -2, which is no class"),
        ([0, 0, -1, -1], 1, 0, "need 4 labels, and 2 of 4"),
        ([-1, -1], 0.5, 0, "need 1 labels, and 0 of 2"),
        ([0, 1, 2], 1, 0, "No two of the 3"),
        ([0, 0, 0], 0.1, 0, "No two of the 1"),
        ([0, 0, 0], 1, 0.5, "all of one class"),
    ],
)
def test_what_makes_no_graph_is_refused(labels, relations, noise, said):
    with pytest.raises(GraphError, match=said):
        oracle_graph(np.array(labels), relations, noise=noise)


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0", True])
def test_what_is_no_seed(seed):
    with pytest.raises(GraphError, match=rf"seed={seed!r} is no seed.*graph\.seed"):
        oracle_graph([0, 0], 1, seed=seed)


def test_numbers_of_numpys_are_numbers():
    assert oracle_graph([0, 0, 1, 1], np.float32(1), noise=np.int64(0), seed=np.int64(3)).num_edges == 4


def test_unlabelled_samples_are_not_asked_about():
    labels = np.where(np.arange(4096) % 2, LABELS, -1)
    graph = oracle_graph(labels, 0.1)
    assert (labels[known(graph)] != -1).all()
    assert graph.builder["cost"] == round(np.sqrt(0.1) * 4096)
