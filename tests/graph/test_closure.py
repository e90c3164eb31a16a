"""The closure of known relations: its components, what is apart, what contradicts what."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph import (
    Cliques,
    Edges,
    SimilarityGraph,
    closure,
    hop,
    knn_graph,
    mix,
    mutual,
    pairs_graph,
    relations,
    symmetrise,
    union,
)

pytestmark = pytest.mark.filterwarnings("error")


@st.composite
def signed_graphs(draw, transitive=True):
    size = draw(st.integers(1, 9))
    nodes = st.integers(0, size - 1)
    edges = draw(st.dictionaries(st.tuples(nodes, nodes), st.sampled_from([1.0, 0.5, 0.0, -1.0]), max_size=12))
    rows, columns = [i for i, _ in edges], [j for _, j in edges]
    return graph_of(size, rows, columns, list(edges.values()), transitive=transitive)


def graph_of(size, rows, columns, weights=None, *, transitive=True, **kwargs):
    builder = {"name": "test", "parameters": {}, "transitive": transitive}
    return SimilarityGraph.from_edges(size, rows, columns, weights, builder=builder, **kwargs)


def reachable(graph):
    """(N, N) bool by Warshall: who follows from whom, whatever the direction of the edges."""
    size = graph.num_nodes
    reach = np.eye(size, dtype=bool)
    for i, j, weight in zip(graph.sources, graph.indices, graph.weights, strict=True):
        if weight > 0:
            reach[i, j] = reach[j, i] = True
    for k, i, j in itertools.product(range(size), repeat=3):
        reach[i, j] |= reach[i, k] and reach[k, j]
    return reach


@given(signed_graphs())
def test_equal_to_warshall(graph):
    closed, reach = closure(graph), reachable(graph)
    component = closed.component
    assert component.dtype == np.int64
    np.testing.assert_array_equal(component[:, None] == component, reach)
    firsts = [int(np.flatnonzero(row)[0]) for row in reach]
    assert component.tolist() == [sorted(set(firsts)).index(first) for first in firsts]
    unrelated = {
        (min(i, j), max(i, j))
        for i, j, weight in zip(graph.sources.tolist(), graph.indices.tolist(), graph.weights, strict=True)
        if weight < 0
    }
    assert [tuple(pair) for pair in closed.contradictions.tolist()] == sorted(
        (i, j) for i, j in unrelated if reach[i, j]
    )
    apart = {tuple(sorted((int(component[i]), int(component[j])))) for i, j in unrelated if not reach[i, j]}
    assert [tuple(pair) for pair in closed.apart.tolist()] == sorted(apart)
    assert closed.apart.shape == (len(apart), 2)


def test_nothing_known():
    for size in (0, 3):
        closed = closure(graph_of(size, [], []))
        assert closed.component.tolist() == list(range(size))
        assert closed.apart.shape == closed.contradictions.shape == (0, 2)


def test_a_long_chain():
    """Recursion would end here."""
    n = np.random.default_rng(0).permutation(200_000)
    closed = closure(graph_of(n.size, n[:-1], n[1:]))
    assert (closed.component == 0).all()


@given(signed_graphs())
def test_relations_of_a_transitive_graph_are_its_closures(graph):
    reach = reachable(graph)
    contradictory = any(
        weight < 0 and reach[i, j] for i, j, weight in zip(graph.sources, graph.indices, graph.weights, strict=True)
    )
    if contradictory:
        with pytest.raises(GraphError, match="unrelated, and relates them through others: "):
            relations(graph)
        return
    found = relations(graph)
    assert isinstance(found, Cliques)
    nodes = np.arange(graph.num_nodes)
    np.testing.assert_array_equal(found.related(nodes[:, None], nodes), reach & ~np.eye(len(nodes), dtype=bool))


def test_contradictions_are_named_and_counted():
    nodes = np.arange(9)
    against = [(0, j) for j in range(2, 9)]
    rows, columns = [*nodes[:-1], *(i for i, _ in against)], [*nodes[1:], *(j for _, j in against)]
    graph = graph_of(9, rows, columns, [1.0] * 8 + [-1.0] * 7)
    with pytest.raises(GraphError, match=r"others: 0 and 2, 0 and 3, 0 and 4, 0 and 5, 0 and 6, and 2 more\. Correct"):
        relations(graph)
    assert isinstance(relations(graph_of(9, rows, columns, [1.0] * 8 + [-1.0] * 7, transitive=False)), Edges)


def test_transitive_is_kept_on_disk_and_counts_in_the_digest(tmp_path):
    graph = graph_of(3, [0, 1], [1, 2])
    plain = graph_of(3, [0, 1], [1, 2], transitive=False)
    loaded = SimilarityGraph.load(graph.save(tmp_path / "graph"))
    assert loaded.transitive is graph.transitive is True
    assert plain.transitive is SimilarityGraph.from_edges(3, [0], [1]).transitive is False
    assert loaded.digest == graph.digest != plain.digest
    assert plain.digest == SimilarityGraph.from_edges(3, [0, 1], [1, 2]).digest
    assert relations(loaded).num_pairs == 3
    assert relations(plain).num_pairs == 2


@pytest.mark.parametrize("word", ["yes", 1, None])
def test_transitive_is_true_or_false(word):
    with pytest.raises(GraphError, match=r"transitive=.*neither true nor false"):
        graph_of(2, [0], [1], transitive=word)


def test_algebra_of_transitive_graphs():
    left, right = graph_of(5, [0, 3], [1, 4]), graph_of(5, [1], [2])
    plain = graph_of(5, [1], [2], transitive=False)
    joined = union(left, right)
    assert joined.transitive
    assert closure(joined).component.tolist() == [0, 0, 0, 1, 1]
    assert symmetrise(left).transitive
    np.testing.assert_array_equal(closure(symmetrise(left)).component, closure(left).component)
    for other in (union(left, plain), union(plain, left), symmetrise(plain)):
        assert "transitive" not in other.builder
    for other in (mutual(left), hop(left), mix([left, right], [1, 1]), left.subgraph([0, 1])):
        assert not other.transitive
    assert not knn_graph(np.random.default_rng(0).random((20, 2)), 2).transitive


def test_transitive_pairs(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("index_a,index_b,relation\n0,1,must-link\n2,1,must-link\n0,3,cannot-link\n")
    graph, plain = pairs_graph(path, "abcde", transitive=True), pairs_graph(path, "abcde")
    assert relations(graph).num_pairs == 3
    assert relations(plain).num_pairs == 2
    assert closure(graph).apart.tolist() == [[0, 1]]
    assert plain.builder == {key: value for key, value in graph.builder.items() if key != "transitive"}
    with path.open("a") as file:
        file.write("2,0,cannot-link\n")
    with pytest.raises(GraphError, match=r"pairs\.csv says .* through others: 'a' and 'c'\. Correct a relation"):
        pairs_graph(path, "abcde", transitive=True)
    assert pairs_graph(path, "abcde").num_edges == 8
