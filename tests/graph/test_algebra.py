"""Graphs from graphs, against dense matrices and loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import GraphError, ManifestError
from pal_plugin.graph import SimilarityGraph, algebra, hop, knn_graph, mix, mutual, symmetrise, union

pytestmark = pytest.mark.filterwarnings("error")
SIGNED = (np.nan, np.nan, -1.0, -0.5, 0.0, 0.5, 1.0)
POSITIVE = (np.nan, np.nan, 0.25, 0.5, 1.0)


@st.composite
def graphs(draw, count=1, cells=SIGNED, largest=7):
    """Graphs of one size, as (dense weights with NaN for no edge, graph with rows in any order)."""
    size = draw(st.integers(1, largest))
    made = []
    for _ in range(count):
        values = draw(st.lists(st.sampled_from(cells), min_size=size**2, max_size=size**2))
        dense = np.array(values).reshape(size, size)
        rows, columns = np.nonzero(~np.isnan(dense))
        order = np.array(draw(st.permutations(range(rows.size))), dtype=int)
        rows, columns = rows[order], columns[order]
        made.append((dense, SimilarityGraph.from_edges(size, rows, columns, dense[rows, columns])))
    return made if count > 1 else made[0]


def dense_of(graph):
    found = np.full((graph.num_nodes, graph.num_nodes), np.nan)
    found[graph.sources, graph.indices] = graph.weights
    return found


def same(left, right):
    return np.array_equal(dense_of(left), dense_of(right), equal_nan=True)


def stronger(*weights):
    """The weight of largest magnitude, the negative one of two; NaN where none is a number."""
    there = [w for w in weights if not np.isnan(w)]
    return min(there, key=lambda w: (-abs(w), w)) if there else np.nan


def lists(graph):
    return [graph.neighbours(node)[0].tolist() for node in range(graph.num_nodes)]


@given(graphs())
def test_mutual_is_a_and_its_transpose(made):
    dense, graph = made
    expected = np.full_like(dense, np.nan)
    for i in range(len(dense)):
        for j in range(len(dense)):
            if np.sign(dense[i, j]) == np.sign(dense[j, i]):
                expected[i, j] = min(dense[i, j], dense[j, i], key=abs)
    found = mutual(graph)
    assert np.array_equal(dense_of(found), expected, equal_nan=True)
    assert np.array_equal(dense_of(found), dense_of(found).T, equal_nan=True)
    assert mutual(found).digest == found.digest
    for node, row in enumerate(lists(found)):
        assert row == [j for j in graph.neighbours(node)[0] if j in row]


@given(graphs())
def test_symmetrise_is_a_or_its_transpose(made):
    dense, graph = made
    expected = [[stronger(a, b) for a, b in zip(*pair, strict=True)] for pair in zip(dense, dense.T, strict=True)]
    found = symmetrise(graph)
    assert np.array_equal(dense_of(found), np.array(expected), equal_nan=True)
    assert symmetrise(found).digest == found.digest
    before = lists(graph)
    for node, row in enumerate(lists(found)):
        assert row[: len(before[node])] == before[node]
        ranks = [(before[j].index(node), j) for j in row[len(before[node]) :]]
        assert ranks == sorted(ranks)


@given(graphs(cells=POSITIVE))
def test_mutual_and_symmetric_graphs_are_each_others_fixed_points(made):
    _, graph = made
    assert mutual(symmetrise(graph)).digest == symmetrise(graph).digest
    assert symmetrise(mutual(graph)).digest == mutual(graph).digest


@given(graphs(count=3))
def test_union_is_commutative_up_to_order_associative_and_idempotent(made):
    (first, a), (second, b), (third, c) = made
    expected = np.array(
        [[stronger(*cells) for cells in zip(*rows, strict=True)] for rows in zip(first, second, third, strict=True)]
    )
    assert np.array_equal(dense_of(union(a, b, c)), expected, equal_nan=True)
    assert same(union(a, b), union(b, a))
    assert same(union(union(a, b), c), union(a, union(b, c)))
    assert union(a, a).digest == a.digest == union(a).digest


@given(graphs(count=2))
def test_a_row_of_a_union_takes_the_graphs_in_turn(made):
    (_, a), (_, b) = made
    for mine, yours, row in zip(lists(a), lists(b), lists(union(a, b)), strict=True):
        turns = [j for rank in range(7) for j in (*mine[rank : rank + 1], *yours[rank : rank + 1])]
        assert row == list(dict.fromkeys(turns))


def brute_hop(graph, n):
    """Breadth-first walks, node by node: {target: weight} in the order found."""
    found = []
    for start in range(graph.num_nodes):
        reached = dict(zip(*(part.tolist() for part in graph.neighbours(start)), strict=True))
        front = [(j, w) for j, w in reached.items() if w > 0 and j != start]
        for _ in range(n - 1):
            ahead = []
            for node, weight in front:
                for target, more in zip(*graph.neighbours(node), strict=True):
                    if more > 0 and target != start and target not in reached:
                        reached[int(target)] = weight * float(more)
                        ahead.append((int(target), weight * float(more)))
            front = ahead
        found.append(reached)
    return found


@given(graphs(), st.integers(1, 4))
def test_hop_is_a_breadth_first_walk(made, n):
    _, graph = made
    expected = brute_hop(graph, n)
    found = hop(graph, n)
    assert lists(found) == [list(row) for row in expected]
    assert found.weights.tolist() == [weight for row in expected for weight in row.values()]


@given(graphs(cells=POSITIVE), st.integers(1, 4))
def test_hop_is_a_boolean_power(made, n):
    dense, graph = made
    step = ~np.isnan(dense) | np.eye(len(dense), dtype=bool)
    power = np.linalg.matrix_power(step.astype(int), n) > 0
    np.fill_diagonal(power, ~np.isnan(np.diag(dense)))
    assert np.array_equal(~np.isnan(dense_of(hop(graph, n))), power)


@given(graphs(cells=POSITIVE))
def test_hops_add_up(made):
    _, graph = made
    assert hop(graph, 1).digest == graph.digest
    edges = ~np.isnan(dense_of(hop(hop(graph, 2), 2)))
    assert np.array_equal(edges, ~np.isnan(dense_of(hop(graph, 4))))


def test_the_blocks_of_a_hop_change_nothing(monkeypatch):
    graph = knn_graph(np.random.default_rng(0).standard_normal((300, 3)), 4)
    whole = hop(graph, 3)
    monkeypatch.setattr(algebra, "_BLOCK_WALKS", 100)
    assert hop(graph, 3).digest == whole.digest


def test_a_hop_ends_where_nothing_is_further_away():
    graph = knn_graph(np.random.default_rng(0).standard_normal((120, 3)), 4)
    assert hop(graph, 1_000_000).digest == hop(graph, 119).digest
    ring = SimilarityGraph.from_edges(50, range(50), np.roll(np.arange(50), -1))
    assert hop(ring, 10**9).num_edges == 50 * 49


def test_products_of_tiny_weights_stay_positive():
    graph = SimilarityGraph.from_edges(3, [0, 1], [1, 2], [1e-30, 1e-30])
    assert hop(graph).weights.min() > 0
    assert np.isfinite(hop(SimilarityGraph.from_edges(3, [0, 1], [1, 2], [1e30, 1e30])).weights).all()


@given(graphs(count=3, cells=POSITIVE), st.lists(st.sampled_from([0.0, 0.5, 1.0, 3.0]), min_size=3, max_size=3))
def test_mix_shares_the_draws(made, shares):
    if not any(shares):
        shares[0] = 1.0
    expected = np.zeros_like(made[0][0])
    for row in range(len(expected)):
        there = [s if (~np.isnan(dense[row])).any() else 0.0 for s, (dense, _) in zip(shares, made, strict=True)]
        for share, (dense, _) in zip(there, made, strict=True):
            if share:
                expected[row] += share / sum(there) * np.nan_to_num(dense[row]) / np.nansum(dense[row])
    found = mix([graph for _, graph in made], shares)
    assert np.allclose(np.nan_to_num(dense_of(found)), expected, rtol=1e-6, atol=0)
    assert np.array_equal(~np.isnan(dense_of(found)), expected > 0)
    if all(shares):
        assert lists(found) == lists(union(*(graph for _, graph in made)))


def test_weighted_draws_of_a_mixture_use_the_graphs_in_their_shares():
    near = SimilarityGraph.from_edges(8, [0], [1])
    far = SimilarityGraph.from_edges(8, [0] * 5 + [1], [2, 3, 4, 5, 6, 0])
    mixture = mix([near, far], [3, 1])
    drawn = mixture.draw_positive(np.zeros(2000, dtype=int), (np.arange(2000) + 0.5) / 2000, how="weighted")
    assert np.bincount(drawn, minlength=8).tolist() == [0, 1500, 100, 100, 100, 100, 100, 0]
    assert mixture.neighbours(1)[1].tolist() == [1.0]  # `near` has nothing to say of node 1
    assert mixture.builder["parameters"] == {"shares": [0.75, 0.25]}


@settings(max_examples=30)
@given(graphs(count=2, cells=POSITIVE), st.randoms(use_true_random=False))
def test_renaming_the_nodes_renames_the_result(made, random):
    size = made[0][1].num_nodes
    names = np.array(random.sample(range(size), size))

    def renamed(graph):
        return SimilarityGraph.from_edges(size, names[graph.sources], names[graph.indices], graph.weights)

    a, b = (graph for _, graph in made)
    for make in (mutual, symmetrise, hop):
        assert same(make(renamed(a)), renamed(make(a)))
    assert same(union(renamed(a), renamed(b)), renamed(union(a, b)))
    assert same(mix([renamed(a), renamed(b)], [1, 2]), renamed(mix([a, b], [1, 2])))


def test_data_set_builders_and_cost_are_kept():
    reference = {"name": "x", "split": "train", "size": 3, "digest": "d" * 64}
    asked = SimilarityGraph.from_edges(
        3, [0], [1], manifest=reference, builder={"name": "oracle", "parameters": {}, "cost": 7.5}
    )
    free = SimilarityGraph.from_edges(3, [1], [2], builder={"name": "free", "parameters": {}, "cost": 0.0})
    for graph, parents in (
        (mutual(asked), [asked]),
        (symmetrise(asked), [asked]),
        (hop(asked, 3), [asked]),
        (union(free, asked), [free, asked]),
        (mix([asked, free], [1, 1]), [asked, free]),
    ):
        assert graph.manifest == reference
        assert graph.builder["cost"] == 7.5
        assert graph.builder["parents"] == [parent.builder for parent in parents]
    assert hop(asked, 3).builder["parameters"] == {"n": 3}


def test_graphs_of_other_data_are_not_joined():
    def graph(digest, size=3):
        reference = {"name": "x", "split": "train", "size": size, "digest": digest}
        return SimilarityGraph.from_edges(size, [0], [1], manifest=reference)

    for join in (union, lambda a, b: mix([a, b], [1, 1])):
        with pytest.raises(ManifestError, match=r"x/train \(aaaa\).*x/train \(bbbb\)"):
            join(graph("aaaa"), graph("bbbb"))
        with pytest.raises(GraphError, match="3 nodes and another 4"):
            join(graph("aaaa"), graph("aaaa", size=4))


def test_what_makes_no_graph_is_refused():
    graph = SimilarityGraph.from_edges(3, [0], [1])
    with pytest.raises(GraphError, match="n=0"):
        hop(graph, 0)
    with pytest.raises(GraphError, match="no graph"):
        union()
    for shares in ([1.0], [1.0, -1.0], [0.0, 0.0], [np.nan, 1.0], [[1.0, 1.0]]):
        with pytest.raises(GraphError, match="do not fit 2 graphs"):
            mix([graph, graph], shares)
    with pytest.raises(GraphError, match="negative weight"):
        mix([graph, SimilarityGraph.from_edges(3, [0], [1], [-1.0])], [1, 1])


@pytest.mark.parametrize("make", [mutual, symmetrise, hop, union, lambda g: mix([g], [1])])
def test_of_no_edges_come_no_edges(make):
    assert make(SimilarityGraph.from_edges(3, [], [])).num_edges == 0
