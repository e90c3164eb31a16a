"""Two real gloo processes have the loss and the gradients of one that holds the global batch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from pal_plugin.errors import LossError
from pal_plugin.losses import (
    BlockGraph,
    augmentation_graph,
    gather_samples,
    gather_views,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vicreg_loss,
    interpolate,
)

SCRIPT = Path(__file__).with_name("gather_process.py")


def test_without_a_group_rows_come_back() -> None:
    z, index = torch.randn(6, 3), torch.arange(3)
    assert gather_views(z, 2) is z
    assert gather_samples(index) is index
    with pytest.raises(LossError, match="not 4 views"):
        gather_views(z, 4)


@pytest.fixture(scope="module", params=[(5, 3), (4, 0)], ids=["uneven", "a rank without samples"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any]]:
    """The data of both ranks, and what each wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    generator = torch.Generator().manual_seed(0)

    def rows(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    sizes = request.param
    data = {
        "x": [rows(2 * size, 6) for size in sizes],
        "target": [rows(2 * size, 4) for size in sizes],
        # Classes cross the ranks; -1 is unknown.
        "classes": [
            torch.tensor([0, 1, -1, 1, 7][:size] if rank == 0 else [1, 7, 0][:size], dtype=torch.int64)
            for rank, size in enumerate(sizes)
        ],
    }
    torch.save(data, folder / "data.pt")
    command = [sys.executable, str(SCRIPT)]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(folder)], env=os.environ | {"OMP_NUM_THREADS": "1"})
        for rank in (0, 1)
    ]
    try:
        assert [process.wait(120) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    return data, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def global_rows(parts: list[torch.Tensor]) -> torch.Tensor:
    """View-major rows of the global batch from view-major rows of its ranks."""
    return torch.cat([view for v in (0, 1) for view in (part.chunk(2)[v] if len(part) else part for part in parts)])


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4)).double()


@pytest.mark.slow
def test_what_is_gathered(run: tuple[Any, list[Any]]) -> None:
    data, ranks = run
    for rank in ranks:
        assert torch.equal(rank["classes"], torch.cat(data["classes"]))
        assert torch.equal(rank["rows"], global_rows(data["target"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simclr", "vicreg", "barlow", "spectral", "byol"])
def test_loss_and_gradients_of_one_process(name: str, run: tuple[Any, list[Any]]) -> None:
    data, ranks = run
    classes = torch.cat(data["classes"])
    graph = interpolate(augmentation_graph(classes.numel(), 2), BlockGraph([(1.0, classes.repeat(2))]), 0.9)
    losses = {
        "simclr": graph_simclr_loss,
        "vicreg": graph_vicreg_loss,
        "barlow": graph_barlow_loss,
        "spectral": graph_spectral_loss,
        "byol": lambda z, graph: graph_byol_loss(z, global_rows(data["target"]), graph),
    }
    alone = network()
    loss = losses[name](alone(global_rows(data["x"])), graph)
    loss.backward()
    for rank in ranks:
        torch.testing.assert_close(rank[name]["loss"], loss.detach(), rtol=1e-10, atol=0)
        for gradient, parameter in zip(rank[name]["gradients"], alone.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_ranks_with_losses_of_their_own_get_the_gradient_of_the_mean(run: tuple[Any, list[Any]]) -> None:
    data, ranks = run
    alone = network()
    (1.5 * alone(global_rows(data["x"])).square().sum()).backward()
    for rank in ranks:
        for gradient, parameter in zip(rank["of its own"]["gradients"], alone.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-12)
