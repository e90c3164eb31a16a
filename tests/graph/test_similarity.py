"""The graph in memory: its rules, its neighbours, its draws and its parts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import SimilarityGraph

pytestmark = pytest.mark.filterwarnings("error")


@st.composite
def dense_graphs(draw):
    """(N, N) weights; NaN where there is no edge (0 is a weight)."""
    size = draw(st.integers(1, 7))
    cells = st.sampled_from([np.nan, np.nan, -1.0, 0.0, 0.5, 1.0])
    return np.array(draw(st.lists(cells, min_size=size**2, max_size=size**2))).reshape(size, size)


def graph_of(dense, **kwargs):
    rows, columns = np.nonzero(~np.isnan(dense))
    return SimilarityGraph.from_edges(len(dense), rows, columns, dense[rows, columns], **kwargs)


def arrays(**changes):
    values = {
        "indptr": np.array([0, 2, 2, 3], dtype=np.int64),
        "indices": np.array([1, 2, 0], dtype=np.int32),
        "weights": np.array([1, -1, 0.5], dtype=np.float32),
    }
    return {**values, **changes}


def test_rows():
    graph = SimilarityGraph(**arrays())
    assert (graph.num_nodes, graph.num_edges, graph.degree.tolist()) == (3, 3, [2, 0, 1])
    indices, weights = graph.neighbours(0)
    assert (indices.tolist(), weights.tolist()) == ([1, 2], [1, -1])
    assert graph.positives(0).tolist() == [1]
    assert graph.positives(1).tolist() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"indptr": np.array([0, 2, 2, 3], dtype=np.int32)}, "indptr must be a vector of int64"),
        ({"indices": np.array([1, 2, 0])}, "indices must be a vector of int32"),
        ({"weights": np.ones(3)}, "weights must be a vector of float32"),
        ({"weights": [1.0, 1.0, 1.0]}, "found list"),
        ({"indices": np.zeros((3, 1), dtype=np.int32)}, "shape"),
        ({"indptr": np.array([], dtype=np.int64)}, "start at 0"),
        ({"indptr": np.array([1, 2, 2, 3])}, "start at 0"),
        ({"indptr": np.array([0, 2, 1, 3])}, "falls at node 1"),
        ({"indptr": np.array([0, 2, 2, 4])}, "ends at 4"),
        ({"weights": np.ones(2, dtype=np.float32)}, "2 weights"),
        ({"indices": np.array([1, 3, 0], dtype=np.int32)}, "Edge 1 of the graph leads to node 3"),
        ({"indices": np.array([1, -1, 0], dtype=np.int32)}, "leads to node -1"),
        ({"weights": np.array([1, np.nan, 1], dtype=np.float32)}, "Edge 1 of the graph has the weight nan"),
        ({"weights": np.array([1, 1, -np.inf], dtype=np.float32)}, "weight -inf"),
        ({"indices": np.array([2, 2, 0], dtype=np.int32)}, "from node 0 to node 2 twice"),
        ({"manifest": {"name": "x", "size": 4}}, "manifest 4 samples"),
    ],
)
def test_broken_arrays_are_refused(changes, said):
    with pytest.raises(GraphError, match=said):
        SimilarityGraph(**arrays(**changes))


def test_arrays_are_frozen_and_the_callers_stay_writeable():
    mine = arrays()
    graph = SimilarityGraph(**mine)
    mine["indices"][0] = 0
    assert graph.indices[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        graph.indices[0] = 2
    with pytest.raises(AttributeError):
        graph.indices = mine["indices"]


def test_a_graph_travels_to_another_process():
    graph = SimilarityGraph(**arrays(), manifest={"name": "x", "size": 3})
    for other in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph)):
        assert other.neighbours(0)[0].tolist() == [1, 2]
        assert other.manifest == graph.manifest


@given(dense_graphs(), st.randoms(use_true_random=False))
def test_from_edges_keeps_the_order_of_each_row(dense, random):
    rows, columns = np.nonzero(~np.isnan(dense))
    order = list(range(rows.size))
    random.shuffle(order)
    graph = SimilarityGraph.from_edges(
        len(dense), rows[order], columns[order], dense[rows, columns][order], builder={"name": "test"}
    )
    for node in range(len(dense)):
        mine = columns[order][rows[order] == node]
        assert graph.neighbours(node)[0].tolist() == mine.tolist()
        assert graph.neighbours(node)[1].tolist() == dense[node, mine].tolist()
        assert graph.positives(node).tolist() == [j for j in mine if dense[node, j] > 0]


def test_from_edges_without_weights_gives_ones():
    assert SimilarityGraph.from_edges(3, [2, 0], [0, 1]).weights.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("rows", "columns", "weights"),
    [
        ([0], [3], None),
        ([-1], [0], None),
        ([0], [2**32], None),  # would be 0 as an int32
        ([0, 0], [1, 1], None),
        ([0], [1, 2], None),
        ([0], [1], [1.0, 2.0]),
        ([0], [1], [np.inf]),
        ([0.5], [1], None),
    ],
)
def test_broken_edge_lists_are_refused(rows, columns, weights):
    with pytest.raises(GraphError):
        SimilarityGraph.from_edges(3, rows, columns, weights)


@pytest.mark.parametrize("node", [-1, 3])
def test_a_node_out_of_range_is_never_another_node(node):
    graph = SimilarityGraph(**arrays())
    for ask in (graph.neighbours, graph.positives):
        with pytest.raises(GraphError, match="outside"):
            ask(node)
    for ask in (graph.subgraph, graph.batch_matrix, lambda nodes: graph.draw_positive(nodes, [0.0])):
        with pytest.raises(GraphError, match="outside"):
            ask([node])


@given(dense_graphs(), st.data())
def test_batch_matrix_equals_the_dense_one(dense, data):
    nodes = data.draw(st.lists(st.integers(0, len(dense) - 1), max_size=9))
    matrix = graph_of(dense).batch_matrix(nodes)
    assert matrix.is_coalesced()
    assert np.array_equal(matrix.to_dense().numpy(), np.nan_to_num(dense)[np.ix_(nodes, nodes)].astype(np.float32))


@given(dense_graphs(), st.data())
def test_subgraph_equals_the_dense_one(dense, data):
    nodes = data.draw(st.lists(st.integers(0, len(dense) - 1), unique=True))
    graph = graph_of(dense)
    part = graph.subgraph(nodes, manifest={"name": "part", "size": len(nodes)})
    found = np.full((len(nodes), len(nodes)), np.nan)
    for node in range(part.num_nodes):
        indices, weights = part.neighbours(node)
        found[node, indices] = weights
        kept = [nodes.index(j) for j in graph.neighbours(nodes[node])[0] if j in nodes]
        assert indices.tolist() == kept  # in the order of the whole graph
    assert np.array_equal(found, dense[np.ix_(nodes, nodes)], equal_nan=True)


def test_subgraph_names_a_node_once_and_drops_the_manifest():
    graph = SimilarityGraph(**arrays(), manifest={"name": "x", "size": 3})
    with pytest.raises(GraphError, match="distinct"):
        graph.subgraph([0, 0])
    assert graph.subgraph([0, 2]).manifest is None


@given(dense_graphs(), st.data())
def test_draws_follow_positive_edges_only(dense, data):
    graph = graph_of(dense)
    nodes = np.array(data.draw(st.lists(st.integers(0, len(dense) - 1), max_size=20)), dtype=np.int64)
    u = np.array(data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=nodes.size, max_size=nodes.size)))
    drawn = graph.draw_positive(nodes, u)
    assert drawn.dtype == np.int64
    for node, positive in zip(nodes, drawn, strict=True):
        options = graph.positives(node)
        assert positive in options if options.size else positive == -1


def test_draws_are_uniform_over_positive_edges():
    rng = np.random.default_rng(0)
    weights = [0.1, -1.0, 5.0, 1.0, 0.0]  # the size of a weight does not matter, its sign does
    graph = SimilarityGraph.from_edges(7, [2] * 5 + [3], [0, 1, 3, 4, 5, 2], [*weights, 1.0])
    draws = 30_000
    counts = np.bincount(graph.draw_positive(np.full(draws, 2), rng.random(draws)), minlength=7)
    assert counts[[1, 2, 5, 6]].sum() == 0
    assert np.abs(counts[[0, 3, 4]] - draws / 3).max() < 5 * np.sqrt(draws * 2 / 9)
    exact = graph.draw_positive(np.full(300, 2), (np.arange(300) + 0.5) / 300)
    assert np.bincount(exact, minlength=7)[[0, 3, 4]].tolist() == [100, 100, 100]


@given(dense_graphs(), st.data())
def test_nearest_and_furthest_are_the_first_and_the_last_positive_edge(dense, data):
    graph = graph_of(dense)
    u = data.draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=len(dense), max_size=len(dense)))
    options = [graph.positives(node).tolist() or [-1] for node in range(len(dense))]
    assert graph.draw_positive(np.arange(len(dense)), u, how="nearest").tolist() == [row[0] for row in options]
    assert graph.draw_positive(np.arange(len(dense)), u, "furthest").tolist() == [row[-1] for row in options]


@given(dense_graphs(), st.data())
def test_weighted_draws_follow_the_cumulated_weights_of_the_row(dense, data):
    graph = graph_of(dense)
    nodes = data.draw(st.lists(st.integers(0, len(dense) - 1), max_size=20))
    u = data.draw(st.lists(st.integers(0, 2**20 - 1), min_size=len(nodes), max_size=len(nodes)))
    u = (np.array(u, dtype=float) + 0.3) / 2**20  # on no boundary between edges, where rounding decides
    drawn = graph.draw_positive(np.array(nodes, dtype=np.int64), u, how="weighted")
    for node, share, positive in zip(nodes, u, drawn, strict=True):
        indices, weights = graph.neighbours(node)
        expected, passed = -1, 0.0
        for target, weight in zip(indices, weights, strict=True):
            passed += max(weight, 0)
            if share * np.maximum(weights, 0).sum() < passed:
                expected = target
                break
        assert positive == expected


def test_weighted_draws_keep_the_proportions_of_weights_of_any_size():
    for scale in (1e-38, 1.0, 1e37):
        weights = np.array([1.0, -3.0, 2.0, 5.0]) * scale
        graph = SimilarityGraph.from_edges(6, [0] * 4 + [1], [1, 2, 3, 4, 0], [*weights, 1e-30])
        drawn = graph.draw_positive(np.zeros(800, dtype=int), (np.arange(800) + 0.5) / 800, how="weighted")
        assert np.bincount(drawn, minlength=5).tolist() == [0, 100, 0, 200, 500]
        ends = graph.draw_positive([1, 0, 1], [np.nextafter(1.0, 0.0), np.nextafter(1.0, 0.0), 0.0], how="weighted")
        assert ends.tolist() == [0, 4, 0]


def test_another_way_to_draw_is_refused():
    with pytest.raises(ConfigError, match="did you mean uniform"):
        SimilarityGraph(**arrays()).draw_positive([0], [0.5], how="unifrom")


def test_the_largest_u_is_the_last_edge():
    last = np.nextafter(1.0, 0.0)
    for degree in (1, 2, 3, 5, 7, 1000):
        graph = SimilarityGraph.from_edges(degree + 1, [0] * degree, np.arange(1, degree + 1))
        assert graph.draw_positive([0, 0], [last, 0.0]).tolist() == [degree, 1]


@pytest.mark.parametrize("u", [[1.0], [-0.1], [np.nan], [0.1, 0.2]])
def test_random_numbers_outside_the_unit_interval_are_refused(u):
    with pytest.raises(GraphError):
        SimilarityGraph(**arrays()).draw_positive([0], u)


def test_an_empty_batch_and_an_empty_graph():
    graph = SimilarityGraph.from_edges(3, [], [])
    assert graph.draw_positive([0, 2], [0.5, 0.5]).tolist() == [-1, -1]
    assert graph.draw_positive([], []).size == 0
    assert graph.batch_matrix([]).shape == (0, 0)
    assert graph.subgraph([]).num_nodes == 0


@settings(max_examples=20)
@given(dense_graphs())
def test_a_reference_is_copied(dense):
    reference = {"name": "x", "split": "train", "size": len(dense), "digest": "d"}
    graph = graph_of(dense, manifest=reference)
    reference["name"] = "y"
    assert graph.manifest["name"] == "x"


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        ("builder", "x", "builder is a str, not a mapping"),
        ("builder", {"parents": [{"parents": [3]}]}, "builder is a int, not a mapping"),
        ("builder", {"parameters": 3}, "builder has parameters=3, not a mapping"),
        ("builder", {"parents": [{"cost": True}]}, "builder has cost=True, no number of 0 or more"),
        ("builder", {"name": []}, r"builder has name=\[\], not a text"),
        ("manifest", [1], "manifest is a list, not a mapping"),
        ("manifest", {"size": "x"}, "3 nodes and its manifest x samples"),
    ],
)
def test_what_a_graph_says_of_itself_has_its_types(part, value, named):
    with pytest.raises(GraphError, match=named):
        SimilarityGraph(**arrays(), **{part: value})
