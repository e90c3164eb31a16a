"""Where the time of a training step goes: `pal train … +profiler=steps`."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch
from lightning.pytorch.profilers import Profiler
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

NETWORKS = "networks"
OTHER = "other"
# What Lightning calls the parts of a step, by the end of the name; the innermost of them is charged.
PHASES = {
    ".train_dataloader_next": "data",
    ".batch_to_device": "data",
    NETWORKS: "forward",
    ".training_step": "loss",  # what is not a network's forward: the losses, the probe's figures, logging
    ".backward": "backward",
    ".optimizer_step": "optimiser",
    ".on_train_batch_end": "teacher",
}


class StepProfiler(Profiler):
    """Charges every moment of a step, from asking for its batch to moving the teacher, to one phase.

    The first step, which warms up, is left out; so is what lies between steps: validation and checkpoints after an
    epoch. CUDA is waited for at every boundary, which makes a profiled run slower than another.

    Args:
        module: the method; the forward passes of the networks that it is made of are a phase of their own.

    Attributes:
        steps: how many were timed: batches, also where gradients are accumulated.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.steps = -1
        self._totals = dict.fromkeys([*PHASES.values(), OTHER], 0.0)
        self._step: dict[str, float] | None = None
        self._within: list[str] = []
        self._charged = 0.0
        uncompiled: Any = torch.compiler.disable  # the graph of a compiled network begins and ends inside of these
        for child in module.children():
            if next(child.parameters(), None) is not None:
                child.register_forward_pre_hook(uncompiled(self._enter))
                child.register_forward_hook(uncompiled(self._leave))

    def start(self, action_name: str) -> None:
        """Begin what Lightning calls `action_name`; the first request for data begins a step."""
        phase = _phase(action_name)
        if phase is None:
            return
        if self._step is None and phase == "data":
            self._step, self._within, self._charged = dict.fromkeys(self._totals, 0.0), [OTHER], _now()
        if self._step is not None:
            self._charge()
            self._within.append(phase)

    def stop(self, action_name: str) -> None:
        """End what Lightning calls `action_name`; the method's last hook ends the step."""
        phase = _phase(action_name)
        if phase is None or self._step is None:
            return
        self._charge()
        self._within.pop()
        if phase == "teacher":
            if self.steps >= 0:
                self._totals = {name: total + self._step[name] for name, total in self._totals.items()}
            self.steps += 1
            self._step = None

    def means(self) -> dict[str, float]:
        """Return the seconds that a step spends in each phase."""
        return {name: total / max(self.steps, 1) for name, total in self._totals.items()}

    def summary(self) -> str:
        """Return the table, a line a phase: milliseconds a step and share of the step."""
        if self.steps < 1:
            return "no step was timed: the first one warms up, and there was no other"
        means = self.means()
        whole = sum(means.values())
        rows = [f"  {name:<10}{1000 * seconds:10.1f} ms {seconds / whole:6.1%}" for name, seconds in means.items()]
        head = f"where the time of a step goes, mean of {self.steps} after the first:"
        return "\n".join([head, *rows, f"  {'step':<10}{1000 * whole:10.1f} ms"])

    @rank_zero_only
    def describe(self) -> None:
        """Print the table."""
        print(f"pal train: {self.summary()}", file=sys.stderr, flush=True)

    def _charge(self) -> None:
        assert self._step is not None
        now = _now()
        self._step[self._within[-1]] += now - self._charged
        self._charged = now

    def _enter(self, *arguments: Any) -> None:
        self.start(NETWORKS)

    def _leave(self, *arguments: Any) -> None:
        self.stop(NETWORKS)


def _phase(action: str) -> str | None:
    if action.startswith("[Callback]"):  # has hooks of the same names
        return None
    return PHASES.get(action if action == NETWORKS else action[action.rfind(".") :])


def _now() -> float:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter()
