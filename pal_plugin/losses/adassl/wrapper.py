"""AdaSSL's own part of a method: what it adds to any host, and all of it that needs no host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl.editors import make_editor
from pal_plugin.losses.adassl.latents import GaussianLatent, GivenLatent, Latent, LatentDraw, NoLatent, SparseLatent
from pal_plugin.losses.adassl.monitor import log_values
from pal_plugin.losses.adassl.networks import check_rows

# the editor that a variant has unless another is asked for
VARIANTS = {"v": "mlp", "s": "sparse", "gt": "mlp", "vanilla": "identity"}

MOST_NAMED = 5  # dimensions, in an error


class Edited(NamedTuple):
    """What AdaSSL makes of a batch of pairs (x, y).

    Attributes:
        edited_x: (B, D), where x should be, edited from y: it takes the place of y's embedding in the host's loss.
        edited_y: (B, D), where y should be, edited from x.
        penalty: L_reg, a scalar, the mean of both directions; it is the sum of `per_dimension`.
        per_dimension: (d_r,), the penalty of every dimension of r; (0,) where r costs nothing.
        diagnostics: scalars without gradient, for the log (see `log_values`).
    """

    edited_x: Tensor
    edited_y: Tensor
    penalty: Tensor
    per_dimension: Tensor
    diagnostics: dict[str, Tensor]


class AdaSSL(nn.Module):
    """A latent r for every pair and an editor that moves the context's embedding by it towards the target's.

    The host's loss of an edited embedding and its target, plus β·L_reg, is AdaSSL's loss. Means are over this rank's
    pairs, as a host's own losses are. At test time r is left out, or drawn from the prior.

    Args:
        dim: D, the size of the embeddings.
        variant: v (variational), s (sparse), gt (r is the true difference of the factors) or vanilla (no r, no edit).
        latent_dim: d_r; for gt how many factors there are; vanilla reads none of what follows.
        latent_hidden_dims: the hidden widths of prior and posterior.
        editor: mlp, linear, add or sparse; None for the variant's own: mlp for v and gt, sparse for s.
        editor_hidden_dims: the hidden widths of the editor mlp.

    Raises:
        LossError: an unknown variant or editor, sizes that are not positive, or the editor add where d_r is not D.

    Source: Zhang et al., Self-Supervised Learning from Structural Invariance (arXiv 2602.02381).
    """

    latent: Latent

    def __init__(
        self,
        dim: int,
        variant: str,
        latent_dim: int = 8,
        *,
        latent_hidden_dims: Sequence[int] = (1024,),
        editor: str | None = None,
        editor_hidden_dims: Sequence[int] = (1024,),
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise LossError(f"AdaSSL has no variant {variant!r}", f"Choose one of {', '.join(VARIANTS)}")
        if min(dim, latent_dim) < 1:
            raise LossError(f"dim is {dim} and latent_dim {latent_dim}", "Set both to 1 or more")
        self.dim, self.variant = dim, variant
        if variant == "v":
            self.latent = GaussianLatent(dim, latent_dim, latent_hidden_dims)
        elif variant == "s":
            self.latent = SparseLatent(dim, latent_dim, latent_hidden_dims)
        elif variant == "gt":
            self.latent = GivenLatent(latent_dim)
        else:
            self.latent, editor = NoLatent(), None
        self.editor = make_editor(editor or VARIANTS[variant], dim, self.latent.latent_dim, editor_hidden_dims)

    def forward(
        self, x: Tensor, y: Tensor, seen_x: Tensor, seen_y: Tensor, *, generator: torch.Generator | None = None
    ) -> Edited:
        """Edit both embeddings of every pair towards each other.

        Args:
            x: (B, D) embeddings, by the network that learns, of the pairs' first samples.
            y: (B, D), of their second.
            seen_x: (B, D), what the posterior sees of x as a target: x itself, another view of it, or the momentum
                network's embedding. For gt the difference of the factors from y to x, (B, d_r). vanilla reads none.
            seen_y: the same of y; for gt the difference from x to y.
            generator: of the embeddings' device; PyTorch's own where there is none.

        Raises:
            LossError: shapes that do not fit, a training batch of one, or a penalty that is not finite; it says of
                which dimension.
        """
        edited_y, to_y = self.edit(x, seen_y, generator=generator)
        edited_x, to_x = self.edit(y, seen_x, generator=generator)
        if to_x.penalty.shape != to_y.penalty.shape:
            raise LossError(f"{x.shape[0]} embeddings x and {y.shape[0]} embeddings y", "Pass pairs")
        per_dimension = (to_y.penalty.mean(0) + to_x.penalty.mean(0)) / 2
        _check_finite(per_dimension)
        statistics = {name: (values + to_x.statistics[name]) / 2 for name, values in to_y.statistics.items()}
        return Edited(edited_x, edited_y, per_dimension.sum(), per_dimension, log_values(statistics))

    def edit(
        self, context: Tensor, seen: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LatentDraw]:
        """Return contexts (B, D) edited towards their targets, and the draw of r that it was done by.

        Args and errors are those of one direction of `forward`.
        """
        draw: LatentDraw = self.latent(check_rows(context, self.dim, "context"), seen, generator=generator)
        return self.editor(context, draw.r), draw


def _check_finite(per_dimension: Tensor) -> None:
    finite = per_dimension.isfinite()
    if not finite.all():
        bad = [f"{j}: {per_dimension[j].item()}" for j in (~finite).nonzero().flatten().tolist()]
        others = f" and {len(bad) - MOST_NAMED} more of {len(finite)}" if len(bad) > MOST_NAMED else ""
        raise LossError(
            f"The penalty of the latent r is not finite in dimension {', '.join(bad[:MOST_NAMED])}{others}",
            "Lower the learning rate, clip the gradient, or warm β up for longer",
        )
