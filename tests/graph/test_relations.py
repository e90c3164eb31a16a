"""Unordered pairs by number, against lists of all of them."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph import Cliques, Edges, SimilarityGraph, relations, symmetrise

pytestmark = pytest.mark.filterwarnings("error")


def check(found, size, expected):
    """Every question that relations answer, against a set of pairs (i, j), i < j."""
    assert found.num_nodes == size
    assert found.num_pairs == len(expected)
    numbered = found.pairs(np.arange(found.num_pairs))
    assert numbered.shape == (len(expected), 2)
    assert numbered.dtype == np.int64
    assert {tuple(sorted(pair)) for pair in numbered.tolist()} == expected
    some = np.arange(found.num_pairs)[::-1][::2]
    np.testing.assert_array_equal(found.pairs(some), numbered[some])
    degree = [sum(node in pair for pair in expected) for node in range(size)]
    assert found.degree.tolist() == degree
    assert found.degree.dtype == np.int64
    assert found.known.tolist() == [d > 0 for d in degree]
    nodes = np.arange(size)
    related = found.related(nodes[:, None], nodes)
    assert related.dtype == np.bool_
    assert {tuple(pair) for pair in np.argwhere(np.triu(related)).tolist()} == expected
    np.testing.assert_array_equal(related, related.T)


@given(st.lists(st.integers(0, 6), max_size=12))
def test_cliques(component):
    expected = {(i, j) for i, j in itertools.combinations(range(len(component)), 2) if component[i] == component[j]}
    found = Cliques(component)
    check(found, len(component), expected)
    firsts = list(dict.fromkeys(component))
    assert found.component.tolist() == [firsts.index(c) for c in component]


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_edges(made):
    size, edges = made
    graph = SimilarityGraph.from_edges(size, [i for i, _ in edges], [j for _, j in edges])
    found = relations(graph)
    assert isinstance(found, Edges)
    assert found.graph is graph
    check(found, size, {(min(pair), max(pair)) for pair in edges if pair[0] != pair[1]})
    assert found.one_way == sum((j, i) not in edges for i, j in edges)


def test_edges_of_weight_zero_or_less_are_no_pairs():
    graph = SimilarityGraph.from_edges(4, [0, 1, 2, 2], [1, 2, 3, 2], [0.5, 0.0, -1.0, -1.0])
    check(relations(graph), 4, {(0, 1)})


def test_an_edge_and_a_reverse_of_the_other_sign():
    graph = SimilarityGraph.from_edges(4, [0, 1, 2, 3], [1, 0, 3, 2], [0.5, -1.0, 1.0, 1.0])
    with pytest.raises(GraphError, match=r"negative weight between 0 and 1\. .*pal graph symmetrise"):
        relations(graph)
    check(relations(symmetrise(graph)), 4, {(2, 3)})


@pytest.mark.parametrize("size", [2, 3, 5000, 1_300_000])
def test_numbers_of_a_large_component_are_exact(size):
    """8.45e11 pairs: a square root of doubles alone would be off by one here and there."""
    found = Cliques(np.concatenate([[1], np.zeros(size, dtype=np.int64), [1]]))
    assert found.num_pairs == size * (size - 1) // 2 + 1
    rng = np.random.default_rng(0)
    j = np.unique(np.concatenate([rng.integers(1, size, 20_000), [1, size - 1]]))
    for i in (0 * j, j - 1):  # where one j begins and ends
        numbers = 1 + j * (j - 1) // 2 + i
        np.testing.assert_array_equal(found.pairs(numbers), np.stack([i, j], axis=1) + 1)
    assert found.pairs([0]).tolist() == [[0, size + 1]]


def test_nothing_of_the_size_of_the_pairs_is_kept():
    component = np.random.default_rng(0).integers(0, 10, 50_000)
    tracemalloc.start()
    found = Cliques(component)
    pairs = found.pairs(np.arange(0, found.num_pairs, 100_000))
    found.related(pairs[:, 0], pairs[:, 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.num_pairs > 120_000_000
    assert peak < 10_000_000


@pytest.mark.parametrize("made", [Cliques([0, 1, 0]), Edges(SimilarityGraph.from_edges(3, [0], [2]))])
def test_what_is_out_of_range(made):
    for numbers in ([1], [-1], [0, 5]):
        with pytest.raises(GraphError, match="there are 1"):
            made.pairs(numbers)
    for a, b in (([0], [3]), ([-1], [0]), (np.array([[0], [3]]), np.array([0, 1]))):
        with pytest.raises(GraphError, match=r"outside \[0, 3\)"):
            made.related(a, b)
    for wrong in ([0.5], [True]):
        with pytest.raises(GraphError, match="vector of integers"):
            made.pairs(wrong)
        with pytest.raises(GraphError, match="vector of integers"):
            made.related(wrong, [0])


def test_components_that_are_none():
    with pytest.raises(GraphError, match="Sample 1 is in component -1"):
        Cliques([0, -1, 2])
    for wrong in (np.zeros((2, 2), dtype=int), [0.0, 1.0]):
        with pytest.raises(GraphError, match="component must be a vector of integers"):
            Cliques(wrong)


def test_no_relation_at_all():
    for made in (Cliques([0, 1, 2]), Edges(SimilarityGraph.from_edges(3, [], [])), Cliques([])):
        assert made.num_pairs == 0
        assert not made.known.any()
        assert made.pairs([]).shape == (0, 2)
    assert not made.related([], []).size
