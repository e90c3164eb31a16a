"""The float32 matrix product under the greedy: the fastest there is, checked to be one of float32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import torch
from torch import Tensor

from pal_plugin.errors import DeviceError
from pal_plugin.selection.points import ROUNDING

Product: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(points (n, D), centres (k, D), added (k,)) → (n, k) points · centres + added."""

TILE, CHUNK = 1024, 256  # points and centres of one product: its operands and result stay in a core's cache


def pick_product(width: int, device: torch.device) -> Product:
    """Return the product to use for rows of `width` coordinates.

    oneDNN's has been twice as fast as torch's own on CPUs with AVX-512, but compiles a kernel for every shape, so it
    gets whole tiles only.

    Raises:
        DeviceError: every product loses digits, as with TF32 or bfloat16 forced by the environment.
    """
    onednn = _onednn() if device.type == "cpu" else None
    if onednn is not None and _is_float32(onednn, width, device):
        return _whole_tiles(onednn)
    if _is_float32(_plain, width, device):
        return _plain
    raise DeviceError(
        f"Matrix products on {device} lose digits of float32",
        "Unset what forces TF32 or bfloat16 (NVIDIA_TF32_OVERRIDE, ONEDNN_DEFAULT_FPMATH_MODE), or use device=cpu",
    )


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Keep torch from TF32 and bfloat16 inside float32 products while the block runs."""
    held = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(held)


def _plain(points: Tensor, centres: Tensor, added: Tensor) -> Tensor:
    return torch.addmm(added, points, centres.T)


def _onednn() -> Product | None:
    """Return oneDNN's product where this build of torch has it."""
    if not torch.backends.mkldnn.is_available():
        return None
    operator: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operator is None:
        return None
    return lambda points, centres, added: operator(points, centres, added, "none", [], "")


def _whole_tiles(fast: Product) -> Product:
    def product(points: Tensor, centres: Tensor, added: Tensor) -> Tensor:
        whole = points.shape[0] == TILE and centres.shape[0] == CHUNK
        return fast(points, centres, added) if whole else _plain(points, centres, added)

    return product


def _is_float32(product: Product, width: int, device: torch.device) -> bool:
    """Multiply a whole tile of random rows and compare with float64, against the bound of float32."""
    random = torch.Generator().manual_seed(0)
    points, centres = (torch.randn(rows, width, generator=random) for rows in (TILE, CHUNK))
    try:
        found = product(points.to(device), centres.to(device), torch.zeros(CHUNK, device=device)).cpu()
    except (RuntimeError, NotImplementedError):  # an operator that this build declares and does not have
        return False
    some = slice(None, None, 64)
    error = (found[some].double() - points[some].double() @ centres.double().T).abs()
    # Sums of D random terms in float32 are off by up to about D^½·2⁻²⁴ times D^½ or less, in TF32 by 2¹³ times D^½·2⁻²⁴.
    return float(error.max()) <= 2**11 * width**0.5 * ROUNDING
