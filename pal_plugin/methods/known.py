"""The known relations of a data set, as the graph among the views of a batch."""

from __future__ import annotations

import torch
from torch import Tensor

from pal_plugin.data.related import PairComposition
from pal_plugin.graph.relations import Cliques, Edges, Relations
from pal_plugin.losses import BatchGraph, BlockGraph, PairImportance, as_batch_graph, interpolate


class KnownRelations:
    """Makes the batch graph (1 − α)·G_ssl + α·G_sup of PAL (arXiv 2303.15256, section 3) from a data set's relations.

    G_ssl connects the rows that show one sample; G_sup those whose samples are known to be related, the rows of one
    sample that has a known relation included. Rows of other samples are zero in G_sup. A relation is an unordered pair:
    G_sup is symmetric, and an edge relates both its ends whether or not there is one back. A related pair counts 1,
    however much its edge weighs; cannot-links have no place in either.

    Args:
        relations: the known ones of the data set.
        alpha: α, in [0, 1].
        views: V.
    """

    def __init__(self, relations: Relations, *, alpha: float, views: int) -> None:
        self._relations = relations
        self._alpha, self._views = alpha, views
        self._known = torch.from_numpy(relations.known)
        self._component: Tensor | None = None
        if isinstance(relations, Cliques):
            component = torch.from_numpy(relations.component)
            self._component = torch.where(self._known, component, -1)

    def batch(self, index: Tensor) -> tuple[BatchGraph, Tensor]:
        """Return the graph among the V·B rows of a batch, view-major, and its number of oracle edges.

        Args:
            index: (B,) the samples, of which one may come more than once.

        Returns:
            The graph, and how many pairs of different samples of the batch are known to be related, a scalar.
        """
        itself = BlockGraph([(1.0, index.repeat(self._views))])
        if self._component is None:
            related = self._matrix(index)
            return interpolate(itself, self._tiled(related), self._alpha), self._pairs_of_matrix(index, related)
        if self._component.device != index.device:
            self._component = self._component.to(index.device)
        component = self._component[index]
        blocks = BlockGraph([(1.0, component.repeat(self._views))])
        return interpolate(itself, blocks, self._alpha), self._pairs_of_blocks(index)

    def importance(self, index: Tensor, composition: PairComposition, *, across_views: bool) -> PairImportance:
        """Return the weights that make a sum over the pairs of a batch an unbiased one over those of the data set.

        Args:
            index: (B,) the samples.
            composition: how batches are composed.
            across_views: whether the loss sums the edges between different views only, as BYOL's does.
        """
        weights = torch.from_numpy(composition.importance(index.cpu().numpy())).to(index.device, torch.float32)
        samples, views = self._relations.num_nodes, self._views
        others = views * (views - 1)  # ordered pairs of different views of one sample
        known = int(self._known.sum())
        between = 2 * self._relations.num_pairs * (others if across_views else views**2)
        edges = (1 - self._alpha) * samples * others + self._alpha * (known * others + between)
        rows = samples * views
        return PairImportance(weights.repeat(views, views), float(edges), float(rows * (rows - 1)))

    def _pairs_of_blocks(self, index: Tensor) -> Tensor:
        assert self._component is not None
        component = self._component[torch.unique(index)]
        sizes = torch.unique(component[component >= 0], return_counts=True)[1]
        count: Tensor = (sizes * (sizes - 1)).sum() // 2
        return count

    def _matrix(self, index: Tensor) -> Tensor:
        """Return (B, B) bool: which places show related samples, or one sample that has a known relation."""
        assert isinstance(self._relations, Edges)
        edges = self._relations.graph.batch_matrix(index.cpu().numpy())
        rows, columns = edges.indices()[:, edges.values() > 0].to(index.device)
        related = index[:, None] == index
        related &= self._known[index.cpu()].to(index.device)[:, None]
        related[rows, columns] = True
        related[columns, rows] = True
        return related

    def _tiled(self, related: Tensor) -> BatchGraph:
        """Return the graph of the rows of all views whose samples `related` connects."""
        places = related.nonzero().T
        shift = torch.arange(self._views, device=related.device) * len(related)
        of_views = torch.cartesian_prod(shift, shift).T  # (2, V²)
        rows, columns = (places[:, None, :] + of_views[:, :, None]).reshape(2, -1)
        shape = (len(related) * self._views,) * 2
        ones = torch.ones(len(rows), device=related.device)
        return as_batch_graph(torch.sparse_coo_tensor(torch.stack([rows, columns]), ones, shape, check_invariants=True))

    @staticmethod
    def _pairs_of_matrix(index: Tensor, related: Tensor) -> Tensor:
        place = torch.arange(len(index), device=index.device)
        first = (index[:, None] == index).int().argmax(0) == place  # one place for each sample
        distinct = related & first[:, None] & first & (index[:, None] != index)
        return distinct.sum() // 2
