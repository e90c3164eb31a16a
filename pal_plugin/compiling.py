"""`compile=…`: the backbones through torch.compile."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import nn

from pal_plugin.errors import ConfigError
from pal_plugin.registry import near_matches

# Modes with CUDA graphs are not among them: a graph overwrites the features of view 1 when it is run on view 2.
WAYS = {
    "default": {"mode": "default"},
    "max-autotune-no-cudagraphs": {"mode": "max-autotune-no-cudagraphs"},
    "aot_eager": {"backend": "aot_eager"},  # traces forward and backward and generates no code
    "eager": {"backend": "eager"},  # traces and no more
}


def compile_backbones(module: nn.Module, how: Any) -> None:
    """Let a method's backbone, and its teacher's, be compiled when they first see a batch.

    They stay the modules that they are: checkpoints have the same keys as without.

    Args:
        module: a method.
        how: `compile` of a config: null or false for not, true for the default way, or one of `WAYS`.

    Raises:
        ConfigError: it is none of these.
    """
    if how is None or how is False:
        return
    way = "default" if how is True else str(how)
    if way not in WAYS:
        raise ConfigError(
            f"There is no way to compile called {way!r}", f"Set compile=true, or: {near_matches(way, WAYS)}"
        )
    for name in ("backbone", "momentum_backbone"):
        network = getattr(module, name, None)
        if network is not None:
            network.compile(**WAYS[way])


class CompileCost(Callback):
    """Says after the second step what compiling cost: how much longer the first one took."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._taken: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock."""
        self._begun = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print the cost once."""
        if len(self._taken) == 2:
            return
        self._taken.append(time.monotonic() - self._begun)
        if len(self._taken) == 2:
            first, second = self._taken
            cost = max(first - second, 0)
            _say(f"compiling took about {cost:.1f} s: steps 1 and 2 took {first:.1f} s and {second:.1f} s")


@rank_zero_only
def _say(line: str) -> None:
    print(f"pal train: {line}", file=sys.stderr, flush=True)
