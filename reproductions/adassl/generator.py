"""Pairs with known factors, mixed into what an encoder sees. Ours: the paper's generator was not to be had.

z = (content, style) ~ N(0, I), five numbers each. A pair's second sample keeps its content but for a little noise. Of
its style about half the numbers jump, up or down, by sizes and with a spread that depend on the content: the targets
of one context lie in many places, and how far about these differs from context to context.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CONTENT, STYLE = 5, 5
FACTORS = CONTENT + STYLE
SLOPE = 0.2  # of the leaky ReLU between the two mixing matrices
CONTENT_NOISE = 0.05
CANDIDATES, BEST = 2000, 0.01  # mixing matrices drawn, and the share with the least condition numbers


class Pairs(NamedTuple):
    """Pairs of samples with their factors.

    Attributes:
        x: (N, 10), the first samples.
        y: (N, 10), the second.
        difference: (N, 10), the factors of y less those of x.
    """

    x: Tensor
    y: Tensor
    difference: Tensor


class World:
    """Two mixing matrices, and how content rules the jumps of style; all four are functions of the seed.

    Args:
        seed: of the draws.
    """

    def __init__(self, seed: int) -> None:
        rng = torch.Generator().manual_seed(seed)
        self.mixing = mixing_matrix(rng), mixing_matrix(rng)
        scale = math.sqrt(CONTENT)
        self.to_spread, self.to_size = (torch.randn(CONTENT, STYLE, generator=rng) / scale for _ in range(2))

    def mix(self, z: Tensor) -> Tensor:
        """Return what is seen of factors (N, 10): x = W₂·leaky_relu(W₁·z), (N, 10)."""
        first, second = self.mixing
        return F.leaky_relu(z @ first.T, SLOPE) @ second.T

    def partners(self, z: Tensor, rng: torch.Generator) -> Tensor:
        """Return the factors (N, 10) of a partner for each sample with factors (N, 10).

        c⁺ = c + .05·ε. Of each number of style, s⁺ = s + b·(±m + σ·ε) with b and the sign of fair coins of its own,
        m = 1 + sigmoid(2·c·V₂) and σ = .1 + .4·sigmoid(2·c·V₁).
        """
        content, style = z[:, :CONTENT], z[:, CONTENT:]
        spread = 0.1 + 0.4 * (2 * content @ self.to_spread).sigmoid()
        size = 1 + (2 * content @ self.to_size).sigmoid()
        jumps, up = (torch.rand(style.shape, generator=rng) < 0.5 for _ in range(2))
        jump = torch.where(up, size, -size) + spread * torch.randn(style.shape, generator=rng)
        kept = content + CONTENT_NOISE * torch.randn(content.shape, generator=rng)
        return torch.cat([kept, style + jumps * jump], dim=1)

    def pairs(self, count: int, rng: torch.Generator) -> Pairs:
        """Return `count` pairs."""
        z = factors(count, rng)
        partners = self.partners(z, rng)
        return Pairs(self.mix(z), self.mix(partners), partners - z)


def factors(count: int, rng: torch.Generator, std: float = 1.0) -> Tensor:
    """Return factors (count, 10) ~ N(0, std²·I)."""
    return std * torch.randn(count, FACTORS, generator=rng)


def mixing_matrix(rng: torch.Generator) -> Tensor:
    """Return a matrix (10, 10) that is well inverted: U(−1, 1) numbers, columns scaled to length one.

    It is the first of 2000 whose condition number is among the least 1 %.
    """
    matrices = 2 * torch.rand(CANDIDATES, FACTORS, FACTORS, generator=rng) - 1
    matrices = matrices / matrices.norm(dim=1, keepdim=True)
    conditions = torch.linalg.cond(matrices.double())
    best = (conditions <= conditions.quantile(BEST)).nonzero()[0, 0]
    chosen: Tensor = matrices[best]
    return chosen
