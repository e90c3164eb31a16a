"""The partition against the closure by matrix powers, and against the closure of its own graph."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph.closure import closure
from pal_plugin.graph.partition import Partition

NODES = 9
operations = st.lists(
    st.tuples(st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.sampled_from([1, 1, -1])), max_size=30
)


def by_powers(relations: list[tuple[int, int, int]], nodes: int = NODES) -> np.ndarray:
    """Closure (nodes, nodes) of consistent relations: +1, −1 or 0, by powers of the boolean matrix."""
    linked, apart = np.eye(nodes, dtype=int), np.zeros((nodes, nodes), dtype=int)
    for a, b, relation in relations:
        matrix = linked if relation == 1 else apart
        matrix[a, b] = matrix[b, a] = 1
    related = (np.linalg.matrix_power(linked, nodes) > 0).astype(int)
    unrelated = related @ apart @ related > 0
    return np.where(related > 0, 1, np.where(unrelated, -1, 0))


def pairs_known(matrix: np.ndarray) -> tuple[int, int]:
    upper = matrix[np.triu_indices(len(matrix), 1)]
    return int((upper == 1).sum()), int((upper == -1).sum())


@settings(max_examples=200, deadline=None)
@given(operations)
def test_every_relation_is_the_closure_by_matrix_powers(steps: list[tuple[int, int, int]]) -> None:
    partition, accepted = Partition(NODES), []
    for a, b, relation in steps:
        before = by_powers(accepted)
        if before[a, b] == -relation:
            with pytest.raises(GraphError, match="known to be"):
                partition.add(a, b, relation)
            gained = 0
        else:
            accepted.append((a, b, relation))
            gained = partition.add(a, b, relation)
        after = by_powers(accepted)
        everything = partition.relation(np.arange(NODES)[:, None], np.arange(NODES))
        np.testing.assert_array_equal(everything, after)
        assert partition.relation(a, b) == after[a, b]
        assert everything.dtype == np.int8
        assert (partition.num_related, partition.num_unrelated) == pairs_known(after)
        assert gained == sum(pairs_known(after)) - sum(pairs_known(before))
        assert partition.num_components == len(np.unique(after == 1, axis=0))


@settings(max_examples=100, deadline=None)
@given(operations)
def test_members_sizes_and_who_is_apart_agree_with_the_relations(steps: list[tuple[int, int, int]]) -> None:
    partition = Partition(NODES)
    for a, b, relation in steps:
        if partition.relation(a, b) != -relation:
            partition.add(a, b, relation)
    everything = partition.relation(np.arange(NODES)[:, None], np.arange(NODES))
    roots = partition.roots(np.arange(NODES))
    for node in range(NODES):
        members = np.flatnonzero(everything[node] == 1)
        np.testing.assert_array_equal(partition.members(node), members)
        assert partition.size(node) == members.size
        np.testing.assert_array_equal(np.isin(roots, partition.apart(node)), everything[node] == -1)
        assert roots[node] in members


@settings(max_examples=100, deadline=None)
@given(operations)
def test_the_graphs_closure_is_the_partition_again(steps: list[tuple[int, int, int]]) -> None:
    partition = Partition(NODES)
    for a, b, relation in steps:
        if partition.relation(a, b) != -relation:
            partition.add(a, b, relation)
    graph = partition.graph(builder={"name": "answers", "parameters": {}, "cost": 3.0})
    assert graph.transitive
    assert graph.builder["cost"] == 3.0
    closed = closure(graph)
    np.testing.assert_array_equal(closed.component, partition.component)
    assert not len(closed.contradictions)
    again = Partition(NODES)
    for a, b, weight in zip(graph.sources.tolist(), graph.indices.tolist(), graph.weights.tolist(), strict=True):
        again.add(a, b, int(weight))
    every = np.arange(NODES)
    np.testing.assert_array_equal(again.relation(every[:, None], every), partition.relation(every[:, None], every))
    # a chain a component, one edge for each two components apart, both ways
    assert graph.num_edges == 2 * (NODES - partition.num_components) + 2 * len(closed.apart)


def test_a_copy_goes_its_own_way() -> None:
    partition = Partition(5)
    partition.join(0, 1)
    partition.separate(1, 2)
    twin = partition.copy()
    twin.join(2, 3)
    twin.join(1, 4)
    assert partition.relation(0, [1, 2, 3, 4]).tolist() == [1, -1, 0, 0]
    assert twin.relation(0, [1, 2, 3, 4]).tolist() == [1, -1, -1, 1]
    assert (partition.num_related, partition.num_unrelated) == (1, 2)
    assert (twin.num_related, twin.num_unrelated) == (4, 6)


def test_a_contradiction_changes_nothing() -> None:
    partition = Partition(4)
    partition.join(0, 1)
    partition.separate(1, 2)
    for refused in (lambda: partition.join(0, 2), lambda: partition.separate(0, 1), lambda: partition.separate(3, 3)):
        with pytest.raises(GraphError):
            refused()
        assert partition.apart(3).size == 0
        assert (partition.num_related, partition.num_unrelated, partition.num_components) == (1, 2, 3)


def test_a_node_is_related_to_itself_and_joining_it_to_itself_teaches_nothing() -> None:
    partition = Partition(2)
    assert partition.relation(1, 1) == 1
    assert partition.join(1, 1) == 0


@pytest.mark.parametrize("node", [-1, 3, 10**9])
def test_nodes_out_of_range_are_named(node: int) -> None:
    partition = Partition(3)
    for use in (partition.members, partition.apart, partition.roots, partition.size):
        with pytest.raises(GraphError, match=str(node)):
            use(node)
    with pytest.raises(GraphError, match=str(node)):
        partition.join(0, node)
    with pytest.raises(GraphError, match=str(node)):
        partition.relation(0, node)


@pytest.mark.parametrize("relation", [0, 2, None])
def test_what_is_no_relation_is_refused(relation: int) -> None:
    with pytest.raises(GraphError, match="no relation"):
        Partition(3).add(0, 1, relation)


def test_empty_and_wrong_numbers_of_nodes() -> None:
    empty = Partition(0)
    assert empty.component.size == 0
    assert empty.relation(np.zeros(0, dtype=int), np.zeros(0, dtype=int)).size == 0
    assert empty.graph(builder={"name": "answers"}).num_nodes == 0
    with pytest.raises(GraphError, match="num_nodes=-1"):
        Partition(-1)
    with pytest.raises(GraphError, match="integers"):
        Partition(3).roots([0.5])


def test_a_hundred_thousand_relations_of_fifty_thousand_samples_take_seconds_at_most() -> None:
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 10, 50_000)
    pairs = generator.integers(0, 50_000, (100_000, 2))
    related = np.where(classes[pairs[:, 0]] == classes[pairs[:, 1]], 1, -1)
    different = pairs[:, 0] != pairs[:, 1]
    partition = Partition(50_000)
    started = time.process_time()
    for (a, b), relation in zip(pairs[different].tolist(), related[different].tolist(), strict=True):
        partition.add(a, b, relation)
    assert time.process_time() - started < 5  # a quarter of a second when alone; quadratic would be minutes
    seen = partition.relation(pairs[:, 0], pairs[:, 1])
    np.testing.assert_array_equal(seen[different], related[different])
