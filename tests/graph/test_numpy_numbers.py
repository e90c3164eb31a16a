"""NumPy's numbers as parameters: builders take them as Python's, and a graph made with them is saved."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import GraphError
from pal_plugin.graph import (
    SimilarityGraph,
    adjacent_graph,
    factors_graph,
    hierarchy_graph,
    label_graph,
    radius_graph,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 8)).astype(np.float32)
Y = RANDOM.integers(0, 5, 60)

BUILDERS = {
    "labels": lambda number: label_graph(Y, number(3), seed=number(1)),
    "radius": lambda number: radius_graph(X, "adaptive", k=number(3), max_neighbours=number(5)),
    "adjacent": lambda number: adjacent_graph(Y, number(1)),
    "factors": lambda number: factors_graph(X, number(2), seed=number(1)),
    "hierarchy": lambda number: hierarchy_graph(Y, Y // 2, number(2), noise=0.25, seed=number(1)),
}


@pytest.mark.parametrize("name", BUILDERS)
def test_whole_numbers(name, tmp_path):
    graph, expected = BUILDERS[name](np.int64), BUILDERS[name](int)
    graph.save(tmp_path / "graph")
    found = SimilarityGraph.load(tmp_path / "graph")
    assert found.digest == graph.digest == expected.digest
    assert found.builder == expected.builder


def test_fractions(tmp_path):
    for name, graph in {
        "hierarchy": hierarchy_graph(Y, Y // 2, 2, noise=np.float32(0.25)),
        "factors": factors_graph(X, 2, probability=np.float32(0.25)),
        "radius": radius_graph(X, np.float32(2.5)),
    }.items():
        graph.save(tmp_path / name)
        assert SimilarityGraph.load(tmp_path / name).builder == graph.builder


@pytest.mark.parametrize("name", BUILDERS)
def test_counts_that_are_no_whole_numbers_are_refused(name):
    with pytest.raises(GraphError, match=r"=\d\.5 is no whole number"):
        BUILDERS[name](lambda value: value + 0.5)
