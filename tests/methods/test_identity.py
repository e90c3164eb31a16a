"""On a graph that pairs every image with itself, `gps_x` is the host's x, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from pal_plugin.data import ImageDataset
from pal_plugin.graph import SimilarityGraph, knn_graph
from pal_plugin.host import METHODS
from pal_plugin.methods import find_method, method_names

Make = Callable[..., Any]


def self_graph(dataset: ImageDataset) -> SimilarityGraph:
    nodes = np.arange(len(dataset))
    return SimilarityGraph.from_edges(len(dataset), nodes, nodes, manifest=dataset.manifest)


def everything(module: Any) -> dict[str, torch.Tensor]:
    """All weights, teachers, statistics, queues and memories."""
    state = dict(module.state_dict())
    if hasattr(module, "assignments"):  # deepclusterv2's is no buffer
        state["assignments"] = module.assignments
    return state


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    assert left.keys() == right.keys()
    return all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_self_edges_give_the_hosts_own_method(
    method: str, digits: ImageDataset, make: Make, train_two_epochs: Make
) -> None:
    plain, paired = make(method), make(f"gps_{method}")
    before = plain.classifier.weight.detach().clone()
    train_two_epochs(plain, digits, None)
    train_two_epochs(paired, digits, self_graph(digits))
    assert all(torch.isfinite(value).all() for value in everything(plain).values() if value.is_floating_point())
    assert not torch.equal(before, plain.classifier.weight)
    assert same(everything(plain), everything(paired))


def test_other_edges_do_not(digits: ImageDataset, make: Make, train_two_epochs: Make) -> None:
    plain, paired = make("barlow_twins"), make("gps_barlow_twins")
    size = len(digits)
    others = SimilarityGraph.from_edges(size, range(size), np.roll(np.arange(size), 1), manifest=digits.manifest)
    train_two_epochs(plain, digits, None)
    train_two_epochs(paired, digits, others)
    assert not same(everything(plain), everything(paired))


def test_one_neighbour_with_self_is_the_graph_of_self_edges(digits: ImageDataset) -> None:
    pixels = digits.images.reshape(len(digits), -1).astype(np.float32)  # type: ignore[union-attr]
    assert len(np.unique(pixels, axis=0)) == len(digits)
    graph = knn_graph(pixels, 1, include_self=True, manifest=digits.manifest)
    assert graph.digest == self_graph(digits).digest


def test_every_host_method_has_its_pairs() -> None:
    assert {f"gps_{name}" for name in METHODS} <= set(method_names())
    for name in METHODS:
        paired: Any = find_method(f"gps_{name}")
        assert issubclass(paired, METHODS[name])
        assert paired.wants_pair_batch
        assert find_method(f"gps_{name}") is paired
