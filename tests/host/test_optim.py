"""LARS and the schedule against what they stand for, written out."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pal_plugin.errors import ConfigError
from pal_plugin.host import host_info
from pal_plugin.host.optim import LARS, WarmupCosine, check_scheduler, make_optimizer, make_scheduler
from pal_plugin.host.solo import momentum
from pal_plugin.host.teacher import move_teacher


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


def lars_one_by_one(parameters: list[Tensor], buffers: dict[int, Tensor], group: dict[str, Any]) -> None:
    """One step in float32, in the order of operations that makes it comparable to the bit."""
    for place, parameter in enumerate(parameters):
        update = parameter.grad
        assert update is not None
        w, g = parameter.norm(), update.norm()
        layer = parameter.ndim > 1 or (parameter.ndim == 1 and not group["exclude_bias_n_norm"])
        if layer and w > 0 and g > 0:
            ratio = w / (g + w * group["weight_decay"] + 1e-8) * group["eta"]
            ratio = (ratio / group["lr"]).clamp(max=1.0) if group["clip_lr"] else ratio
            update = update.add(parameter, alpha=group["weight_decay"]) * ratio
        if group["momentum"]:
            buffers[place] = update.clone() if place not in buffers else buffers[place] * group["momentum"] + update
            update = buffers[place]
        parameter.data.add_(update, alpha=-group["lr"])


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("exclude", [True, False])
@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_lars_equals_the_loop_to_the_bit(clip: bool, exclude: bool, beta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(8, 3, 3, 3), (8,), (), (5, 7), (4, 4)]
    ours = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    ours[3].data.zero_()
    theirs = [torch.nn.Parameter(parameter.detach().clone()) for parameter in ours]
    unused = torch.nn.Parameter(torch.ones(2))  # of a head that the loss does not reach: no gradient
    group: dict[str, Any] = {"lr": 0.3, "momentum": beta, "weight_decay": 1e-2, "eta": 0.02}
    group |= {"clip_lr": clip, "exclude_bias_n_norm": exclude}
    optimizer, buffers = LARS([*ours, unused], **group), {}
    for step in range(4):
        for place, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(mine.shape, generator=generator)
            mine.grad = torch.zeros_like(gradient) if place == 4 or (place, step) in ((0, 1), (3, 0)) else gradient
            other.grad = mine.grad.clone()
        before = [parameter.grad.clone() for parameter in ours if parameter.grad is not None]
        optimizer.step()
        lars_one_by_one(theirs, buffers, group)
        for mine, other, gradient in zip(ours, theirs, before, strict=True):
            assert torch.equal(mine, other)
            assert torch.equal(mine.grad, gradient)  # type: ignore[arg-type]  # loggers read it afterwards
    assert torch.equal(unused, torch.ones(2))
    assert unused not in optimizer.state


def test_lars_goes_on_from_its_state() -> None:
    def steps(optimizer: LARS, parameter: torch.nn.Parameter, seeds: range) -> None:
        for seed in seeds:
            parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            optimizer.step()

    options: dict[str, Any] = {"lr": 0.3, "momentum": 0.9, "weight_decay": 1e-2, "eta": 0.02}
    whole = torch.nn.Parameter(torch.ones(4, 3))
    optimizer = LARS([whole], **options)
    steps(optimizer, whole, range(2))
    state = copy.deepcopy(optimizer.state_dict())
    assert state["state"][0].keys() == {"momentum_buffer"}
    resumed = torch.nn.Parameter(whole.detach().clone())
    steps(optimizer, whole, range(2, 4))
    again = LARS([resumed], **options)
    again.load_state_dict(state)
    steps(again, resumed, range(2, 4))
    assert torch.equal(whole, resumed)


def test_a_teacher_moves_as_the_hosts_does() -> None:
    """Parameters to the bit, in place; BatchNorm's statistics are the teacher's own."""
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2)]
    student, head = torch.nn.Sequential(*layers).to(memory_format=torch.channels_last), torch.nn.Linear(5, 3)
    teachers = [copy.deepcopy(student), copy.deepcopy(head)]
    loop = [copy.deepcopy(teacher) for teacher in teachers]
    updater = momentum.MomentumUpdater(0.99, 1.0)
    for _ in range(3):
        for network in (student, head):
            for parameter in network.parameters():
                parameter.data.add_(torch.randn_like(parameter))
        student[1].running_mean.add_(1)
        where = [parameter.data_ptr() for parameter in teachers[0].parameters()]
        move_teacher(zip((student, head), teachers, strict=True), updater.cur_tau)
        for network, teacher in zip((student, head), loop, strict=True):
            updater.update(network, teacher)
        assert [parameter.data_ptr() for parameter in teachers[0].parameters()] == where
        for mine, theirs in zip(teachers, loop, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters(), strict=True))
        updater.update_tau(1, 4)
    assert torch.equal(teachers[0][1].running_mean, torch.zeros(4))


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
    with pytest.raises(ConfigError, match="did you mean warmup_cosine"):
        check_scheduler({"name": "cosine"})


def test_lars_names_what_is_negative() -> None:
    with pytest.raises(ConfigError, match="LARS got a negative lr and weight_decay"):
        LARS([torch.nn.Parameter(torch.zeros(2))], lr=-0.1, weight_decay=-1e-4)


@pytest.mark.parametrize("epochs", [None, [], 5, "5", ["a"]])
def test_a_step_schedule_without_its_epochs(epochs: Any) -> None:
    with pytest.raises(ConfigError, match=r"lr_decay_steps is .*list of epochs"):
        check_scheduler({"name": "step", "lr_decay_steps": epochs})


def test_the_interval_of_a_schedule() -> None:
    """Main steps its `step` by epochs whatever the interval says; what is not done is refused."""
    check_scheduler({"name": "step", "lr_decay_steps": [1, 2], "interval": "epoch"})
    check_scheduler({"name": "warmup_cosine", "interval": "step"})
    with pytest.raises(ConfigError, match=r"scheduler\.interval is 'epoch'.*every step"):
        check_scheduler({"name": "warmup_cosine", "interval": "epoch"})


def test_arguments_that_an_optimizer_does_not_take() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]}]
    with pytest.raises(ConfigError, match=r"optimizer sgd cannot be made of this config.*'foo'.*optimizer\.kwargs"):
        make_optimizer("sgd", groups, lr=1.0, weight_decay=0.0, exclude_bias_n_norm_wd=False, foo=1)


def test_a_step_schedule_and_its_constant_groups() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    optimizer = torch.optim.SGD(groups, lr=0.4)
    schedule = make_scheduler("step", optimizer, decay_steps=[2, 4.5], constant_groups=[1])
    assert schedule is not None
    seen = []
    for _ in range(6):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    assert [rates[0] for rates in seen] == pytest.approx([0.4, 0.4, 0.04, 0.04, 0.04, 0.004])
    assert {rates[1] for rates in seen} == {0.4}
