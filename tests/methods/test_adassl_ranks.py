"""Two real processes take the step of an `adassl_*` that one takes with both their batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

SCRIPT = Path(__file__).with_name("adassl_process.py")
Make = Callable[..., Any]
LINEAR = {"latent_dim": 4, "latent_hidden_dims": [], "editor": "linear"}  # nothing of it has BatchNorm


@pytest.fixture
def steps(make_config: Make, run_ranks: Callable[..., list[int | None]], tmp_path: Path) -> Callable[..., Any]:
    def run(method: str, world: int, method_kwargs: dict[str, Any]) -> list[dict[str, Any]]:
        # of all ranks together the batch is the same, and so is the learning rate
        overrides = {"devices": world, "optimizer": {"batch_size": 16 // world, "lr": 0.5}}
        cfg = OmegaConf.to_container(make_config(method, method_kwargs=method_kwargs, **overrides))
        out = tmp_path / f"of{world}"
        assert run_ranks(SCRIPT, {"method": method, "cfg": cfg, "out": str(out)}, world) == [0] * world
        return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(world)]

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "settings"),
    [("adassl_simclr", {"learnable_lambda": True}), ("adassl_byol", {}), ("adassl_mocov2plus", {})],
)
def test_two_ranks_are_one_process(method: str, settings: dict[str, Any], steps: Callable[..., Any]) -> None:
    """With the factors for r, since every rank draws noise of its own."""
    settings = LINEAR | {"variant": "gt"} | settings
    (alone,), (first, second) = (steps(method, world, settings) for world in (1, 2))
    assert alone["loss"] == pytest.approx(first["loss"], rel=1e-5)
    for name in alone["state_dict"]:
        assert torch.equal(first["state_dict"][name], second["state_dict"][name]), name
    for run in (alone, first):
        if "queue" in run["state_dict"]:  # it holds the keys rank after rank: in any order, then
            queue = run["state_dict"]["queue"]
            run["state_dict"]["queue"] = torch.stack([keys[:, keys[0].argsort()] for keys in queue])
    torch.testing.assert_close(first["state_dict"], alone["state_dict"], rtol=1e-4, atol=2e-6)


@pytest.mark.slow
def test_a_drawn_latent_on_two_ranks(steps: Callable[..., Any]) -> None:
    """Heads with BatchNorm, an extra view and a target for β: the ranks agree, and draw different noise."""
    settings = {"latent_dim": 4, "latent_hidden_dims": [16], "editor_hidden_dims": [16], "additional_view": True}
    first, second = steps("adassl_byol", 2, settings | {"reg_kl_target": 1.0, "reg_beta": 1e-3})
    assert first["noise"] != second["noise"]
    weights = [name for name in first["state_dict"] if "running_" not in name]
    assert "beta.log_factor" in weights
    for name in weights:
        assert torch.equal(first["state_dict"][name], second["state_dict"][name]), name
