"""The nearest rows of a bank, exactly: what weighted k-NN votes by and retrieval ranks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation._checks import Floats

METRICS = ("cosine", "euclidean")
_TINY = 1e-12  # a vector of zeros has cosine 0 with everything
_SPARE = 16  # candidates beyond k: float32 may order near ties wrongly, the float64 pass over k + 16 mends that
_BLOCK_ROWS = 256
_BLOCK_ELEMENTS = 2**25  # at most 128 MiB of float32 similarities at a time


def check_metric(metric: str) -> None:
    """Refuse a metric that there is not.

    Raises:
        ConfigError: unknown metric.
    """
    if metric not in METRICS:
        raise ConfigError(f"There is no metric {metric!r}", f"Choose one of {', '.join(METRICS)}")


def nearest(
    bank: Floats, queries: Floats, k: int, metric: str, *, leave_one_out: bool = False
) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.float64]]]:
    """Yield, block of queries by block, the `k` nearest rows of the bank, nearest first.

    Candidates come from a float32 matrix product and are ranked again in float64, ties by index: the same as brute
    force unless more than 16 rows tie at the k-th place.

    Args:
        bank: (N, D).
        queries: (M, D).
        k: how many, at most N (N - 1 with `leave_one_out`).
        metric: `"cosine"` or `"euclidean"`.
        leave_one_out: the queries are the bank, and none is its own neighbour.

    Yields:
        The block's rows of `queries`, the (B, k) rows of `bank`, and their (B, k) closeness: the cosine, or the
        negative distance.
    """
    table, offset, probes = _prepare(bank, queries, metric)
    wanted = min(k + leave_one_out + _SPARE, len(bank))
    rows = max(1, min(_BLOCK_ROWS, _BLOCK_ELEMENTS // len(bank)))
    for start in range(0, len(queries), rows):
        block = slice(start, min(start + rows, len(queries)))
        products = torch.from_numpy(probes[block]) @ table.T - offset
        candidates = products.topk(wanted, sorted=False).indices.sort(dim=1).values.numpy()
        closeness = _closeness(queries[block], bank[candidates], metric)
        if leave_one_out:
            closeness[candidates == np.arange(block.start, block.stop)[:, None]] = -np.inf
        order = np.argsort(-closeness, axis=1, kind="stable")[:, :k]  # candidates are sorted by index, so ties are too
        yield block, np.take_along_axis(candidates, order, axis=1), np.take_along_axis(closeness, order, axis=1)


def _prepare(bank: Floats, queries: Floats, metric: str) -> tuple[torch.Tensor, torch.Tensor, NDArray[np.float32]]:
    """Return float32 `table`, `offset`, `probes` such that `probes @ table.T - offset` ranks the bank by nearness."""
    bank, queries = (x.astype(np.float32) if x.dtype == np.float16 else x for x in (bank, queries))  # norms overflow
    if metric == "cosine":
        table, probes = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), _TINY) for x in (bank, queries))
        offset = np.zeros(len(table))
    else:
        # distances do not change, but 2xy - |y|² loses fewer digits near the origin
        centre = bank.mean(axis=0, dtype=np.float64)
        table, probes = bank - centre, 2 * (queries - centre)
        offset = np.einsum("nd,nd->n", table, table)
    return torch.from_numpy(table).float(), torch.from_numpy(offset).float(), probes.astype(np.float32)


def _closeness(queries: Floats, near: Floats, metric: str) -> NDArray[np.float64]:
    """Return (B, K) float64, larger is nearer, for `queries` (B, D) and the candidates `near` (B, K, D) of each."""
    queries, near = queries.astype(np.float64), near.astype(np.float64)
    closeness: NDArray[np.float64]
    if metric == "euclidean":
        closeness = -np.linalg.norm(near - queries[:, None], axis=2)
    else:
        norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(near, axis=2)
        closeness = np.einsum("bd,bkd->bk", queries, near) / np.maximum(norms, _TINY)
    return closeness
