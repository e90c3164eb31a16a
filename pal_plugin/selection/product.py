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

TILE, SMALL_TILE = 1024, 256  # points of one product: operands and result stay in a core's cache
CHUNK = 256  # centres


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


def nearest(product: Product, points: Tensor, centres: Tensor, halves: Tensor, first: int) -> Tensor:
    """Return (n,) the largest points · centres + halves over the centres from `first` on.

    Args:
        product: see `pick_product`.
        points: (n, D), a tile at most.
        centres: (k, D).
        halves: (k,) what is added: minus half of each centre's squared norm.
        first: earlier centres need not count, but may.
    """
    step = len(points) if len(points) == TILE else SMALL_TILE
    best = torch.full((len(points),), -torch.inf, device=points.device)
    for columns in _columns(first, len(centres)):
        for start in range(0, len(points), step):
            rows = slice(start, start + step)
            products = product(points[rows], centres[columns], halves[columns])
            torch.maximum(best[rows], products.amax(dim=1), out=best[rows])
    return best


def _columns(first: int, count: int) -> list[slice]:
    """Return chunks of the centres from `first` on; the last is made whole by earlier centres where that is faster."""
    starts = range(first, count, CHUNK)
    chunks = [slice(start, min(start + CHUNK, count)) for start in starts]
    if chunks and count >= CHUNK and count - chunks[-1].start > CHUNK // 3:
        chunks[-1] = slice(count - CHUNK, count)
    return chunks


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
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    operator: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operator is None:
        return None
    return lambda points, centres, added: operator(points, centres, added, "none", [], "")


def _whole_tiles(fast: Product) -> Product:
    def product(points: Tensor, centres: Tensor, added: Tensor) -> Tensor:
        whole = len(points) in (TILE, SMALL_TILE) and len(centres) == CHUNK
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
    # Such sums of D terms are off by 2⁻²⁴·D or less in float32, by about 2⁻¹¹·D^½ in TF32 and more in bfloat16.
    return bool(error.max() <= 2**11 * width**0.5 * ROUNDING)
