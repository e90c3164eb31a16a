"""AdaSSL (Zhang et al., arXiv 2602.02381): a host's method on pairs whose partner is one of many.

A latent r, drawn for every pair, says what of the target the context cannot tell; an editor moves the context's
embedding by it, and the host's loss compares what comes out with the target. Variant vanilla edits nothing and is the
host's method on the same pairs.

The evidence is of pairs that differ in what they show: factors resampled, photos of one person, animals of one species,
frames. There is none that two augmentations of one image gain by it.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from torch import Tensor, nn

from pal_plugin.host import METHODS
from pal_plugin.host.view_losses import byol_loss, moco_loss, vicreg_loss
from pal_plugin.losses import adassl_info_nce, gather_samples
from pal_plugin.losses.adassl import Edited, LearnableScale, clamped_share
from pal_plugin.losses.checks import full_precision, no_autocast
from pal_plugin.methods.adaptive import AdaptiveLatent, TaughtLatent

_BYOL: Any = METHODS["byol"]
_MoCo: Any = METHODS["mocov2plus"]
_SimCLR: Any = METHODS["simclr"]
_VICReg: Any = METHODS["vicreg"]


class AdaSSLSimCLR(AdaptiveLatent, _SimCLR):  # type: ignore[misc]
    """SimCLR's networks with AdaSSL's contrastive loss; without edits it is NT-Xent while the clamp does not bind."""

    contrastive = True
    temperature: float

    def __init__(self, cfg: DictConfig) -> None:
        super().__init__(cfg)
        self.scale = LearnableScale() if self.settings.learnable_lambda else None

    @property
    def learnable_params(self) -> list[dict[str, Any]]:
        """λ is no layer: it is not decayed, and LARS does not scale it."""
        if self.scale is None:
            return super().learnable_params
        scale = {"name": "lambda", "params": list(self.scale.parameters()), "weight_decay": 0.0}
        return [*super().learnable_params, scale]

    def ssl_loss(self, edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor) -> Tensor:
        """See `AdaptiveLatent.ssl_loss`."""
        return adassl_info_nce(edited_x, edited_y, target_x, target_y, **self._logits())

    def figures(self, edited: Edited, targets: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """See `AdaptiveLatent.figures`."""
        found = {"clamped_share": clamped_share(edited.edited_x, edited.edited_y, *targets, **self._logits())}
        return found if self.scale is None else {**found, "lambda": self.scale().detach()}

    def _logits(self) -> dict[str, Any]:
        scale: Tensor | float = 1.0 if self.scale is None else self.scale()
        return {"temperature": self.temperature, "scale": scale, "clamp": self.settings.logit_clamp}


class AdaSSLBYOL(TaughtLatent, _BYOL):  # type: ignore[misc]
    """BYOL whose predictor sees edited embeddings.

    The paper's loss is −cos, the host's 2 − 2·cos, both summed over the two directions. The host's is kept, so that
    vanilla has its numbers, and the regulariser enters as 2·β·L_reg: the gradient is twice the paper's.
    """

    reg_factor = 2.0
    predictor: nn.Module

    def predicted(self, edited: Tensor) -> Tensor:
        """See `AdaptiveLatent.predicted`."""
        predicted: Tensor = self.predictor(edited)
        return predicted

    def ssl_loss(self, edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor) -> Tensor:
        """See `AdaptiveLatent.ssl_loss`."""
        # the order of the host's loop, which BatchNorm's running statistics remember
        predicted = [full_precision(self.predictor(edited)) for edited in (edited_y, edited_x)]
        target_y, target_x = full_precision(target_y), full_precision(target_x)
        return byol_loss(predicted[1], target_x) + byol_loss(predicted[0], target_y)


class AdaSSLVICReg(AdaptiveLatent, _VICReg):  # type: ignore[misc]
    """VICReg's loss of the edited embeddings and their targets, the mean of both directions."""

    sim_loss_weight: float
    var_loss_weight: float
    cov_loss_weight: float

    def ssl_loss(self, edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor) -> Tensor:
        """See `AdaptiveLatent.ssl_loss`."""
        weights: dict[str, float] = {
            "sim_weight": self.sim_loss_weight,
            "var_weight": self.var_loss_weight,
            "cov_weight": self.cov_loss_weight,
        }
        x, y = full_precision(target_x), full_precision(target_y)
        with no_autocast(x):
            to_y = vicreg_loss(full_precision(edited_y), y, **weights)
            return (to_y + vicreg_loss(x, full_precision(edited_x), **weights)) / 2


class AdaSSLMoCoV2Plus(TaughtLatent, _MoCo):  # type: ignore[misc]
    """MoCo v2+ whose queries are edited embeddings."""

    temperature: float
    queue: Tensor
    _dequeue_and_enqueue: Any

    def ssl_loss(self, edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor) -> Tensor:
        """See `AdaptiveLatent.ssl_loss`."""
        queue = self.queue.clone()
        both = ((edited_y, target_y, queue[1]), (edited_x, target_x, queue[0]))
        with no_autocast(edited_x):
            first, second = (
                moco_loss(_unit(query), _unit(key), others, self.temperature) for query, key, others in both
            )
            return (first + second) / 2

    def after_loss(self, target_x: Tensor, target_y: Tensor) -> None:
        """Put the keys into the queue."""
        self._dequeue_and_enqueue(torch.stack([gather_samples(_unit(target)) for target in (target_x, target_y)]))


ADASSL_METHODS: dict[str, type] = {
    "adassl_byol": AdaSSLBYOL,
    "adassl_mocov2plus": AdaSSLMoCoV2Plus,
    "adassl_simclr": AdaSSLSimCLR,
    "adassl_vicreg": AdaSSLVICReg,
}


def _unit(rows: Tensor) -> Tensor:
    return F.normalize(full_precision(rows), dim=1)
