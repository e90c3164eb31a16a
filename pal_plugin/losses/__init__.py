"""Losses of tensors: along a similarity graph among the rows of a batch, and AdaSSL's."""

from __future__ import annotations

from pal_plugin.losses.adassl import (
    AdaSSL,
    AnInfoNCE,
    BetaSchedule,
    GaussianLatent,
    HInfoNCE,
    InfoNCE,
    SparseLatent,
    adassl_info_nce,
    make_editor,
    sample_targets,
)
from pal_plugin.losses.barlow import graph_barlow_loss
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.blocks import BlockGraph, augmentation_graph
from pal_plugin.losses.byol import graph_byol_loss
from pal_plugin.losses.closed_form import KernelEmbedding, spectral_embedding
from pal_plugin.losses.combine import as_batch_graph, interpolate
from pal_plugin.losses.gather import gather_samples, gather_views
from pal_plugin.losses.importance import PairImportance
from pal_plugin.losses.matrices import DenseGraph, SparseGraph
from pal_plugin.losses.simclr import graph_simclr_loss
from pal_plugin.losses.spectral import graph_spectral_loss
from pal_plugin.losses.vicreg import graph_vic2_loss, graph_vicreg_loss

__all__ = [
    "AdaSSL",
    "AnInfoNCE",
    "BatchGraph",
    "BetaSchedule",
    "BlockGraph",
    "DenseGraph",
    "GaussianLatent",
    "HInfoNCE",
    "InfoNCE",
    "KernelEmbedding",
    "PairImportance",
    "SparseGraph",
    "SparseLatent",
    "adassl_info_nce",
    "as_batch_graph",
    "augmentation_graph",
    "gather_samples",
    "gather_views",
    "graph_barlow_loss",
    "graph_byol_loss",
    "graph_simclr_loss",
    "graph_spectral_loss",
    "graph_vic2_loss",
    "graph_vicreg_loss",
    "interpolate",
    "make_editor",
    "sample_targets",
    "spectral_embedding",
]
