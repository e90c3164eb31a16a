"""What every loss does first: embeddings in full precision, and a graph that fits them."""

from __future__ import annotations

import torch
from torch import Tensor

from pal_plugin.errors import LossError
from pal_plugin.losses.batch_graph import BatchGraph
from pal_plugin.losses.combine import as_batch_graph


def full_precision(z: Tensor) -> Tensor:
    """Return embeddings (M, D) in float32, or as they are in float64.

    Raises:
        LossError: they are not a matrix of floating-point numbers.
    """
    if z.ndim != 2 or not z.is_floating_point():
        raise LossError(
            f"The embeddings have the shape {tuple(z.shape)} and the type {z.dtype}",
            "Pass (M, D) floating-point numbers, M = views × batch, view after view",
        )
    return z if z.dtype == torch.float64 else z.float()


def no_autocast(z: Tensor) -> torch.autocast:
    """Return the context in which mixed precision is off on the device of `z`."""
    return torch.autocast(z.device.type, enabled=False)


def fitting_graph(graph: Tensor | BatchGraph, z: Tensor) -> BatchGraph:
    """Return the graph of the rows of z (M, D), with its type and on its device.

    Raises:
        LossError: the graph is malformed or of another size.
    """
    fitting = as_batch_graph(graph)
    if fitting.shape != (z.shape[0], z.shape[0]):
        raise LossError(
            f"The graph has the shape {fitting.shape} and the embeddings have {z.shape[0]} rows",
            "Pass one row and one column of the graph for each row of the embeddings",
        )
    return fitting.to(z)


def positive_graph(graph: Tensor | BatchGraph, z: Tensor, loss: str) -> BatchGraph:
    """Return what `fitting_graph` does, for a loss that is defined on weights ≥ 0 alone.

    Raises:
        LossError: as there, or the graph has negative weights.
    """
    fitting = fitting_graph(graph, z)
    if fitting.signed:
        raise LossError(
            f"The graph has negative weights, on which the {loss} loss is not defined",
            "Drop the unrelated pairs, or use graph_vic2_loss, which takes them",
        )
    return fitting


def check_edges(total: Tensor, which: str = "") -> Tensor:
    """Return the sum of a graph's weights.

    Raises:
        LossError: it is zero, or too large for the embeddings' type.
    """
    if total.isfinite() & (total != 0):  # one question: each waits for the device
        return total
    if total == 0:
        raise LossError(
            f"The batch's graph has no edges{which}",
            "Add the augmentation graph (interpolate with alpha below 1), or sample batches along known relations",
        )
    raise LossError(
        f"The weights of the batch's graph add up to {float(total)} in {total.dtype}", "Scale the graph down"
    )


def check_views(rows: int, views: int, least: int, loss: str) -> int:
    """Return the number of samples B of M = views·B rows.

    Raises:
        LossError: there are fewer views than the loss needs, or they do not divide the rows.
    """
    if views < least:
        raise LossError(f"The {loss} loss needs {least} views or more, and there are {views}", "Pass more views")
    if rows % views:
        raise LossError(f"{rows} rows are not {views} views of a batch", "Pass all views of every sample")
    return rows // views
