"""The losses that the numerical experiment compares, each with what it learns beside the encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from pal_plugin.losses.adassl import (
    AdaSSL,
    AnInfoNCE,
    BetaSchedule,
    HInfoNCE,
    InfoNCE,
    adassl_info_nce,
    loss_by_source,
)
from reproductions.adassl.numerical_cells import Cell

WARM_UP = 500  # steps, of β


class Objective(nn.Module, ABC):
    """A method's loss of pairs of embeddings."""

    @abstractmethod
    def forward(self, x: Tensor, y: Tensor, difference: Tensor, step: int) -> Tensor:
        """Return the loss of a batch, a scalar.

        Args:
            x: (B, D) embeddings of the pairs' first samples.
            y: (B, D), of their second.
            difference: (B, F), the factors of the second less those of the first; only gt reads it.
            step: the number of steps taken before.
        """

    @abstractmethod
    def monitor(self, x: Tensor, y: Tensor, difference: Tensor) -> dict[str, float]:
        """Return the contrastive loss of a batch as `loss`, and what tells whether r is in use."""


class Baseline(Objective):
    """InfoNCE, AnInfoNCE or H-InfoNCE."""

    def __init__(self, loss: InfoNCE) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, x: Tensor, y: Tensor, difference: Tensor, step: int) -> Tensor:
        """Return the loss; see `Objective.forward`."""
        loss: Tensor = self.loss(x, y)
        return loss

    def monitor(self, x: Tensor, y: Tensor, difference: Tensor) -> dict[str, float]:
        """Return `loss` alone."""
        return {"loss": float(self.loss(x, y))}


class Edited(Objective):
    """AdaSSL on the asymmetric InfoNCE.

    Args:
        ada: latent and editor.
        beta: the weight of L_reg after the warm-up.
        logits: temperature and clamp.
    """

    def __init__(self, ada: AdaSSL, beta: float, logits: dict[str, Any]) -> None:
        super().__init__()
        self.ada, self.beta, self._logits = ada, BetaSchedule(beta, WARM_UP), logits

    def forward(self, x: Tensor, y: Tensor, difference: Tensor, step: int) -> Tensor:
        """Return the loss; see `Objective.forward`."""
        edited = self.ada(x, y, *self._seen(x, y, difference))
        contrastive = adassl_info_nce(edited.edited_x, edited.edited_y, x, y, **self._logits)
        loss: Tensor = contrastive + self.beta(edited.per_dimension, step)
        return loss

    def monitor(self, x: Tensor, y: Tensor, difference: Tensor) -> dict[str, float]:
        """Return `loss`, the same with r from the prior or another pair, and KL, gates and deviations."""

        def contrastive(edited_x: Tensor, edited_y: Tensor) -> Tensor:
            return adassl_info_nce(edited_x, edited_y, x, y, **self._logits)

        seen = self._seen(x, y, difference)
        losses = loss_by_source(self.ada, x, y, *seen, contrastive)
        sizes = {name: size for name, size in self.ada(x, y, *seen).diagnostics.items() if "_dim" not in name}
        named = {"loss" if source == "posterior" else f"loss_{source}": loss for source, loss in losses.items()}
        return {name: float(value) for name, value in (named | sizes).items()}

    def _seen(self, x: Tensor, y: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
        return (-difference, difference) if self.ada.variant == "gt" else (x, y)


def objective(cell: Cell, dim: int, latent_dim: int, hidden: Sequence[int]) -> Objective:
    """Return the loss of a cell.

    Args:
        cell: which method, temperature and clamp.
        dim: D, the size of the embeddings.
        latent_dim: the size of r; for gt the number of factors.
        hidden: the hidden widths of every network beside the encoder.
    """
    logits: dict[str, Any] = {"temperature": cell.temperature, "clamp": cell.clamp}
    if cell.beta is not None:
        variant = cell.method.partition(".")[0]  # v.3 is v
        ada = AdaSSL(dim, variant, latent_dim, latent_hidden_dims=hidden, editor_hidden_dims=hidden)
        return Edited(ada, cell.beta, logits)
    baselines: dict[str, Callable[[], InfoNCE]] = {
        "infonce": lambda: InfoNCE(**logits),
        "aninfonce": lambda: AnInfoNCE(dim, **logits),
        "hinfonce": lambda: HInfoNCE(dim, hidden, **logits),
    }
    return Baseline(baselines[cell.method]())


def mean_monitor(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the means of what `Objective.monitor` returned for several batches."""
    return {name: round(sum(values[name] for values in found) / len(found), 4) for name in found[0]}
