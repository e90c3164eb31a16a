"""Batch graphs from tensors, and the mixture of what augmentation says and what an oracle says."""

from __future__ import annotations

import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.blocks import BlockGraph
from pal_plugin.losses.matrices import DenseGraph, SparseGraph


def as_batch_graph(graph: Tensor | BatchGraph) -> BatchGraph:
    """Return a tensor as a batch graph, and a batch graph as it is.

    Args:
        graph: (M, M) of any real type or bool, dense or torch sparse (COO, CSR), or a `BatchGraph`.

    Raises:
        LossError: it is neither, or not a square matrix of finite real numbers.
    """
    if isinstance(graph, BatchGraph):
        return graph
    if not isinstance(graph, Tensor):
        raise LossError(
            f"A batch graph is a {type(graph).__name__}", "Pass a torch tensor, dense or sparse, or a BatchGraph"
        )
    return DenseGraph(graph) if graph.layout is torch.strided else SparseGraph(graph)


def interpolate(ssl: Tensor | BatchGraph, sup: Tensor | BatchGraph, alpha: float) -> BatchGraph:
    """Return G = (1 − α)·G_ssl + α·G_sup, the semi-supervised graph of PAL.

    Two graphs of blocks give a graph of blocks, a dense one gives a dense one, anything else a sparse one. A graph of
    weight zero is left out.

    Args:
        ssl: (M, M), which rows are views of one sample.
        sup: (M, M), which rows are known to be related; zero in the rows and columns of unknown samples.
        alpha: between 0 (self-supervised) and 1 (supervised).

    Raises:
        LossError: alpha outside [0, 1], or graphs of different sizes.
    """
    if not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1:
        raise LossError(
            f"alpha is {alpha!r}, outside [0, 1]", "Choose a number from 0, self-supervised, to 1, supervised"
        )
    first, second = as_batch_graph(ssl), as_batch_graph(sup)
    if first.shape != second.shape:
        raise LossError(
            f"The graphs to interpolate have the shapes {first.shape} and {second.shape}",
            "Make both for the same rows of the same batch",
        )
    if alpha in (0, 1):
        return second if alpha else first
    return _sum(first.scaled(1 - alpha), second.scaled(alpha))


def _sum(first: BatchGraph, second: BatchGraph) -> BatchGraph:
    if isinstance(first, BlockGraph) and isinstance(second, BlockGraph) and first.hollow == second.hollow:
        return first.plus(second)
    if isinstance(first, DenseGraph) or isinstance(second, DenseGraph):
        return DenseGraph(first.to_dense().matrix + second.to_dense().matrix)
    return SparseGraph(first.to_sparse().matrix + second.to_sparse().matrix)
