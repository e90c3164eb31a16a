"""Two real processes: they share out the epoch, and end with the same weights and queues."""

from __future__ import annotations

import runpy
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

SCRIPT = Path(__file__).with_name("ddp_process.py")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "byol", "nnclr", "gps_byol"])
def test_two_processes(
    method: str, make_config: Callable[..., DictConfig], processes: ForkServerContext, tmp_path: Path
) -> None:
    cfg = OmegaConf.to_container(make_config(method, max_epochs=1, devices=2))
    shared = {"method": method, "cfg": cfg, "port": free_port(), "out": str(tmp_path / "rank")}
    ranks = [
        processes.Process(target=runpy.run_path, args=(str(SCRIPT), {"ARGS": shared | {"rank": rank}}))
        for rank in (0, 1)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(120)
        if process.is_alive():
            process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]
    first, second = (torch.load(tmp_path / f"rank.{rank}", weights_only=True) for rank in (0, 1))
    assert sorted(first["seen"] + second["seen"]) == list(range(32))
    trained = {name for name in first["state_dict"] if "running_" not in name and "num_batches" not in name}
    assert {"backbone.conv1.weight", "projector.0.weight", "classifier.weight"} <= trained
    for name in trained:
        assert torch.equal(first["state_dict"][name], second["state_dict"][name]), name
