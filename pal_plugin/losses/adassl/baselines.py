"""Contrastive losses that AdaSSL is compared with: one target for every context, and more or less of a noise model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pal_plugin.losses.adassl.info_nce import adassl_info_nce, check_logits, contrast, gather_targets
from pal_plugin.losses.adassl.networks import check_rows, mlp
from pal_plugin.losses.checks import full_precision, no_autocast

SOFTPLUS_OF_ONE = math.log(math.e - 1)  # softplus of it is 1


class InfoNCE(nn.Module):
    """InfoNCE between pairs in both directions, as NT-Xent counts its negatives: noise that is the same everywhere.

    Args:
        temperature: τ.
        clamp: the largest magnitude of a logit; None for no bound.

    Raises:
        LossError: a temperature or clamp that is not positive.
    """

    def __init__(self, *, temperature: float = 0.1, clamp: float | None = 20.0) -> None:
        super().__init__()
        check_logits(temperature, clamp)
        self.temperature, self.clamp = temperature, clamp

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of pairs of embeddings (B, D), a scalar; distributed as `adassl_info_nce` is."""
        return adassl_info_nce(y, x, x, y, temperature=self.temperature, clamp=self.clamp)


class AnInfoNCE(InfoNCE):
    """InfoNCE whose noise differs between dimensions: logits −‖c̃ − t̃‖²_Λ / 2τ with a learnable diagonal Λ > 0.

    Λ = softplus of its parameters, and starts at one, where the loss is InfoNCE's: logits are given the constant 1/τ
    that makes them cos/τ there, so that a clamp, too, means the same. The factor ½ and τ, which Λ could take in, are
    kept for that start.

    Args:
        dim: D.
        temperature: τ.
        clamp: the largest magnitude of a logit; None for no bound.

    Source: Rusak et al., InfoNCE: Identifying the Gap Between Theory and Practice (arXiv 2407.00143).
    """

    def __init__(self, dim: int, *, temperature: float = 0.1, clamp: float | None = 20.0) -> None:
        super().__init__(temperature=temperature, clamp=clamp)
        self.raw = nn.Parameter(torch.full((dim,), SOFTPLUS_OF_ONE))

    def precision(self, context: Tensor) -> Tensor:
        """Return Λ's diagonal for every context (B, D): (B, D), or (1, D) where it is the same for all."""
        check_rows(context, self.raw.shape[0], "embeddings")
        return F.softplus(self.raw).unsqueeze(0)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of pairs of embeddings (B, D), a scalar; distributed as `adassl_info_nce` is.

        Raises:
            LossError: other shapes, or a single pair among all ranks.
        """
        # y is the context that x is told from, and the other way round
        precision = torch.cat([full_precision(self.precision(rows)).expand_as(rows) for rows in (y, x)])
        contexts = full_precision(torch.cat([y, x]))
        targets = gather_targets(x, y)
        with no_autocast(contexts):
            distances = _squared_distances(F.normalize(contexts, dim=1), F.normalize(targets.rows, dim=1), precision)
            return contrast((1 - distances / 2) / self.temperature, targets, clamp=self.clamp)


class HInfoNCE(AnInfoNCE):
    """InfoNCE whose noise differs between contexts, too: AnInfoNCE with Λ a network's of the context.

    This is our reading of the H-InfoNCE (heteroscedastic) of Zhang et al., whose code is not public. The normaliser of
    the Gaussian depends on the context alone and cancels in the softmax over targets, so that it is left out. The
    network's last layer starts at zero: the loss starts at InfoNCE's.

    Args:
        dim: D.
        hidden_dims: the hidden widths of the network D → … → D.
        temperature: τ.
        clamp: the largest magnitude of a logit; None for no bound.
    """

    def __init__(
        self,
        dim: int,
        hidden_dims: Sequence[int] = (128,),
        *,
        temperature: float = 0.1,
        clamp: float | None = 20.0,
    ) -> None:
        super().__init__(dim, temperature=temperature, clamp=clamp)
        self.net = mlp([dim, *hidden_dims, dim], output_bias=False)  # `raw` is its bias
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)

    def precision(self, context: Tensor) -> Tensor:
        """Return Λ's diagonal for every context (B, D): (B, D)."""
        raw = full_precision(self.net(check_rows(context, self.raw.shape[0], "embeddings")))
        return F.softplus(raw + self.raw)


def _squared_distances(contexts: Tensor, targets: Tensor, precision: Tensor) -> Tensor:
    """Return Σ_d Λ_id·(c_id − t_jd)², (M, N), without (M, N, D) numbers."""
    weighted = precision * contexts
    own = (weighted * contexts).sum(1, keepdim=True)
    return own - 2 * weighted @ targets.T + precision @ targets.square().T
