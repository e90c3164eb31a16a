"""How far a float32 matrix product can be from a squared distance: what makes fast picks certain.

For centred rows y (a point) and c (a centre) in float32, |y − c|² = |y|² + |c|² − 2 y·c. Whatever the order of
summation, the computed value is off by at most (D + 12)·2⁻²⁴·(|y| + |c|)², the rounding of the rows themselves included
(Higham, Accuracy and Stability of Numerical Algorithms, section 3.1). A nearest centre has |c| ≤ |y| + d, so a bound
needs the point's own norm and distance only and does not suffer from points far out; the factor 2 below covers that d
itself is computed, for all D up to `points.WIDEST`.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pal_plugin.selection.points import ROUNDING

Numbers = TypeVar("Numbers", npt.NDArray[np.float64], Tensor)

_ROUNDING64 = 2.0**-53
_UNDERFLOW = 2.0**-120  # of one product, where a kernel flushes what is below float32's normal numbers


def product_error(norm: Numbers, squared: Numbers, width: int) -> Numbers:
    """Bound |float32 − true| of a point's squared distance to the nearest of some centres.

    Args:
        norm: (n,) float64, of the points' float32 rows.
        squared: (n,) float64, not negative: the squared distances that the product gave.
        width: D.
    """
    return 2 * (width + 12) * ROUNDING * (2 * norm + squared**0.5) ** 2 + width * _UNDERFLOW


def exact_product_error(norm: Numbers, squared: Numbers, width: int) -> Numbers:
    """Bound |computed − true| likewise for a float64 product of rows that are not centred."""
    return 2 * (width + 12) * _ROUNDING64 * (2 * norm + squared**0.5) ** 2


def upper_bound(squared: Tensor, error: Tensor, representation: float) -> Tensor:
    """Return what a true squared distance cannot exceed, from a product's and its error.

    Args:
        squared: (n,) float64 squared distances between float32 rows.
        error: (n,) their errors.
        representation: how far a row may lie from its point.
    """
    bound = squared + error
    return bound if representation == 0 else torch.square(torch.sqrt(bound) + 2 * representation)
