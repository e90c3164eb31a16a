"""The small networks of AdaSSL's heads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from torch import Tensor, nn

from pal_plugin.errors import LossError

GAIN = math.sqrt(2)  # of ReLU


class BatchNorm(nn.BatchNorm1d):
    """`BatchNorm1d` that says what is wrong with a batch of one.

    `convert_sync_batchnorm` makes a `SyncBatchNorm` of it, which takes one sample a rank.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, D).

        Raises:
            LossError: a batch of one while training.
        """
        if self.training and input.shape[0] < 2:
            raise LossError(
                f"AdaSSL's networks have BatchNorm, and the batch has {input.shape[0]} sample",
                "Use batches of two or more, and drop the last one where it is smaller",
            )
        return super().forward(input)


def mlp(dims: Sequence[int], *, output_bias: bool = True, output_norm: bool = False) -> nn.Sequential:
    """Return Linear → BatchNorm → ReLU for every hidden width, and a Linear last.

    Hidden Linears have no bias. Weights are Xavier-uniform with gain √2, biases zero, as in the authors' code.

    Args:
        dims: widths from input to output; two are a single Linear.
        output_bias: whether the last Linear has a bias.
        output_norm: whether a BatchNorm follows it.

    Raises:
        LossError: fewer than two widths, or one that is not positive.
    """
    if len(dims) < 2 or min(dims) < 1:
        raise LossError(f"A network of the widths {tuple(dims)}", "Give two positive widths or more, input to output")
    *hidden, last = itertools.pairwise(dims)
    layers: list[nn.Module] = []
    for wide in hidden:
        layers += [nn.Linear(*wide, bias=False), BatchNorm(wide[1]), nn.ReLU(inplace=True)]
    layers.append(nn.Linear(*last, bias=output_bias))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=GAIN)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    if output_norm:
        layers.append(BatchNorm(last[1]))
    return nn.Sequential(*layers)


def check_rows(rows: Tensor, dim: int, what: str) -> Tensor:
    """Return rows (B, dim) as they are.

    Raises:
        LossError: they have another shape, or are not floating-point numbers.
    """
    if rows.ndim != 2 or rows.shape[1] != dim or not rows.is_floating_point():
        raise LossError(
            f"The {what} has the shape {tuple(rows.shape)} and the type {rows.dtype}",
            f"Pass (B, {dim}) floating-point numbers",
        )
    return rows
