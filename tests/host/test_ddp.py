"""Two real processes: they share out the epoch, and end with the same weights and queues."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

SCRIPT = Path(__file__).with_name("ddp_process.py")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "byol", "nnclr", "gps_byol"])
def test_two_processes(
    method: str, make_config: Callable[..., DictConfig], run_ranks: Callable[..., list[int | None]], tmp_path: Path
) -> None:
    cfg = OmegaConf.to_container(make_config(method, max_epochs=1, devices=2))
    assert run_ranks(SCRIPT, {"method": method, "cfg": cfg, "out": str(tmp_path / "rank")}) == [0, 0]
    first, second = (torch.load(tmp_path / f"rank.{rank}", weights_only=True) for rank in (0, 1))
    assert sorted(first["seen"] + second["seen"]) == list(range(32))
    trained = {name for name in first["state_dict"] if "running_" not in name and "num_batches" not in name}
    assert {"backbone.conv1.weight", "projector.0.weight", "classifier.weight"} <= trained
    for name in trained:
        assert torch.equal(first["state_dict"][name], second["state_dict"][name]), name
