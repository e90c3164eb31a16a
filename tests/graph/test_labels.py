"""The label graph: k others of one's class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph import label_graph, purity

FIRST = [270, 510, 820, 620]  # as the first form of label_graph drew them
DIGEST = "e4e46fe4eceb4a2142b3355c3c5212328d9fd231ca4e96e0b77a8e0cf26f415b"


@given(
    st.lists(st.integers(-1, 3), min_size=2, max_size=30).filter(
        lambda labels: any(labels.count(label) > 1 for label in labels if label != -1)
    ),
    st.integers(1, 6),
    st.integers(0, 3),
)
def test_each_has_k_others_of_its_class_or_all(labels, k, seed):
    graph = label_graph(np.array(labels), k, seed=seed)
    for node, label in enumerate(labels):
        row = graph.neighbours(node)[0].tolist()
        others = [j for j, other in enumerate(labels) if other == label and j != node and label != -1]
        assert len(row) == min(k, len(others))
        assert set(row) <= set(others)
    assert purity(graph, np.array(labels)) == 1
    assert graph.digest == label_graph(labels, k, seed=seed).digest


def test_others_are_drawn_uniformly():
    counts = sum(np.bincount(label_graph([0] * 5, 2, seed=s).neighbours(2)[0], minlength=5) for s in range(2000))
    assert counts[2] == 0
    assert np.abs(np.delete(counts, 2) - 1000).max() < 5 * np.sqrt(500)


def test_results_in_git_keep_their_graph():
    graph = label_graph(np.arange(1000) % 10, 4, manifest={"name": "x", "size": 1000, "digest": "d"})
    assert graph.builder == {"name": "labels", "parameters": {"k": 4, "seed": 0}, "cost": 0.0}
    assert graph.neighbours(0)[0].tolist() == FIRST
    assert graph.digest == DIGEST


@pytest.mark.parametrize(
    ("labels", "k", "said"),
    [
        ([0, 0], 0, "k=0"),
        ([0.0, 0.0], 1, "float64"),
        ([[0, 0]], 1, "shape"),
        ([0, 1, -1, -1], 1, "No two samples"),
        ([-1, -1], 1, "is unlabelled.*pal graph knn.*labelled=true"),
        (np.empty(0, dtype=int), 1, "No two samples"),
    ],
)
def test_what_makes_no_graph_is_refused(labels, k, said):
    with pytest.raises(GraphError, match=said):
        label_graph(labels, k)
