"""Exact neighbours by rounded products on a CPU or GPU, with a proof for every row that none is missing.

A product of rounded points (bfloat16, then float32) proposes twice as many candidates as are wanted, and float64
distances put them in order. A bound on all errors of the product then shows of most rows that no point outside the
list is as near as the last one wanted. Rows without that proof go to the next precision, and at last to `Search`.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pal_plugin.errors import ConfigError, DeviceError
from pal_plugin.graph.search import Search, without_self
from pal_plugin.graph.space import Floats, Longs, Space
from pal_plugin.progress import progress
from pal_plugin.registry import near_matches

PRECISIONS = ("auto", "bfloat16", "float32")
_ROWS, _COLUMNS = 1024, 1 << 15  # of a tile: 128 MiB of float32
_PAIR_NUMBERS = 1 << 25  # float64 differences at a time: 256 MiB
_ABOVE_ONE = 1 + 2.0**-30  # more than float64 loses in norms and distances of fewer than 2²⁰ coordinates


@dataclass(frozen=True)
class Found:
    """Exact neighbours, and what proved them.

    Attributes:
        neighbours: (N, k) int64, each row in order of (distance, index).
        proven: how many rows each step proved, by its name: `"bfloat16"`, `"float32"`, `"search"`.
    """

    neighbours: Longs
    proven: dict[str, int]


def torch_exact(features: Floats, k: int, metric: str) -> Longs:
    """Find the k exact neighbours of every row by products of torch, on a GPU where there is one; an `Engine`.

    It gives what `faiss_exact` gives. A GPU has to hold 10 bytes for every number of the features.

    Args:
        features: (N, D) finite float32; a memory map is read into memory.
        k: 1 to N - 1.
        metric: `"euclidean"` or `"cosine"`.

    Returns:
        (N, k) int64, each row in order of (distance, index).

    Raises:
        DeviceError: the features do not fit on the GPU, or its products lose more digits than they may.
    """
    return certified(features, k, metric).neighbours


def certified(features: Floats, k: int, metric: str, *, device: str = "auto", precision: str = "auto") -> Found:
    """Find the k exact neighbours of every row, and say what proved them.

    Args:
        features: as `torch_exact`.
        k: as `torch_exact`.
        metric: as `torch_exact`.
        device: `"auto"` (a GPU where there is one), `"cpu"` or `"cuda"`.
        precision: of the first product; `"auto"` is bfloat16 on a GPU that has it and float32 elsewhere. On a CPU
            the points are rounded to bfloat16 and multiplied in float32, which is as slow as float32.

    Raises:
        ConfigError: no such precision.
        DeviceError: no such device, and as `torch_exact`.
    """
    target = _device(device)
    steps = _steps(precision, target)
    search = Search.of(Space.of(features, metric))
    points = _on_device(search.space, target)
    neighbours = np.empty((len(features), k), dtype=np.int64)
    left = torch.arange(len(features), device=target)
    proven = {}
    with _full_precision():
        for dtype in steps:
            product = _Product.of(points, search, dtype)
            before = len(left)
            left = _prove(product, search, points, left, neighbours)
            proven[str(dtype).removeprefix("torch.")] = before - len(left)
    rows = left.cpu().numpy()
    proven["search"] = rows.size
    for start in range(0, rows.size, _ROWS):
        part = rows[start : start + _ROWS]
        neighbours[part] = without_self(search.nearest(part, k + 1), part)
    return Found(neighbours, proven)


@dataclass(frozen=True)
class _Product:
    """All scaled points, rounded to one precision: x̂ is the rounding of x, a scaled point in float64.

    Attributes:
        values: (N, D) x̂.
        halves: (N,) float32 |x̂|²/2.
        rounded: (N,) float64 |x̂|.
        norms: (N,) float64 |x|.
        moved: (N,) float64 |x̂ − x|.
        ratio: the largest |x̂ − x|/|x| of all points.
    """

    values: Tensor
    halves: Tensor
    rounded: Tensor
    norms: Tensor
    moved: Tensor
    ratio: float

    @classmethod
    def of(cls, points: Tensor, search: Search, dtype: torch.dtype) -> _Product:
        """Round all points.

        Raises:
            DeviceError: the device's product of such numbers is not what the proof takes it to be.
        """
        centre = torch.from_numpy(search.centre).to(points.device)
        values = torch.empty_like(points, dtype=dtype)
        rounded, norms, moved = (points.new_empty(len(points), dtype=torch.float64) for _ in range(3))
        for rows in search.space.blocks():
            exact = (points[rows].double() - centre) * 2.0**search.exponent
            values[rows] = exact
            back = values[rows].double()
            rounded[rows], norms[rows], moved[rows] = back.norm(dim=1), exact.norm(dim=1), (back - exact).norm(dim=1)
        ratio = float(torch.where(norms > 0, moved / norms, 0).max())
        product = cls(values, (rounded**2 / 2).float(), rounded, norms, moved, ratio)
        product._check()
        return product

    @property
    def loss(self) -> float:
        """What a product of two rows loses at most, as a share of |x̂|·|ŷ|.

        Each of its D terms is exact, or rounded once, in float32, and so is each of the D sums, in whatever order. A
        tensor core cuts its sums off instead of rounding them, with no digit to spare on the oldest ones (Fasi, Higham,
        Mikaitis and Pranesh, Numerical behavior of NVIDIA tensor cores, 2021): 2⁻²² a term is enough for all of them.
        """
        return self.values.shape[1] * 2.0**-22

    def propose(self, rows: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return (B, count) candidates of `rows`, and (B,) the least squared distance of any point left out.

        It is that of rounded points, as the product computes it, or infinite where no point is left out.
        """
        queries = self.values[rows]
        best, places = queries.new_empty((len(rows), 0), dtype=torch.float32), rows.new_empty((len(rows), 0))
        for start in range(0, len(self.values), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            scores = _multiply(queries, self.values[part]).sub_(self.halves[part])
            top, place = scores.topk(min(count, scores.shape[1]), dim=1, sorted=False)
            best, places = torch.cat([best, top], dim=1), torch.cat([places, place + start], dim=1)
            if start:
                best, place = best.topk(min(count, best.shape[1]), dim=1, sorted=False)
                places = places.gather(1, place)
        if count == len(self.values):
            return places, torch.full_like(self.norms[rows], torch.inf)
        return places, self.rounded[rows] ** 2 - 2 * best.amin(dim=1).double()

    def proves(self, rows: Tensor, others: Tensor, reach: Tensor) -> Tensor:
        """Return (B,) whether every point that `propose` left out is further from its row than `reach`.

        Let y be one that is not: |y − x| ≤ reach. Then |y| ≤ |x| + reach and |ŷ − y| ≤ ratio·|y|, so that x̂ and ŷ are
        at most `apart` from each other, and |ŷ| ≤ |x̂| + apart. Of |x̂|² + |ŷ|² − 2x̂·ŷ, as computed, the product is off
        by at most 2·loss·|x̂||ŷ| ≤ loss/2·(|x̂| + |ŷ|)², and the rest by 2⁻²²·(|x̂| + |ŷ|)². Where `others` is more than
        apart² and all that together, there is no such y.

        Args:
            rows: (B,) of the points.
            others: (B,) as `propose` returns it.
            reach: (B,) float64, a distance between scaled points.
        """
        norms, moved = self.norms[rows], self.moved[rows]
        apart = (reach + moved + self.ratio * (norms + reach)) * _ABOVE_ONE
        sizes = 2 * self.rounded[rows] * _ABOVE_ONE + apart
        underflow = self.values.shape[1] * 2.0**-120
        return others > apart**2 + (self.loss / 2 + 2.0**-22) * sizes**2 + underflow

    def _check(self) -> None:
        """Compare some of the device's products with float64 ones: settings from outside can take digits away."""
        some = self.values[:: max(1, len(self.values) // 256)][:256]
        exact = some.double() @ some.double().T
        sizes = some.double().norm(dim=1)
        error = (_multiply(some, some).double() - exact).abs()
        if bool((error > self.loss * torch.outer(sizes, sizes) + self.values.shape[1] * 2.0**-120).any()):
            raise DeviceError(
                f"Products of {some.dtype} on {some.device} lose more digits than float32 sums do",
                "Unset what forces TF32 or reduced precision (NVIDIA_TF32_OVERRIDE), or use engine=faiss",
            )


def _prove(product: _Product, search: Search, points: Tensor, rows: Tensor, neighbours: Longs) -> Tensor:
    """Fill in the neighbours of those `rows` whose list is proven whole, and return the other rows."""
    wanted = neighbours.shape[1] + 1  # the row itself is among the points
    count = min(len(points), 2 * wanted)
    left = [rows[:0]]
    parts = range(0, len(rows), _ROWS)
    for start in progress(parts, f"neighbours in {product.values.dtype} (blocks)"):
        part = rows[start : start + _ROWS]
        candidates, others = product.propose(part, count)
        nearest, distances = _ranked(points, part, candidates)
        reach = distances[:, wanted - 1].sqrt() * (2.0**search.exponent * _ABOVE_ONE)
        whole = product.proves(part, others, reach)
        left.append(part[~whole])
        kept, nearest, distances = part[whole].cpu().numpy(), nearest[whole], distances[whole]
        ordered = nearest.cpu().numpy()
        # Sums of float64 depend on their order in the last digits: near-ties are settled as everywhere in this room.
        near = distances.diff(dim=1)[:, :wanted] <= points.shape[1] * 2.0**-50 * distances[:, 1 : wanted + 1]
        tied = near.any(dim=1).cpu().numpy()
        ordered[tied], _ = search.space.ranked(kept[tied], ordered[tied])
        neighbours[kept] = without_self(ordered[:, :wanted], kept)
    return torch.cat(left)


def _ranked(points: Tensor, rows: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the (B, C) candidates in order of (distance, index), and their squared float64 distances."""
    candidates = candidates.sort(dim=1).values
    distances = torch.empty(candidates.shape, dtype=torch.float64, device=points.device)
    step = max(1, _PAIR_NUMBERS // (candidates.shape[1] * points.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        difference = points[candidates[part]].double() - points[rows[part], None].double()
        distances[part] = difference.square_().sum(dim=2)
    distances, order = distances.sort(dim=1, stable=True)
    return candidates.gather(1, order), distances


def _multiply(left: Tensor, right: Tensor) -> Tensor:
    """Return the (A, B) float32 products of rows of bfloat16 or float32."""
    if left.dtype == torch.bfloat16 and left.is_cuda:
        return torch.mm(left, right.T, out_dtype=torch.float32)
    return left.float() @ right.float().T


def _device(name: str) -> torch.device:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise DeviceError(f"There is no device called {name!r}", "Choose auto, cpu or cuda")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise DeviceError("A GPU was asked for and torch sees none", "Use device=cpu or auto, or see: pal doctor")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _steps(precision: str, device: torch.device) -> tuple[torch.dtype, ...]:
    if precision not in PRECISIONS:
        raise ConfigError(
            f"There is no precision called {precision!r}", f"Choose another: {near_matches(precision, PRECISIONS)}"
        )
    if precision == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bfloat16" if fast else "float32"
    mixed = "dtype" in torch.ops.aten.mm.overloads()  # type: ignore[no-untyped-call]
    if precision == "bfloat16" and device.type == "cuda" and not mixed:
        warnings.warn(
            f"torch {torch.__version__} has no products of bfloat16 with float32 results: float32 is used, which is "
            "several times as slow; torch 2.8 has them",
            stacklevel=4,
        )
        precision = "float32"
    return (torch.bfloat16, torch.float32) if precision == "bfloat16" else (torch.float32,)


def _on_device(space: Space, device: torch.device) -> Tensor:
    """Return all points.

    Raises:
        DeviceError: the GPU's memory is too small.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        needed = 10 * len(space) * space.width + (1 << 30)
        if needed > free:
            raise DeviceError(
                f"{len(space)} × {space.width} features need {needed >> 30} GiB of GPU memory, {free >> 30} are free",
                "Use engine=faiss_ivf, or engine=faiss, which reads a memory map block by block",
            )
    points = torch.empty((len(space), space.width), dtype=torch.float32, device=device)
    for rows in space.blocks():
        points[rows] = torch.from_numpy(np.array(space.take(rows)))  # a copy: torch refuses read-only memory
    return points


@contextlib.contextmanager
def _full_precision() -> Iterator[None]:
    """Keep torch from TF32 in float32 products, and from sums in bfloat16, while the block runs."""
    matmul = torch.backends.cuda.matmul
    held = torch.get_float32_matmul_precision(), matmul.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    matmul.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(held[0])
        matmul.allow_bf16_reduced_precision_reduction = held[1]
