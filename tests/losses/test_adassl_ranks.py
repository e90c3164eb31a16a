"""Two real gloo processes have AdaSSL's loss, its gradients and its β of one that holds all pairs."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pal_plugin.losses.adassl import BetaSchedule

SCRIPT = Path(__file__).with_name("adassl_process.py")


@pytest.fixture(scope="module", params=[(5, 3), (0, 4)], ids=str)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[Any]]:
    """The pairs of both ranks, and what each wrote."""
    folder = tmp_path_factory.mktemp("ranks")
    generator = torch.Generator().manual_seed(0)

    def pairs() -> list[torch.Tensor]:
        return [torch.randn(size, 6, dtype=torch.float64, generator=generator) for size in request.param]

    data = {"x": pairs(), "y": pairs(), "kl": [3 * torch.rand(6, 2, generator=generator) for _ in (0, 1)]}
    torch.save(data, folder / "data.pt")
    command = [sys.executable, str(SCRIPT)]
    ranks = [
        subprocess.Popen([*command, str(rank), "2", str(folder)], env=os.environ | {"OMP_NUM_THREADS": "1"})
        for rank in (0, 1)
    ]
    try:
        assert [process.wait(240) for process in ranks] == [0, 0]
    finally:
        for process in ranks:
            process.kill()
    return data, [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adassl", "InfoNCE", "AnInfoNCE", "HInfoNCE"])
def test_loss_and_gradients_of_one_process(name: str, run: tuple[Any, list[Any]]) -> None:
    data, ranks = run
    script = runpy.run_path(str(SCRIPT))
    alone = script["network"](name)
    loss = script["loss_of"](alone(torch.cat(data["x"]), torch.cat(data["y"])))
    loss.backward()
    mean = sum(rank[name]["loss"] for rank in ranks) / 2
    torch.testing.assert_close(mean, loss.detach(), rtol=1e-10, atol=0)
    for rank in ranks:
        for gradient, parameter in zip(rank[name]["gradients"], alone.parameters(), strict=True):
            assert parameter.grad.ne(0).any()
            torch.testing.assert_close(gradient, parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_one_beta_for_all_ranks(run: tuple[Any, list[Any]]) -> None:
    data, ranks = run
    schedule = BetaSchedule(0.5, kl_target=2.0)
    for step, kl in enumerate(sum(data["kl"]) / 2):
        schedule(kl.requires_grad_(), step)
    assert ranks[0]["beta"] == ranks[1]["beta"] == pytest.approx(schedule.at(9))
    assert schedule.at(9) != 0.5
