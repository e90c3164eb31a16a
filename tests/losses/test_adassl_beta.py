"""β: its warm-up, a KL held at a target, and free bits."""

from __future__ import annotations

import copy
import itertools
import math

import pytest
import torch

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl import BetaSchedule

PER_DIMENSION = torch.tensor([0.2, 1.5, 0.0])


def test_warm_up_by_the_step() -> None:
    schedule = BetaSchedule(0.8, warmup_steps=4)
    assert [schedule.at(step) for step in (0, 1, 3, 4, 1000)] == pytest.approx([0.2, 0.4, 0.8, 0.8, 0.8])
    for _ in range(3):  # micro-batches of one step
        assert schedule(PER_DIMENSION, 1).item() == pytest.approx(0.4 * 1.7)
    assert BetaSchedule(0.8).at(0) == 0.8
    assert not BetaSchedule(0.8).state_dict()


def test_free_bits() -> None:
    penalty = PER_DIMENSION.clone().requires_grad_()
    charged = BetaSchedule(0.5, free_bits=0.25)(penalty, 0)
    assert charged.item() == pytest.approx(0.5 * (0.25 + 1.5 + 0.25))
    charged.backward()
    assert penalty.grad.tolist() == [0, 0.5, 0]


def test_what_costs_nothing() -> None:
    assert BetaSchedule(0.5, free_bits=0.25)(torch.zeros(0), 0) == 0
    with pytest.raises(LossError, match="costs nothing"):
        BetaSchedule(0.5, kl_target=1.0)(torch.zeros(0), 0)


@pytest.mark.parametrize("start", [1e-3, 0.5, 50.0])
def test_the_target_is_held(start: float) -> None:
    """A KL that falls with β, and answers late, as a network's does; and noise on it."""
    schedule = BetaSchedule(start, warmup_steps=50, kl_target=2.0, rate=0.02)
    generator = torch.Generator().manual_seed(0)
    kl, seen = 1.0, []
    for step in range(3000):
        kl += 0.1 * (1 / (schedule.at(step) + 0.05) - kl)
        noisy = kl * float(1 + 0.2 * torch.randn((), generator=generator))
        schedule(torch.tensor([noisy], requires_grad=True), step)
        seen.append(kl)
    assert sum(seen[-500:]) / 500 == pytest.approx(2.0, rel=0.03)
    assert schedule.at(3000) == pytest.approx(0.45, rel=0.15)


def follow(schedule: BetaSchedule, kls: list[list[float]], first: int = 0) -> list[float]:
    """β of every micro-batch; `kls` holds those of each step."""
    betas = []
    for step, micro_batches in enumerate(kls, first):
        for kl in micro_batches:
            charged = schedule(torch.tensor([kl], dtype=torch.float64, requires_grad=True), step)
            betas.append(charged.item() / kl)
    return betas


def test_the_rule() -> None:
    betas = follow(BetaSchedule(0.5, kl_target=2.0, rate=0.01), [[3.0], [1.0], [100.0], [2.0], [2.0]])
    changes = [math.log(after / before) for before, after in itertools.pairwise(betas)]
    assert changes == pytest.approx([0.005, -0.005, 0.01, 0], abs=1e-12)


def test_accumulation_takes_the_mean_of_a_step() -> None:
    together = follow(BetaSchedule(0.5, kl_target=2.0), [[3.0], [1.0], [5.0]])
    apart = follow(BetaSchedule(0.5, kl_target=2.0), [[4.0, 2.0], [0.5, 1.5], [5.0, 5.0]])
    assert apart == pytest.approx([beta for beta in together for _ in (0, 1)])


def test_the_warm_up_comes_first() -> None:
    betas = follow(BetaSchedule(0.5, warmup_steps=3, kl_target=2.0), [[9.0]] * 5)
    assert betas[:3] == pytest.approx([0.5 / 3, 1 / 3, 0.5])
    assert betas[3] == pytest.approx(0.5 * math.exp(0.01))
    assert betas[4] == pytest.approx(0.5 * math.exp(0.02))


def test_resume() -> None:
    kls = [[float(kl)] for kl in range(1, 9)]
    whole = follow(BetaSchedule(0.5, kl_target=3.0), kls)
    first = BetaSchedule(0.5, kl_target=3.0)
    betas = follow(first, kls[:5])
    state = copy.deepcopy(first.state_dict())
    second = BetaSchedule(0.5, kl_target=3.0)
    second.load_state_dict(state)
    assert betas + follow(second, kls[5:], first=5) == whole


def test_evaluation_changes_nothing() -> None:
    schedule = BetaSchedule(0.5, kl_target=2.0)
    follow(schedule, [[3.0]])
    state = copy.deepcopy(schedule.state_dict())
    with torch.no_grad():
        schedule(PER_DIMENSION, 7)
    schedule.eval()
    schedule(PER_DIMENSION, 8)
    assert all(torch.equal(value, state[name]) for name, value in schedule.state_dict().items())


def test_bounds() -> None:
    schedule = BetaSchedule(1.0, kl_target=1.0, rate=5.0)
    follow(schedule, [[100.0]] * 9)
    assert schedule.at(9) == pytest.approx(1e4)
    follow(schedule, [[1e-9]] * 9, first=9)
    assert schedule.at(18) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beta": -1.0}, "beta is -1"),
        ({"beta": math.nan}, "beta is nan"),
        ({"beta": 0.5, "warmup_steps": -1}, "warmup_steps"),
        ({"beta": 0.5, "free_bits": -0.1}, "free_bits"),
        ({"beta": 0.5, "kl_target": 0.0}, "kl_target is 0"),
        ({"beta": 0.5, "kl_target": 1.0, "rate": 0.0}, "rate is 0"),
        ({"beta": 0.0, "kl_target": 1.0}, "beta is 0"),
    ],
)
def test_settings(settings: dict[str, float], said: str) -> None:
    with pytest.raises(LossError, match=said):
        BetaSchedule(**settings)
