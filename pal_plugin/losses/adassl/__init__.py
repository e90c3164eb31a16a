"""AdaSSL (Zhang et al., arXiv 2602.02381): a latent for what a pair's one sample cannot tell of the other."""

from __future__ import annotations

from pal_plugin.losses.adassl.baselines import AnInfoNCE, HInfoNCE, InfoNCE
from pal_plugin.losses.adassl.beta import BetaSchedule
from pal_plugin.losses.adassl.editors import (
    AdditiveEditor,
    IdentityEditor,
    LinearEditor,
    MLPEditor,
    SparseEditor,
    make_editor,
)
from pal_plugin.losses.adassl.info_nce import LearnableScale, adassl_info_nce, clamped_share
from pal_plugin.losses.adassl.latents import (
    Gaussian,
    GaussianLatent,
    GivenLatent,
    Latent,
    LatentDraw,
    NoLatent,
    SparseLatent,
    kl_divergence,
    straight_through,
)
from pal_plugin.losses.adassl.monitor import log_values, loss_by_source
from pal_plugin.losses.adassl.networks import mlp
from pal_plugin.losses.adassl.samples import Retrieved, retrieve, sample_targets, traverse
from pal_plugin.losses.adassl.wrapper import AdaSSL, Edited

__all__ = [
    "AdaSSL",
    "AdditiveEditor",
    "AnInfoNCE",
    "BetaSchedule",
    "Edited",
    "Gaussian",
    "GaussianLatent",
    "GivenLatent",
    "HInfoNCE",
    "IdentityEditor",
    "InfoNCE",
    "Latent",
    "LatentDraw",
    "LearnableScale",
    "LinearEditor",
    "MLPEditor",
    "NoLatent",
    "Retrieved",
    "SparseEditor",
    "SparseLatent",
    "adassl_info_nce",
    "clamped_share",
    "kl_divergence",
    "log_values",
    "loss_by_source",
    "make_editor",
    "mlp",
    "retrieve",
    "sample_targets",
    "straight_through",
    "traverse",
]
