"""Whether arrays are a graph: looked at block by block, so that a memory map larger than memory stays on disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.disk import REBUILD

BLOCK = 1 << 20  # edges, or rows where they have fewer


def check_rows(indptr: npt.NDArray[np.int64], edges: int, weights: int) -> None:
    """Refuse an `indptr` that is not sorted or does not run from 0 to the number of edges.

    Raises:
        GraphError: with the first node where it falls.
    """
    if indptr.size == 0 or indptr[0] != 0:
        raise GraphError("The graph's indptr must start at 0 and have one entry more than there are nodes", REBUILD)
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        raise GraphError(f"The graph's indptr is not sorted: it falls at node {int(np.argmax(falls))}", REBUILD)
    if not indptr[-1] == edges == weights:
        raise GraphError(
            f"The graph's indptr ends at {indptr[-1]}, but there are {edges} indices and {weights} weights", REBUILD
        )


def check_edges(
    indptr: npt.NDArray[np.int64], indices: npt.NDArray[np.int32], weights: npt.NDArray[np.float32]
) -> None:
    """Refuse edges that lead outside the graph, come twice, or have a weight that is not finite.

    Args:
        indptr: (N + 1,), checked by `check_rows`.
        indices: (E,).
        weights: (E,).

    Raises:
        GraphError: with the first such edge of the first block that has one.
    """
    size = indptr.size - 1
    for rows in _blocks(indptr):
        first, last = int(indptr[rows.start]), int(indptr[rows.stop])
        targets, values = indices[first:last], weights[first:last]
        wrong = (targets < 0) | (targets >= size)
        if wrong.any():
            edge = first + int(np.argmax(wrong))
            raise GraphError(
                f"Edge {edge} of the graph leads to node {indices[edge]}, outside [0, {size})",
                REBUILD,
            )
        finite = np.isfinite(values)
        if not finite.all():
            edge = first + int(np.argmin(finite))
            raise GraphError(f"Edge {edge} of the graph has the weight {weights[edge]}", REBUILD)
        keys = np.repeat(np.arange(rows.start, rows.stop), np.diff(indptr[rows.start : rows.stop + 1])) * size
        keys += targets
        keys.sort()
        twice = np.flatnonzero(keys[1:] == keys[:-1])
        if twice.size:
            row, column = divmod(int(keys[twice[0]]), size)
            raise GraphError(f"The graph has the edge from node {row} to node {column} twice", REBUILD)


def all_positive(weights: npt.NDArray[np.float32]) -> bool:
    """Return whether every weight is above zero."""
    return all((weights[start : start + BLOCK] > 0).all() for start in range(0, weights.size, BLOCK))


def _blocks(indptr: npt.NDArray[np.int64]) -> Iterator[range]:
    """Yield ranges of rows, of about `BLOCK` edges and at most `BLOCK` rows, together all of them."""
    start, size = 0, indptr.size - 1
    while start < size:
        edges = int(np.searchsorted(indptr, indptr[start] + BLOCK, side="right")) - 1
        stop = min(max(edges, start + 1), start + BLOCK, size)
        yield range(start, stop)
        start = stop
