from __future__ import annotations

import json

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.errors import GraphError
from pal_plugin.graph import SimilarityGraph, factors_graph


def brute_force(factors: np.ndarray, draw: int, *, probability: float, seed: int) -> list[int]:
    """Return each sample's partner of one draw, from all distances."""
    generator = np.random.default_rng([seed, draw])
    others = generator.integers(len(factors) - 1, size=len(factors))
    taken = generator.random(factors.shape) < probability
    found = []
    for row in range(len(factors)):
        other = others[row] + (others[row] >= row)
        wanted = [factors[other, f] if taken[row, f] else factors[row, f] for f in range(factors.shape[1])]
        distances = np.linalg.norm(factors - wanted, axis=1)
        distances[row] = np.inf
        found.append(int(distances.argmin()))
    return found


@pytest.fixture
def factors() -> np.ndarray:
    return np.random.default_rng(3).uniform(-1, 1, (60, 4))


def test_partners_are_those_of_brute_force(factors):
    graph = factors_graph(factors, 5, probability=0.3, seed=7)
    expected = np.zeros((60, 60))
    for draw in range(5):
        for row, partner in enumerate(brute_force(factors, draw, probability=0.3, seed=7)):
            expected[row, partner] += 1
    found = np.zeros((60, 60))
    found[graph.sources, graph.indices] = graph.weights
    np.testing.assert_array_equal(found, expected)
    assert graph.builder == {"name": "factors", "parameters": {"k": 5, "probability": 0.3, "seed": 7}, "cost": 0.0}


def test_with_nothing_resampled_partners_are_nearest_neighbours(factors):
    distances = np.linalg.norm(factors[:, None] - factors, axis=2)
    np.fill_diagonal(distances, np.inf)
    graph = factors_graph(factors, 3, probability=0)
    np.testing.assert_array_equal(graph.indices, distances.argmin(axis=1))
    assert (graph.weights == 3).all()


def test_with_everything_resampled_partners_are_anywhere(factors):
    graph = factors_graph(factors, 200, probability=1)
    shares = np.bincount(graph.indices, graph.weights, minlength=60) / graph.weights.sum()
    assert shares.min() > 0.7 / 60
    assert not (graph.sources == graph.indices).any()


def test_a_duplicate_is_a_partner(factors):
    twins = np.concatenate([factors, factors])
    graph = factors_graph(twins, 1, probability=0)
    np.testing.assert_array_equal(graph.indices, (np.arange(120) + 60) % 120)


def test_more_draws_add_to_fewer(factors):
    few, more = (factors_graph(factors, k, seed=1) for k in (2, 3))
    counts = np.zeros((2, 60, 60))
    for count, graph in zip(counts, (few, more), strict=True):
        count[graph.sources, graph.indices] = graph.weights
    assert (counts[1] >= counts[0]).all()
    assert factors_graph(factors, 2, seed=2).digest != few.digest


@pytest.mark.parametrize(
    ("factors", "options", "message"),
    [
        (np.zeros((5, 2)), {"k": 0}, "k=0"),
        (np.zeros((5, 2)), {"k": 1, "probability": 1.5}, "probability=1.5"),
        (np.zeros((1, 2)), {"k": 1}, r"shape \(1, 2\)"),
        (np.zeros(5), {"k": 1}, r"shape \(5,\)"),
        (np.full((5, 2), np.nan), {"k": 1}, "finite numbers"),
    ],
)
def test_bad_input(factors, options, message):
    with pytest.raises(GraphError, match=message):
        factors_graph(factors, **options)


def test_the_command(three_d_ident_root, tmp_path, capsys):
    place = ["--data", "three_d_ident", "--root", str(three_d_ident_root), "--out", str(tmp_path / "graph")]
    assert main(["graph", "factors", *place, "--k", "4", "--draw-seed", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nodes"] == 120
    train = load_dataset("three_d_ident", "train", root=three_d_ident_root)
    expected = factors_graph(train.known_factors, 4, seed=5)
    found = SimilarityGraph.load(tmp_path / "graph")
    assert found.digest == expected.digest
    assert found.manifest == train.manifest.reference()
