"""LARS and the schedule against what they stand for, written out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pal_plugin.errors import ConfigError
from pal_plugin.host import host_info
from pal_plugin.host.optim import LARS, WarmupCosine, make_optimizer, make_scheduler


def lars_by_hand(weights: list[Tensor], gradients: list[list[Tensor]], group: dict[str, Any]) -> list[Tensor]:
    """LARS as solo-learn main computes it, one parameter at a time, in float64."""
    result = []
    for position, start in enumerate(weights):
        weight, velocity = start.double().clone(), None
        for step in gradients:
            gradient = step[position].double()
            w, g = weight.norm(), gradient.norm()
            if (weight.ndim != 1 or not group["exclude_bias_n_norm"]) and w != 0 and g != 0:
                ratio = group["eta"] * w / (g + w * group["weight_decay"] + 1e-8)
                if group["clip_lr"]:
                    ratio = min(ratio / group["lr"], 1.0)
                gradient = (gradient + group["weight_decay"] * weight) * ratio
            velocity = gradient if velocity is None else group["momentum"] * velocity + gradient
            weight = weight - group["lr"] * velocity
        result.append(weight)
    return result


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
def test_lars_equals_the_loop(clip: bool, exclude: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=generator) for shape in [(4, 3), (5,), (2, 2, 3, 3)]]
    weights.append(torch.zeros(3, 3))  # no norm: plain SGD
    gradients = [[torch.randn(w.shape, generator=generator) for w in weights] for _ in range(3)]
    gradients[1][0].zero_()
    group = {"lr": 0.3, "momentum": 0.9, "weight_decay": 1e-2, "eta": 0.02}
    group |= {"clip_lr": clip, "exclude_bias_n_norm": exclude}
    parameters = [torch.nn.Parameter(w.clone()) for w in weights]
    optimizer = LARS(parameters, **group)
    for step in gradients:
        for parameter, gradient in zip(parameters, step, strict=True):
            parameter.grad = gradient.clone()
        optimizer.step()
    for parameter, expected in zip(parameters, lars_by_hand(weights, gradients, group), strict=True):
        torch.testing.assert_close(parameter.double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(host_info().kind == "release", reason="main's own LARS and schedule are the reference")
def test_lars_and_schedule_equal_mains() -> None:
    from solo.utils import lars
    from solo.utils.lr_scheduler import LinearWarmupCosineAnnealingLR

    torch.manual_seed(0)
    weights = [torch.randn(4, 3), torch.randn(5)]
    rates: list[list[float]] = [[], []]
    ends = []
    for which, kind in enumerate((LARS, lars.LARS)):
        parameters = [torch.nn.Parameter(w.clone()) for w in weights]
        options = {"eta": 0.02, "clip_lr": True, "exclude_bias_n_norm": True, "momentum": 0.9, "weight_decay": 1e-4}
        optimizer = kind(parameters, lr=0.4, **options)
        schedule = (
            WarmupCosine(optimizer, 5, 40, warmup_start_lr=3e-5)
            if which == 0
            else LinearWarmupCosineAnnealingLR(optimizer, 5, 40, warmup_start_lr=3e-5)
        )
        generator = torch.Generator().manual_seed(1)
        for _ in range(40):
            rates[which].append(optimizer.param_groups[0]["lr"])
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            optimizer.step()
            schedule.step()
        ends.append(parameters)
    assert rates[0] == pytest.approx(rates[1], rel=1e-9, abs=1e-12)
    for ours, theirs in zip(*ends, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_schedule_in_closed_form() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(3)]
    groups = [
        {"params": [parameters[0]]},
        {"params": [parameters[1]], "lr": 0.1},
        {"params": [parameters[2]], "lr": 7.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.4)
    schedule = WarmupCosine(optimizer, 4, 20, warmup_start_lr=0.01, min_lr=0.002, constant_groups=[2])
    seen = []
    for _ in range(21):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert [rates[0] for rates in seen[:4]] == pytest.approx([0.01, 0.14, 0.27, 0.4])
    assert seen[4][0] == pytest.approx(0.4)
    for step in range(4, 21):
        factor = (1 + math.cos(math.pi * (step - 4) / 16)) / 2
        assert seen[step][0] == pytest.approx(0.002 + (0.4 - 0.002) * factor)
        assert seen[step][1] == pytest.approx(0.002 + (0.1 - 0.002) * factor)
    assert {rates[2] for rates in seen} == {7.0}


def test_groups() -> None:
    linear = torch.nn.Linear(3, 2)
    groups = [{"params": linear.parameters(), "name": "a", "static_lr": True}]
    common = {"lr": 0.1, "weight_decay": 0.5}
    optimizer, constant = make_optimizer("sgd", groups, exclude_bias_n_norm_wd=True, **common)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.5, 0.0]
    assert [group["name"] for group in optimizer.param_groups] == ["a", "a_no_decay"]  # Lightning wants them to differ
    assert constant == [0, 1]


def test_bad_names() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    groups = [{"params": [parameter]}]
    with pytest.raises(ConfigError, match="did you mean lars"):
        make_optimizer("larss", groups, lr=1.0, weight_decay=0.0, exclude_bias_n_norm_wd=False)
    optimizer = torch.optim.SGD(groups, lr=1.0)
    with pytest.raises(ConfigError, match="did you mean warmup_cosine"):
        make_scheduler("cosine", optimizer, decay_steps=None, constant_groups=[])
    with pytest.raises(ConfigError, match="lr_decay_steps"):
        make_scheduler("step", optimizer, decay_steps=None, constant_groups=[])
