"""Two real processes take the step that one takes with both their batches, relations across ranks included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

SCRIPT = Path(__file__).with_name("pal_process.py")
SAID = Path(__file__).with_name("said_process.py")
Make = Callable[..., Any]
RunRanks = Callable[..., list[int | None]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "closed", "importance"),
    [
        ("pal_simclr", False, False),
        ("pal_byol", True, True),
        ("pal_vicreg", True, False),
    ],
)
def test_two_ranks_are_one_process(
    method: str,
    closed: bool,
    importance: bool,
    make_config: Make,
    run_ranks: RunRanks,
    tmp_path: Path,
) -> None:
    for world in (1, 2):
        # of all ranks together the batch is the same, and so is the learning rate
        overrides = {"devices": world, "optimizer": {"batch_size": 16 // world, "lr": 0.5}}
        method_kwargs = {"graph_alpha": 0.7, "related_share": 0.5, "importance": importance}
        cfg = OmegaConf.to_container(make_config(method, method_kwargs=method_kwargs, **overrides))
        arguments = {"method": method, "cfg": cfg, "closed": closed, "out": str(tmp_path / f"of{world}")}
        assert run_ranks(SCRIPT, arguments, world) == [0] * world
    alone, first, second = (torch.load(tmp_path / name, weights_only=True) for name in ("of1.0", "of2.0", "of2.1"))
    assert alone["edges"] == first["edges"] == second["edges"] > 0
    for name in alone["state_dict"]:
        assert torch.equal(first["state_dict"][name], second["state_dict"][name]), name
    torch.testing.assert_close(first["state_dict"], alone["state_dict"], rtol=1e-4, atol=2e-6)


@pytest.mark.slow
def test_a_run_of_two_ranks_says_what_it_is_once(run_ranks: RunRanks, tmp_path: Path) -> None:
    """Of the share it is the batch of both that counts: its 6 pairs cannot be had, the 3 of a rank's could."""
    settings = ["graph.relations=0.01", "method_kwargs.graph_alpha=0", "method_kwargs.related_share=0.75"]
    heads = ["method_kwargs.proj_hidden_dim=16", "method_kwargs.proj_output_dim=8"]
    size = ["data.subset=64", "optimizer.batch_size=8", "max_epochs=1", "validation.enabled=false"]
    overrides = ["profile=debug", "devices=2", "strategy=ddp", "accelerator=cpu", *size, *heads, *settings]
    assert run_ranks(SAID, {"overrides": overrides, "out": str(tmp_path)}) == [0, 0]
    first, second = ((tmp_path / f"said.{rank}").read_text(encoding="utf-8") for rank in (0, 1))
    assert first.count("known relations of 1 % of all pairs (6 of 64 images asked about") == 1
    assert first.count("graph_alpha=0: the known relations compose the batches and count for nothing else") == 1
    assert first.count("related_share=0.75 of a batch of 16 is 6 related pairs, and there are 4") == 1
    assert "pal train:" not in second
