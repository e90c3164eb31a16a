"""Editors: from a context's embedding and r to where the target's embedding should be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.losses.adassl.networks import mlp


class MLPEditor(nn.Module):
    """[x; r] through a network with BatchNorm, without a bias on its output.

    Args:
        dim: D, the size of x.
        latent_dim: d_r, the size of r.
        hidden_dims: its hidden widths; none for a single Linear.
    """

    def __init__(self, dim: int, latent_dim: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.net = mlp([dim + latent_dim, *hidden_dims, dim], output_bias=False)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Return (B, D) of x (B, D) and r (B, d_r)."""
        edited: Tensor = self.net(torch.cat([x, r], dim=1))
        return edited


class LinearEditor(MLPEditor):
    """[x; r] through one Linear without bias."""

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__(dim, latent_dim, ())


class AdditiveEditor(nn.Module):
    """x + r.

    Raises:
        LossError: r has another size than x.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        if latent_dim != dim:
            raise LossError(
                f"The editor add takes an r of the embeddings' size {dim}, and latent_dim is {latent_dim}",
                f"Set latent_dim={dim}, or choose the editor mlp or linear",
            )

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Return (B, D) of x (B, D) and r (B, D)."""
        return x + r


class SparseEditor(nn.Module):
    """x + B(tanh(r) ⊙ (A·x + a)): every dimension of r switches a change of rank one. B starts at zero: no change."""

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.A = nn.Linear(dim, latent_dim)
        self.B = nn.Linear(latent_dim, dim, bias=False)
        nn.init.zeros_(self.B.weight)

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Return (B, D) of x (B, D) and r (B, d_r)."""
        edited: Tensor = x + self.B(r.tanh() * self.A(x))
        return edited


class IdentityEditor(nn.Module):
    """x as it is: the control."""

    def forward(self, x: Tensor, r: Tensor) -> Tensor:
        """Return x (B, D); r is not read."""
        return x


def make_editor(name: str, dim: int, latent_dim: int, hidden_dims: Sequence[int] = ()) -> nn.Module:
    """Return an editor by name: mlp, linear, add, sparse or identity.

    Args:
        name: its name.
        dim: D, the size of the embeddings.
        latent_dim: d_r, the size of r.
        hidden_dims: the hidden widths of the editor mlp; the others have none.

    Raises:
        LossError: an unknown name, an mlp without hidden widths, or add where d_r is not D.
    """
    if name == "mlp" and not hidden_dims:
        raise LossError("The editor mlp has no hidden widths", "Set editor_hidden_dims, or choose the editor linear")
    makers: dict[str, Any] = {
        "mlp": lambda: MLPEditor(dim, latent_dim, hidden_dims),
        "linear": lambda: LinearEditor(dim, latent_dim),
        "add": lambda: AdditiveEditor(dim, latent_dim),
        "sparse": lambda: SparseEditor(dim, latent_dim),
        "identity": IdentityEditor,
    }
    if name not in makers:
        raise LossError(f"No editor is called {name!r}", f"Choose one of {', '.join(makers)}")
    editor: nn.Module = makers[name]()
    return editor
