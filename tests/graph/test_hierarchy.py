"""The hierarchy graph: partners of one class, or of the class above it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pal_plugin.errors import GraphError
from pal_plugin.graph import hierarchy_graph, purity

FINE = np.array([0, 0, 1, 1, 1, 2, 2, 3, 3, 3, 3])
COARSE = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1])


@given(
    st.lists(st.integers(-1, 3), min_size=2, max_size=30).filter(
        lambda labels: any(labels.count(label) > 1 for label in labels if label != -1)
    ),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(0, 3),
)
def test_partners_are_others_of_the_class_or_of_the_one_above(labels, k, noise, seed):
    fine = np.array(labels)
    coarse = np.where(fine < 0, -1, fine // 2)
    graph = hierarchy_graph(fine, coarse, k, noise=noise, seed=seed)
    for node in range(len(fine)):
        row, times = graph.neighbours(node)
        level = fine if noise == 0 else coarse
        assert (level[row] == level[node]).all()
        assert node not in row
        assert times.sum() <= k
        if noise in (0, 1):
            others = (level == level[node]).sum() - 1 if level[node] >= 0 else 0
            assert times.sum() == (k if others else 0)
    assert graph.digest == hierarchy_graph(fine, coarse, k, noise=noise, seed=seed).digest


def test_pairs_have_the_probabilities_of_the_recipe():
    """Of a sample in a class of 2, itself one of the 5 of a coarse class, at noise .25."""
    k = 200_000
    partners, times = hierarchy_graph(FINE, COARSE, k, noise=0.25, seed=3).neighbours(0)
    share = np.zeros(len(FINE))
    share[partners] = times / k
    expected = np.array([0, 0.75 + 0.25 / 4, 0.25 / 4, 0.25 / 4, 0.25 / 4, 0, 0, 0, 0, 0, 0])
    assert np.abs(share - expected).max() < 5 * np.sqrt(0.25 / k)


def test_purity_falls_with_noise_as_the_sizes_of_the_classes_say():
    labels = np.arange(4000) % 8
    for noise in (0, 0.5, 1):
        graph = hierarchy_graph(labels, labels // 4, 4, noise=noise)
        assert purity(graph, labels) == pytest.approx(1 - noise * 3 / 4, abs=0.02)


def test_builder_says_how_it_was_made():
    graph = hierarchy_graph(FINE, COARSE, 4, noise=0.5, seed=2, manifest={"name": "x", "size": 11, "digest": "d"})
    assert graph.builder == {"name": "hierarchy", "parameters": {"k": 4, "noise": 0.5, "seed": 2}, "cost": 0.0}
    assert graph.manifest == {"name": "x", "size": 11, "digest": "d"}


@pytest.mark.parametrize(
    ("fine", "coarse", "k", "noise", "said"),
    [
        ([0, 0], [0, 0], 0, 0.5, "k=0"),
        ([0, 0], [0, 0], 1, 1.5, "noise=1.5"),
        ([0, 0], [0, 0], 1, float("nan"), "noise=nan"),
        ([0, 0], [0], 1, 0.5, "shape"),
        ([0.0, 0.0], [0, 0], 1, 0.5, "float64"),
        ([[0, 0]], [[0, 0]], 1, 0.5, "shape"),
        ([0, 1], [0, 1], 1, 0.5, "No two samples"),
        ([-1, -1], [-1, -1], 1, 0.5, "No two samples"),
        (np.empty(0, int), np.empty(0, int), 1, 0.5, "No two samples"),
    ],
)
def test_what_makes_no_graph_is_refused(fine, coarse, k, noise, said):
    with pytest.raises(GraphError, match=said):
        hierarchy_graph(fine, coarse, k, noise=noise)
