"""What a loss is not defined on is refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses import (
    BatchGraph,
    BlockGraph,
    PairImportance,
    augmentation_graph,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vic2_loss,
    graph_vicreg_loss,
    interpolate,
)

Z = torch.randn(6, 3)
GRAPH = augmentation_graph(3, 2)
LOSSES: dict[str, Callable[[Tensor, Tensor | BatchGraph], Tensor]] = {
    "simclr": graph_simclr_loss,
    "vicreg": graph_vicreg_loss,
    "barlow": graph_barlow_loss,
    "spectral": graph_spectral_loss,
    "byol": lambda z, graph: graph_byol_loss(z, z, graph),
    "vic2": graph_vic2_loss,
}
ON_POSITIVES = sorted(set(LOSSES) - {"vic2"})


@pytest.mark.parametrize("name", LOSSES)
def test_shapes_and_types(name: str) -> None:
    loss = LOSSES[name]
    with pytest.raises(LossError, match="6 rows"):
        loss(Z, torch.ones(4, 4))
    with pytest.raises(LossError, match="6 rows"):
        loss(Z, augmentation_graph(4, 2))
    with pytest.raises(LossError, match="int64"):
        loss(Z.long(), GRAPH)
    with pytest.raises(LossError, match=r"\(3, 2, 3\)"):
        loss(Z.view(3, 2, 3), GRAPH)
    with pytest.raises(LossError, match="NaN"):
        loss(Z, torch.full((6, 6), torch.nan))
    with pytest.raises(LossError, match="ndarray"):
        loss(Z, torch.ones(6, 6).numpy())  # type: ignore[arg-type]


@pytest.mark.parametrize("weight", [3e38, 1e300])
@pytest.mark.parametrize("name", ON_POSITIVES)
def test_weights_whose_sum_is_too_large(name: str, weight: float) -> None:
    with pytest.raises(LossError, match="add up to inf"):
        LOSSES[name](Z, torch.full((6, 6), weight, dtype=torch.float64))


@pytest.mark.parametrize("name", ON_POSITIVES)
def test_signed_graphs(name: str) -> None:
    signed = GRAPH.to_dense().matrix
    signed[0, 1] = -1
    for graph in (signed, signed.to_sparse(), BlockGraph([(-1.0, torch.arange(6) % 2)])):
        with pytest.raises(LossError, match="negative weights, on which"):
            LOSSES[name](Z, graph)
        assert torch.isfinite(graph_vic2_loss(Z, graph))


@pytest.mark.parametrize("name", ON_POSITIVES)
def test_no_edges(name: str) -> None:
    alone = BlockGraph([(1.0, torch.arange(6))])
    blocks = (alone, interpolate(alone, alone, 0.9))  # 0.1 and 0.9 do not add up to 1 in float32
    for graph in (torch.zeros(6, 6), torch.eye(6), torch.eye(6).to_sparse(), torch.zeros(6, 6).to_sparse(), *blocks):
        with pytest.raises(LossError, match="no edges"):
            LOSSES[name](Z, graph)


@pytest.mark.parametrize("name", ["barlow", "byol"])
def test_edges_within_a_view_alone(name: str) -> None:
    with pytest.raises(LossError, match="no edges between different views"):
        LOSSES[name](Z, BlockGraph([(1.0, torch.arange(6) // 3)]))


def test_views() -> None:
    for loss in (
        graph_vicreg_loss,
        graph_barlow_loss,
        lambda z, graph, views: graph_byol_loss(z, z, graph, views=views),
    ):
        with pytest.raises(LossError, match="6 rows are not 4 views"):
            loss(Z, GRAPH, views=4)
        with pytest.raises(LossError, match="or more"):
            loss(Z, GRAPH, views=0)
    for loss in (graph_barlow_loss, lambda z, graph, views: graph_byol_loss(z, z, graph, views=views)):
        with pytest.raises(LossError, match="needs 2 views"):
            loss(Z, GRAPH, views=1)


def test_batches_too_small() -> None:
    one = augmentation_graph(1, 2)
    for loss in (graph_vicreg_loss, graph_barlow_loss):
        with pytest.raises(LossError, match="one sample"):
            loss(Z[:2], one)
    with pytest.raises(LossError, match="fewer than two rows"):
        graph_spectral_loss(Z[:1], torch.ones(1, 1))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_temperature(temperature: float) -> None:
    with pytest.raises(LossError, match="temperature"):
        graph_simclr_loss(Z, GRAPH, temperature=temperature)


def test_targets() -> None:
    with pytest.raises(LossError, match=r"\(6, 3\) and their targets \(6, 2\)"):
        graph_byol_loss(Z, Z[:, :2], GRAPH)


@pytest.mark.parametrize(
    ("importance", "said"),
    [
        (PairImportance(torch.ones(3, 3), 1.0, 1.0), r"\(3, 3\) for 6 rows"),
        (PairImportance(torch.full((6, 6), torch.nan), 1.0, 1.0), "NaN"),
        (PairImportance(-torch.ones(6, 6), 1.0, 1.0), "negative"),
        (PairImportance(torch.ones(6, 6), 0.0, 1.0), "edge_total"),
        (PairImportance(torch.ones(6, 6), 1.0, float("nan")), "pair_total"),
    ],
)
def test_importance(importance: PairImportance, said: str) -> None:
    with pytest.raises(LossError, match=said):
        graph_spectral_loss(Z, GRAPH, importance=importance)
    with pytest.raises(LossError, match=said):
        graph_byol_loss(Z, Z, GRAPH, importance=importance)
