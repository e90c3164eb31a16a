"""What a host's heads make of a step's features, for losses that are not the host's.

Main's methods pass every view through their heads as they forward it, the release's do so in their own training step,
which our losses step over.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pal_plugin.host.base import Outputs


def project(method: Any, outs: Outputs) -> list[Tensor]:
    """Return what the projector makes of every view: V × (B, D).

    Args:
        method: one with a `projector`.
        outs: what `HostBase.training_step` returned; its views go through the heads once, which BatchNorm counts.
    """
    return outs["z"] if "z" in outs else [method.projector(feats) for feats in outs["feats"]]


def predict(method: Any, outs: Outputs) -> list[Tensor]:
    """Return what the predictor makes of every view's projection: V × (B, D).

    Args:
        method: one with a `projector` and a `predictor`.
        outs: as in `project`.
    """
    return outs["p"] if "p" in outs else [method.predictor(z) for z in project(method, outs)]


def project_by_teacher(method: Any, outs: Outputs) -> list[Tensor]:
    """Return what the teacher's projector makes of every view: V × (B, D), without gradients.

    Args:
        method: one with a `momentum_projector`.
        outs: as in `project`.
    """
    if "momentum_z" in outs:
        return outs["momentum_z"]  # type: ignore[no-any-return]
    with torch.no_grad():
        return [method.momentum_projector(feats) for feats in outs["momentum_feats"]]
