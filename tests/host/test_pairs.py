"""Pair batches: the host's loss on pairs, the probe on each view's own label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from omegaconf import DictConfig
from torch.nn import functional as F

from pal_plugin.errors import ConfigError
from pal_plugin.host import METHODS, parse_cfg
from pal_plugin.host.base import probe_statistics
from pal_plugin.methods import find_method

MakeConfig = Callable[..., DictConfig]


def make(method: str, cfg: DictConfig) -> Any:
    torch.manual_seed(0)
    module = find_method(method)(parse_cfg(cfg)).train()
    module.log = module.log_dict = lambda *_arguments, **_keywords: None
    return module


def views(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 3, 8, 8, generator=generator) for _ in range(2)]


def total(out: Any) -> torch.Tensor:
    return out if isinstance(out, torch.Tensor) else out["loss"]


@pytest.mark.parametrize("method", ["simclr", "byol"])
def test_a_graph_of_self_edges_is_the_hosts_own_method(method: str, make_config: MakeConfig) -> None:
    index, labels = torch.arange(8), torch.arange(8) % 3
    plain, paired = make(method, make_config(method)), make(f"gps_{method}", make_config(f"gps_{method}"))
    host_loss = total(plain.training_step([index, views(), labels], 0))
    pair_loss = total(paired.training_step([index.repeat(2, 1).T, views(), labels.repeat(2, 1).T], 0))
    assert torch.equal(host_loss, pair_loss)
    for loss in (host_loss, pair_loss):
        loss.backward()
    ours = {name: p.grad for name, p in paired.named_parameters()}
    for name, parameter in plain.named_parameters():
        assert (parameter.grad is None) == (ours[name] is None), name
        assert parameter.grad is None or torch.equal(parameter.grad, ours[name]), name


def test_the_probe_reads_the_label_of_the_image_shown(make_config: MakeConfig) -> None:
    module = make("gps_simclr", make_config("gps_simclr"))
    pictures = views()
    targets = torch.stack([torch.arange(8) % 3, (torch.arange(8) + 1) % 3], dim=1)
    logits = [
        module.base_forward(x)["logits"] if hasattr(module, "base_forward") else module(x)["logits"] for x in pictures
    ]
    expected = sum(F.cross_entropy(logit, targets[:, view]) for view, logit in enumerate(logits)) / 2
    seen: dict[str, torch.Tensor] = {}
    module.log_dict = lambda metrics, **_: seen.update(metrics)
    module.training_step([torch.zeros(8, 2, dtype=torch.long), pictures, targets], 0)
    torch.testing.assert_close(seen["train_class_loss"], expected)


def test_a_plain_method_on_a_graph_probes_the_anchor_only(make_config: MakeConfig) -> None:
    module = make("simclr", make_config("simclr"))
    module.anchor_probe_only = True
    seen: dict[str, torch.Tensor] = {}
    module.log_dict = lambda metrics, **_: seen.update({k: v for k, v in metrics.items() if k not in seen})
    labels = torch.arange(8) % 3
    pictures = views()
    logits = (
        module.base_forward(pictures[0])["logits"] if hasattr(module, "base_forward") else module(pictures[0])["logits"]
    )
    module.training_step([torch.arange(8), pictures, labels], 0)
    torch.testing.assert_close(seen["train_class_loss"], F.cross_entropy(logits, labels))


def test_probe_statistics_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0]])
    targets = torch.tensor([0, 2, -1])
    out = probe_statistics(logits, targets)
    torch.testing.assert_close(out["loss"], F.cross_entropy(logits[:2], targets[:2]))
    assert out["acc1"] == 50
    assert out["acc5"] == 100
    nothing = probe_statistics(logits, torch.full((3,), -1))
    assert (nothing["loss"], nothing["acc1"], nothing["acc5"]) == (0, 0, 0)


def test_wrong_number_of_views_is_named(make_config: MakeConfig) -> None:
    module = make("simclr", make_config("simclr"))
    with pytest.raises(ConfigError, match="3 views, the augmentations make 2"):
        module.training_step([torch.arange(8), [*views(), views()[0]], torch.zeros(8, dtype=torch.long)], 0)


def test_tau_follows_the_trainers_step(make_config: MakeConfig) -> None:
    """τ is a function of the step alone, so that a resumed run has the τ that it would have had."""
    module = METHODS["byol"](parse_cfg(make_config("byol")))
    module.momentum_updater.update_tau(cur_step=3, max_steps=10)
    assert module.momentum_updater.cur_tau == pytest.approx(1 - 0.1 * (1 + torch.cos(torch.tensor(0.3 * torch.pi))) / 2)
