"""The figures of a graph against loops over its edges, and the choice of anchors."""

from __future__ import annotations

import collections
import itertools
import json

import numpy as np
import pytest

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import SimilarityGraph, knn_graph, purity
from pal_plugin.graph.inspect import choose_anchors, in_degree, inspect, inspect_classes, node_purity, out_degree

LABELS = np.array([0, 0, 1, 1, 2, 2, -1, -1, 0, 1, 2, 0])


def random_graph(seed: int, nodes: int = 12, *, share: float = 0.25) -> SimilarityGraph:
    """Edges of both signs, self edges and nodes without any."""
    rng = np.random.default_rng(seed)
    pairs = [pair for pair in itertools.product(range(nodes), repeat=2) if rng.random() < share and pair[0] != 3]
    pairs = [pairs[place] for place in rng.permutation(len(pairs))]
    weights = rng.choice([-1.0, -0.25, 0.5, 1.0], len(pairs))
    rows, cols = zip(*pairs, strict=True)
    return SimilarityGraph.from_edges(nodes, rows, cols, weights)


def positives(graph: SimilarityGraph) -> dict[int, list[int]]:
    found = {}
    for node in range(graph.num_nodes):
        cols, weights = graph.neighbours(node)
        found[node] = [int(col) for col, weight in zip(cols, weights, strict=True) if weight > 0 and col != node]
    return found


def components(of: dict[int, list[int]]) -> list[set[int]]:
    parts = [{node} for node in of]
    for node, others in of.items():
        for other in others:
            joined = [part for part in parts if node in part or other in part]
            parts = [part for part in parts if part not in joined] + [set().union(*joined)]
    return parts


@pytest.mark.parametrize("seed", range(8))
def test_the_figures_equal_those_of_loops(seed):
    graph = random_graph(seed)
    of = positives(graph)
    edges = [(node, other) for node, others in of.items() for other in others]
    indegree = [sum(other == node for _, other in edges) for node in of]
    mean = sum(indegree) / len(indegree)
    second, third = (sum((value - mean) ** power for value in indegree) / len(indegree) for power in (2, 3))
    found = inspect(graph, LABELS, ks=(1, 2))

    assert found["nodes"] == 12
    assert found["edges"] == graph.num_edges
    assert found["positive_edges"] == len(edges)
    assert found["negative_edges"] == sum(graph.weights.tolist()[edge] < 0 for edge in range(graph.num_edges))
    assert found["self_edges"] == sum(node in graph.neighbours(node)[0] for node in of)
    degrees = sorted(len(others) for others in of.values())
    assert (found["degree"]["min"], found["degree"]["max"]) == (degrees[0], degrees[-1])
    assert found["degree"]["median"] == (degrees[5] + degrees[6]) / 2
    assert found["degree"]["mean"] == pytest.approx(len(edges) / 12)
    assert found["without_edges"] == degrees.count(0) >= 1
    parts = components(of)
    assert found["components"] == len(parts)
    assert found["largest_component"] == max(len(part) for part in parts)
    assert found["reciprocity"] == pytest.approx(sum((b, a) in edges for a, b in edges) / len(edges))
    assert found["hubness"]["skewness"] == pytest.approx(third / second**1.5)
    assert found["hubness"]["max_in_degree"] == max(indegree)
    assert found["hubness"]["orphans"] == indegree.count(0)
    assert in_degree(graph).tolist() == indegree
    assert out_degree(graph).tolist() == [len(others) for others in of.values()]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("seed", range(8))
def test_purity_counts_the_first_k_neighbours_with_two_labels(seed):
    graph = random_graph(seed, share=0.5)
    of = positives(graph)
    found = inspect(graph, LABELS, ks=(1, 3))
    for k in (1, 3):
        agree = [
            LABELS[node] == LABELS[other]
            for node, others in of.items()
            for other in others[:k]
            if -1 not in (LABELS[node], LABELS[other])
        ]
        assert found[f"purity@{k}"] == pytest.approx(np.mean(agree))
    for node, score in enumerate(node_purity(graph, LABELS, 3)):
        agree = [LABELS[node] == LABELS[other] for other in of[node][:3] if -1 not in (LABELS[node], LABELS[other])]
        assert np.isnan(score) if not agree else score == pytest.approx(np.mean(agree))
    pairs = [a == b for a, b in itertools.permutations(LABELS[LABELS >= 0].tolist(), 2)]
    assert found["chance"] == pytest.approx(np.mean(pairs))
    assert found["labelled"] == 10
    wrong = [
        LABELS[node] != LABELS[other]
        for node in of
        for other, weight in zip(*graph.neighbours(node), strict=True)
        if weight < 0 and -1 not in (LABELS[node], LABELS[other])
    ]
    assert found["negatives_right"] == pytest.approx(np.mean(wrong))


def test_the_purity_of_all_neighbours_is_that_of_the_graph_room():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, 200)
    graph = knn_graph(rng.normal(size=(200, 3)) + labels[:, None], 6)
    found = inspect(graph, labels, ks=(6,))
    assert found["purity@6"] == pytest.approx(purity(graph, labels))


def test_a_k_beyond_the_degree_is_cut_to_it():
    graph = knn_graph(np.arange(10.0)[:, None], 3)
    keys = [key for key in inspect(graph, np.zeros(10, dtype=int)) if key.startswith("purity@")]
    assert keys == ["purity@1", "purity@3"]


@pytest.mark.parametrize("seed", range(4))
def test_the_figures_of_classes_equal_those_of_loops(seed):
    graph = random_graph(seed, share=0.5)
    of = positives(graph)
    for found in inspect_classes(graph, LABELS):
        label = found["label"]
        nodes = np.flatnonzero(label == LABELS).tolist()
        led = [LABELS[other] for node in nodes for other in of[node] if LABELS[other] != -1]
        wrong = collections.Counter(int(other) for other in led if other != label)
        assert found["nodes"] == len(nodes)
        assert found["in_degree"] == pytest.approx(in_degree(graph)[nodes].mean())
        assert found["purity"] == pytest.approx(np.mean([other == label for other in led]))
        assert wrong[found["mistaken_for"]] == max(wrong.values())
        assert found["mistaken_share"] == pytest.approx(max(wrong.values()) / len(led))


# --- graphs of little content -----------------------------------------------------------------------------------------


def test_a_graph_without_edges():
    graph = SimilarityGraph.from_edges(5, [], [])
    found = inspect(graph, [0, 0, 1, 1, -1])
    assert found["without_edges"] == found["components"] == 5
    assert found["largest_component"] == 1
    assert found["reciprocity"] is None
    assert found["hubness"] == {"skewness": 0.0, "max_in_degree": 0, "orphans": 5}
    assert not [key for key in found if key.startswith("purity@")]
    assert inspect_classes(graph, [0, 0, 1, 1, -1])[1]["purity"] is None
    assert choose_anchors(graph, 3).size == 0


def test_edges_to_oneself_are_no_neighbours():
    graph = SimilarityGraph.from_edges(3, [0, 1, 2], [0, 1, 2])
    found = inspect(graph)
    assert (found["self_edges"], found["positive_edges"], found["without_edges"]) == (3, 0, 3)


def test_nothing_labelled_has_no_purity():
    graph = knn_graph(np.arange(6.0)[:, None], 2)
    found = inspect(graph, np.full(6, -1))
    assert found["purity@1"] is found["purity@2"] is found["chance"] is None
    assert inspect_classes(graph, np.full(6, -1)) == []
    assert np.isnan(node_purity(graph, np.full(6, -1))).all()


def test_a_graph_without_nodes_is_refused():
    with pytest.raises(GraphError, match="no nodes"):
        inspect(SimilarityGraph.from_edges(0, [], []))


@pytest.mark.parametrize("labels", [[0, 1], [[0], [1], [2]], ["a", "b", "c"], [0.5, 1.0, 2.0]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(GraphError, match="3 nodes, and the labels are"):
        inspect(SimilarityGraph.from_edges(3, [0], [1]), labels)


def test_k_below_one_is_refused():
    with pytest.raises(ConfigError, match="k=0"):
        inspect(SimilarityGraph.from_edges(3, [0], [1]), [0, 1, 2], ks=(4, 0))


# --- anchors ----------------------------------------------------------------------------------------------------------


def test_random_anchors_take_the_classes_in_turn():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat([0, 1, 2, -1], [60, 30, 8, 2]))
    graph = knn_graph(rng.normal(size=(100, 2)), 3)
    chosen = choose_anchors(graph, 10, labels=labels)
    assert np.unique(chosen).size == 10
    classes = labels[chosen].tolist()
    assert sorted(collections.Counter(classes).values()) == [2, 2, 3, 3]
    assert classes == sorted(classes, key=lambda label: (label == -1, label))
    assert chosen.tolist() == choose_anchors(graph, 10, labels=labels).tolist()
    assert chosen.tolist() != choose_anchors(graph, 10, labels=labels, seed=1).tolist()
    assert (labels[choose_anchors(graph, 100, labels=labels)] == -1).sum() == 2


def test_every_node_is_an_anchor_at_some_seed():
    graph = knn_graph(np.arange(8.0)[:, None], 2)
    assert {int(choose_anchors(graph, 1, seed=seed)[0]) for seed in range(60)} == set(range(8))


def test_nodes_without_neighbours_are_no_anchors_and_fewer_come_than_asked():
    graph = SimilarityGraph.from_edges(5, [0, 0, 2, 4], [1, 3, 2, 0], [1, 1, 1, -1])
    assert choose_anchors(graph, 10).tolist() == [0]
    assert choose_anchors(graph, 10, pick="hubs").tolist() == [0]


def test_the_worst_are_those_with_the_lowest_purity():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, 80)
    graph = knn_graph(rng.normal(size=(80, 2)) + labels[:, None], 5)
    scores = node_purity(graph, labels)
    chosen = choose_anchors(graph, 12, labels=labels, pick="worst")
    assert (
        sorted(scores[chosen].tolist()) == scores[chosen].tolist() == np.sort(scores[~np.isnan(scores)])[:12].tolist()
    )
    ties = [set(choose_anchors(graph, 12, labels=labels, pick="worst", seed=seed).tolist()) for seed in range(5)]
    assert any(tie != ties[0] for tie in ties)


def test_hubs_are_those_with_the_highest_in_degree():
    graph = SimilarityGraph.from_edges(6, [0, 1, 2, 3, 4, 5, 0], [2, 2, 3, 2, 3, 1, 5])
    assert choose_anchors(graph, 4, pick="hubs").tolist() == [2, 3, 1, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pick": "wurst"}, "worst"),
        ({"count": 0}, "0 anchors"),
        ({"pick": "worst"}, "two labelled ends"),
        ({"pick": "worst", "labels": [-1, -1, -1]}, "two labelled ends"),
    ],
)
def test_bad_choices_are_refused(arguments, message):
    graph = SimilarityGraph.from_edges(3, [0, 1], [1, 2])
    with pytest.raises(ConfigError, match=message):
        choose_anchors(graph, **({"count": 2} | arguments))
