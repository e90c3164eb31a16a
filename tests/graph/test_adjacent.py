"""Adjacent frames against loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph import adjacent_graph

pytestmark = pytest.mark.filterwarnings("error")


def lists(graph):
    return [graph.neighbours(node)[0].tolist() for node in range(graph.num_nodes)]


def brute(groups, times, window):
    found = []
    for i, (group, time) in enumerate(zip(groups, times, strict=True)):
        others = [
            (abs(times[j] - time), j)
            for j in range(len(groups))
            if j != i and groups[j] == group and abs(times[j] - time) <= window
        ]
        found.append([j for _, j in sorted(others)])
    return found


def same_as_brute(given, groups, times, window):
    """The graph is the loop's; where the loop finds no edge, the refusal names the smallest window that has one."""
    expected = brute(groups, times, window)
    if any(expected):
        assert lists(adjacent_graph(given, window)) == expected
        return
    with pytest.raises(GraphError) as caught:
        adjacent_graph(given, window)
    enough = next((wider for wider in range(window + 1, 40) if any(brute(groups, times, wider))), None)
    assert (f"in steps of {enough} or more" in caught.value.what) == (enough is not None)
    assert ("one sequence with another" in caught.value.what) == (enough is None)


@given(st.lists(st.integers(-2, 3), max_size=25), st.integers(1, 6))
def test_groups_count_their_rows(groups, window):
    times = [groups[:row].count(group) for row, group in enumerate(groups)]
    same_as_brute(np.array(groups, dtype=np.int64), groups, times, window)


@given(
    st.lists(st.tuples(st.sampled_from(["a/frame_", "b/", "", "c2 x-"]), st.integers(0, 12)), max_size=20, unique=True),
    st.sampled_from([".png", "", ".jp2", " end"]),
    st.integers(1, 6),
)
def test_ids_name_the_sequence_and_the_time(frames, after, window):
    ids = [f"{group}{time:0{1 + row % 3}d}{after}" for row, (group, time) in enumerate(frames)]
    same_as_brute(ids, [group for group, _ in frames], [time for _, time in frames], window)


def test_order_of_rows_and_missing_frames_do_not_matter_to_ids():
    ids = ("v/10.jpg", "v/9.jpg", "v/7.jpg", "w/8.jpg", "v/8.png", "v/09.jpg")
    assert lists(adjacent_graph(ids)) == [[1, 5], [5, 0], [], [], [], [1, 0]]
    assert lists(adjacent_graph(ids, window=2))[2] == [1, 5]


def test_the_number_before_an_extension_is_the_time():
    assert lists(adjacent_graph(["v1.final_0009", "v1.final_0010"])) == [[1], [0]]
    assert lists(adjacent_graph(["clip_3.0009", "clip_3.0010", "clip_4.0009"])) == [[1], [0], []]
    assert lists(adjacent_graph(["3.mp4", "4.mp4", "4.mp5"])) == [[1], [0], []]


def test_edges_are_symmetric_and_stay_in_their_sequence():
    groups = np.random.default_rng(0).integers(0, 40, 2000)
    graph = adjacent_graph(groups, window=3)
    pairs = set(zip(graph.sources.tolist(), graph.indices.tolist(), strict=True))
    assert pairs == {(b, a) for a, b in pairs}
    assert (groups[graph.sources] == groups[graph.indices]).all()
    assert (graph.weights == 1).all()
    assert graph.degree.max() == 6
    assert graph.builder == {"name": "adjacent", "parameters": {"window": 3, "by": "groups"}, "cost": 0.0}


def test_a_manifest_is_kept():
    reference = {"name": "x", "split": "train", "size": 2, "digest": "d"}
    assert adjacent_graph([5, 5], 1, reference).manifest == reference


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (["a/1.png", "b/x.png"], "'b/x.png' has no number"),
        (["frame_" + "9" * 30], "no number"),
        ([1.5, 2.5], "float64"),
        ([[1], [2]], "shape"),
        (np.array(["1", 2], dtype=object), "object"),
    ],
)
def test_what_is_no_sequence_is_refused(groups, said):
    with pytest.raises(GraphError, match=said):
        adjacent_graph(groups)


def test_frames_numbered_in_fives_name_the_window_they_need():
    ids = [f"walk/{number:04d}.png" for number in range(0, 50, 5)]
    with pytest.raises(GraphError, match=r"window=1: .* steps of 5 or more. Set window=5 \(--window 5, graph.window=5"):
        adjacent_graph(ids)
    assert adjacent_graph(ids, 5).num_edges == 18


def test_a_window_reaches_somebody():
    with pytest.raises(GraphError, match="window=0"):
        adjacent_graph([1, 1], 0)
