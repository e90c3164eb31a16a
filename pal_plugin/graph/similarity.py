"""The similarity graph: who is related to whom, as compressed sparse rows, in memory and on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import AnyArray
from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import disk
from pal_plugin.graph.checks import all_positive, check_edges, check_rows
from pal_plugin.graph.described import checked_builder, checked_manifest
from pal_plugin.graph.rows import integers, spread, weighted
from pal_plugin.registry import near_matches

if TYPE_CHECKING:
    import torch

DRAWS = ("uniform", "weighted", "nearest", "furthest")


class Manifested(Protocol):
    """Anything with a compact manifest reference, such as `pal_plugin.data.manifest.Manifest`."""

    def reference(self) -> dict[str, Any]:
        """Return `{"name", "split", "size", "digest"}`."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class SimilarityGraph:
    """A directed, weighted graph over the samples of one data set, in compressed sparse rows.

    The edges of node i are `indices[indptr[i]:indptr[i + 1]]`; builders keep them in order, nearest first. A weight
    above zero says that the two samples are related, below zero that they are not; its magnitude is the confidence.
    The arrays are read-only; a writeable array is copied, a memory map is kept as it is.

    Args:
        indptr: (N + 1,) int64, from 0 to E, non-decreasing.
        indices: (E,) int32, each in [0, N), no node twice in a row.
        weights: (E,) float32, finite.
        manifest: compact reference of the data set that the nodes index; None when unknown.
        builder: how the graph was made: `{"name", "parameters", "cost"}`, JSON only. What its answers cost, 0 for
            neighbours. `"transitive": True` where edges stand for their closure.

    Raises:
        GraphError: an array breaks one of the rules above, the manifest is of another size, or it or the builder is
            not what is said above.
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    manifest: Mapping[str, Any] | None = None
    builder: Mapping[str, Any] = field(default_factory=dict)

    _DTYPES: ClassVar[dict[str, type[np.generic]]] = {"indptr": np.int64, "indices": np.int32, "weights": np.float32}

    def __post_init__(self) -> None:
        for name, dtype in self._DTYPES.items():
            object.__setattr__(self, name, _frozen(name, getattr(self, name), dtype))
        check_rows(self.indptr, self.indices.size, self.weights.size)
        check_edges(self.indptr, self.indices, self.weights)
        object.__setattr__(self, "manifest", checked_manifest(self.manifest, self.num_nodes))
        object.__setattr__(self, "builder", checked_builder(self.builder))

    def __repr__(self) -> str:
        name = self.manifest.get("name") if self.manifest else None
        return f"SimilarityGraph(num_nodes={self.num_nodes}, num_edges={self.num_edges}, dataset={name!r})"

    @property
    def num_nodes(self) -> int:
        """N, the number of samples."""
        return self.indptr.size - 1

    @property
    def transitive(self) -> bool:
        """Whether being related is an equivalence here, and the edges stand for their closure (`closure`)."""
        return self.builder.get("transitive", False)  # type: ignore[no-any-return]  # checked when the graph is made

    @property
    def digest(self) -> str:
        """SHA-256 of the edges, their weights and `transitive`: equal graphs, however made, have equal digests."""
        content = hashlib.sha256(b"transitive" if self.transitive else b"")
        for array in (self.indptr, self.indices, self.weights):
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()

    @property
    def num_edges(self) -> int:
        """E, the number of directed edges, self edges and negative ones included."""
        return self.indices.size

    @property
    def degree(self) -> npt.NDArray[np.int64]:
        """(N,) int64, the number of edges that leave each node."""
        return np.diff(self.indptr)

    @property
    def sources(self) -> npt.NDArray[np.int64]:
        """(E,) int64, the node that each edge leaves."""
        return np.repeat(np.arange(self.num_nodes, dtype=np.int64), self.degree)

    def neighbours(self, node: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Return the (d,) indices and (d,) weights of the edges that leave `node`, in stored order.

        Raises:
            GraphError: no such node.
        """
        row = self._row(self.indptr, node)
        return self.indices[row], self.weights[row]

    def positives(self, node: int) -> npt.NDArray[np.int32]:
        """Return the (d,) indices of the nodes that `node` has an edge of positive weight to, in stored order.

        Raises:
            GraphError: no such node.
        """
        indptr, indices, _ = self.positive_rows
        return indices[self._row(indptr, node)]

    def draw_positive(self, nodes: npt.ArrayLike, u: npt.ArrayLike, how: str = "uniform") -> npt.NDArray[np.int64]:
        """Draw one positive neighbour of each node among its edges of positive weight.

        Args:
            nodes: (B,) node numbers; repeats are allowed.
            u: (B,) uniform numbers in [0, 1), one a node.
            how: `"uniform"` over the edges, `"weighted"` in proportion to their weights, `"nearest"` the first one in
                stored order, `"furthest"` the last one (builders store the nearest first). The latter two are the same
                for every `u`.

        Returns:
            (B,) int64 neighbours; -1 where a node has no positive edge.

        Raises:
            GraphError: a node is out of range, a number outside [0, 1), or the lengths differ.
            ConfigError: no such way to draw.
        """
        if how not in DRAWS:
            raise ConfigError(f"There is no draw called {how!r}", f"Choose another name: {near_matches(how, DRAWS)}")
        chosen = self._nodes(nodes)
        uniform = np.asarray(u, dtype=np.float64)
        if uniform.shape != chosen.shape:
            raise GraphError(
                f"There are {chosen.size} nodes and {uniform.size} random numbers", "Pass one for each node"
            )
        if not ((uniform >= 0) & (uniform < 1)).all():
            raise GraphError("A random number is outside [0, 1)", "Draw them with pal_plugin.data.draws.uniforms")
        indptr, indices, weights = self.positive_rows
        some = indptr[chosen + 1] > indptr[chosen]
        first, last, uniform = indptr[chosen[some]], indptr[chosen[some] + 1] - 1, uniform[some]
        if how == "nearest":
            edges = first
        elif how == "furthest":
            edges = last
        elif how == "weighted":
            edges = weighted(weights, first, last, uniform)
        else:
            edges = first + (uniform * (last + 1 - first)).astype(np.int64)
        drawn = np.full(chosen.shape, -1, dtype=np.int64)
        drawn[some] = indices[edges]
        return drawn

    def subgraph(
        self, nodes: npt.ArrayLike, *, manifest: Mapping[str, Any] | Manifested | None = None
    ) -> SimilarityGraph:
        """Return the graph among `nodes`, which become 0, 1, … in the order given; edges that leave them are dropped.

        Args:
            nodes: (M,) distinct node numbers.
            manifest: the manifest of the smaller data set (this graph's own does not fit it).

        Raises:
            GraphError: a node is out of range or named twice.
        """
        chosen = self._nodes(nodes)
        if np.unique(chosen).size != chosen.size:
            raise GraphError("The subgraph's nodes are not distinct", "Name each node once, or use batch_matrix")
        rows, columns, weights = self._among(chosen)
        builder = {
            "name": "subgraph",
            "parameters": {"nodes": int(chosen.size)},
            "parents": [dict(self.builder)],
            "cost": self.builder.get("cost", 0.0),
        }
        return SimilarityGraph.from_edges(chosen.size, rows, columns, weights, manifest=manifest, builder=builder)

    def batch_matrix(self, nodes: npt.ArrayLike) -> torch.Tensor:
        """Return the edge weights among the samples of a batch as a sparse matrix.

        Args:
            nodes: (M,) node numbers; a node may come more than once, as it does when a batch has several views.

        Returns:
            (M, M) coalesced torch sparse COO tensor, float32: entry (a, b) is the weight of the edge from nodes[a] to
            nodes[b]. Two places of one node are related only where the graph has that self edge.

        Raises:
            GraphError: a node is out of range.
        """
        import torch  # heavy, and graphs are read without it as well

        chosen = self._nodes(nodes)
        rows, columns, weights = self._among(chosen)
        places = torch.from_numpy(np.stack([rows, columns]))
        shape = (chosen.size, chosen.size)
        return torch.sparse_coo_tensor(places, torch.from_numpy(weights), shape, check_invariants=True).coalesce()

    @classmethod
    def from_edges(
        cls,
        n: int,
        rows: npt.ArrayLike,
        cols: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        manifest: Mapping[str, Any] | Manifested | None = None,
        builder: Mapping[str, Any] | None = None,
    ) -> SimilarityGraph:
        """Make a graph from a list of directed edges; the edges of a node keep the order of the list.

        Args:
            n: the number of nodes.
            rows: (E,) the node that each edge leaves.
            cols: (E,) the node that it leads to.
            weights: (E,), 1 where not given.
            manifest: as in the class.
            builder: as in the class.

        Raises:
            GraphError: an edge leaves or leads outside [0, n), comes twice, or has a weight that is not finite.

        Example:
            >>> graph = SimilarityGraph.from_edges(3, rows=[0, 0, 2], cols=[1, 2, 0], weights=[1.0, 0.5, -1.0])
            >>> graph.neighbours(0)
            (array([1, 2], dtype=int32), array([1. , 0.5], dtype=float32))
            >>> graph.degree
            array([2, 0, 1])
        """
        sources, targets = (integers(name, ends) for name, ends in (("rows", rows), ("cols", cols)))
        values = np.ones(sources.size) if weights is None else np.asarray(weights, dtype=np.float64)
        if not sources.shape == targets.shape == values.shape:
            raise GraphError(
                f"An edge list has {sources.size} rows, {targets.size} cols and {values.size} weights",
                "Pass three arrays of one length",
            )
        for ends in (sources, targets):
            if ends.size and not (ends.min() >= 0 and ends.max() < n):
                raise GraphError(
                    f"An edge names a node in [{ends.min()}, {ends.max()}], outside [0, {n})", "Correct the edge list"
                )
        order = np.argsort(sources, kind="stable")
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(sources, minlength=n), out=indptr[1:])
        return cls(
            indptr,
            targets[order].astype(np.int32),
            values[order].astype(np.float32),
            reference_of(manifest),
            builder if builder is not None else {"name": "edges", "parameters": {}},
        )

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the graph to `folder`: `indptr.npy`, `indices.npy`, `weights.npy` and `graph.json`, all or nothing.

        Returns:
            The folder.

        Raises:
            GraphError: the folder holds something other than a graph, or it cannot be written (disk full).
        """
        record = {
            "num_nodes": self.num_nodes,
            "num_edges": self.num_edges,
            "manifest": self.manifest,
            "builder": self.builder,
        }
        return disk.write(Path(folder), {name: getattr(self, name) for name in self._DTYPES}, record)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], mmap: bool = True) -> SimilarityGraph:
        """Read a graph that `save` wrote, memory-mapped unless `mmap` is false.

        Raises:
            GraphError: a file is missing, truncated, of another format version, or breaks a rule of the class.
        """
        source = Path(folder)
        arrays, record = disk.read(source, mmap=mmap)
        try:
            graph = cls(**arrays, manifest=record.get("manifest"), builder=record.get("builder") or {})
        except GraphError as error:
            raise GraphError(f"{source}: {error.what}", error.mend) from error
        found, said = (graph.num_nodes, graph.num_edges), (record.get("num_nodes"), record.get("num_edges"))
        if found != said:
            raise GraphError(f"{source} has {found} nodes and edges, and its graph.json says {said}", disk.REBUILD)
        return graph

    @cached_property
    def positive_rows(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """`indptr`, `indices` and `weights` of the edges of positive weight alone."""
        if all_positive(self.weights):
            return self.indptr, self.indices, self.weights
        keep = self.weights > 0
        before = np.zeros(self.num_edges + 1, dtype=np.int64)
        np.cumsum(keep, out=before[1:])
        return before[self.indptr], self.indices[keep], self.weights[keep]

    def _row(self, indptr: npt.NDArray[np.int64], node: int) -> slice:
        if not 0 <= node < self.num_nodes:  # a negative number would quietly be another node
            raise GraphError(f"Node {node} is outside [0, {self.num_nodes})", "Use the graph of this data set")
        return slice(int(indptr[node]), int(indptr[node + 1]))

    def _nodes(self, nodes: npt.ArrayLike) -> npt.NDArray[np.int64]:
        chosen = integers("nodes", nodes)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < self.num_nodes):
            raise GraphError(
                f"The nodes span [{chosen.min()}, {chosen.max()}], outside [0, {self.num_nodes})",
                "Use the graph of this data set",
            )
        return chosen

    def _among(
        self, nodes: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the edges among `nodes`: (places of the sources, places of the targets, weights), sources in order."""
        degree = self.degree[nodes]
        rows, edges = spread(degree, self.indptr[nodes])
        order = np.argsort(nodes, kind="stable")
        targets = self.indices[edges]
        first = np.searchsorted(nodes, targets, side="left", sorter=order)
        count = np.searchsorted(nodes, targets, side="right", sorter=order) - first
        which, places = spread(count, first)  # an edge leads to every place its target has in the batch
        return rows[which], order[places], self.weights[edges[which]]


def reference_of(manifest: Mapping[str, Any] | Manifested | None) -> dict[str, Any] | None:
    """Return the compact reference of a manifest, a copy of a reference, or None."""
    if manifest is None:
        return None
    return dict(manifest) if isinstance(manifest, Mapping) else manifest.reference()


def _frozen(name: str, array: AnyArray, dtype: type[np.generic]) -> AnyArray:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
        found = f"{array.dtype} of shape {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        raise GraphError(f"The graph's {name} must be a vector of {dtype.__name__}, found {found}", disk.REBUILD)
    if array.flags.writeable:
        array = array.copy()
        array.flags.writeable = False
    return array
