"""Batches of views: the anchor first, then augmentations of its neighbours in a similarity graph (or of itself)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pal_plugin.data import pixels
from pal_plugin.data.augment import apply, draw
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.draws import POSITIVE, permutation, uniforms
from pal_plugin.data.manifest import check_reference
from pal_plugin.data.policy import Policy
from pal_plugin.errors import CheckpointError, ConfigError, DataError, ManifestError

if TYPE_CHECKING:
    from pal_plugin.graph import SimilarityGraph

_T = TypeVar("_T")
Batch = list[Any]
"""`[index, [view_1, …, view_V], targets]`, as `PairDataset` describes."""


class Request(NamedTuple):
    """What a data worker is asked for: it carries the epoch, so that workers need no state."""

    epoch: int
    indices: NDArray[np.int64]


class EpochSampler(Sampler[Request]):
    """A batch sampler whose order is a function of (seed, epoch), shared out over the ranks without overlap.

    Batch b of all ranks together is what a single process with `batch_size × world_size` would see as batch b.

    Args:
        size: samples in the data set.
        batch_size: samples a batch and rank.
        seed: the run's seed.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the epoch.
        drop_last: leave out the samples of an epoch that do not fill a batch on every rank. Otherwise the last batch
            takes what is left: fewer samples, or one more where fewer are left over than there are ranks, because no
            rank may be without a batch that the others wait for.

    Raises:
        DataError: too few samples for one batch.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1, drop_last: bool = True
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ConfigError(
                f"batch_size={batch_size}, rank={rank}, world_size={world_size} do not fit together",
                "Give a batch size of at least 1 and a rank below the number of processes",
            )
        full, rest = divmod(size, batch_size * world_size)
        self._batches = full if drop_last or rest < world_size else full + 1
        self._drop_last = drop_last
        if not drop_last and size >= world_size:
            self._batches = max(1, self._batches)
        if self._batches == 0:
            raise DataError(
                f"The data set has {size} samples, too few for batches of {batch_size} on {world_size} processes",
                f"Choose a batch size of at most {max(1, size // world_size)} or a larger subset",
            )
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._rank, self._world_size = rank, world_size
        self._epoch = 0
        self._resume_at: tuple[int, int] | None = None

    @property
    def sampler(self) -> EpochSampler:
        """Itself: Lightning calls `set_epoch` on a batch sampler's `sampler`."""
        return self

    @property
    def epoch(self) -> int:
        """The epoch that the next pass goes through."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self._epoch = epoch

    def resume(self, epoch: int, batch: int) -> None:
        """Start the first pass through `epoch` at batch number `batch` (from 0); later passes are whole.

        Raises:
            CheckpointError: an epoch has fewer batches than that.
        """
        if not 0 <= batch <= len(self):
            raise CheckpointError(
                f"The run stopped before batch {batch} of epoch {epoch}, but an epoch has {len(self)} batches here",
                "Resume with the data set, batch size and number of processes that the run had",
            )
        self._epoch = epoch
        self._resume_at = (epoch, batch)

    def __len__(self) -> int:
        """Batches in a whole epoch, the same on every rank."""
        return self._batches

    def __iter__(self) -> Iterator[Request]:
        # A generator, because a DataLoader with workers calls iter() twice before it asks for the first batch: only
        # the pass that is really made may use up the place to resume at.
        epoch, start = self._epoch, 0
        if self._resume_at is not None and self._resume_at[0] == epoch:
            start, self._resume_at = self._resume_at[1], None
        shard = permutation(self._seed, epoch, self._size)[self._rank :: self._world_size]
        for batch in range(start, self._batches):
            begin = batch * self._batch_size
            takes_the_rest = not self._drop_last and batch == self._batches - 1
            end = len(shard) if takes_the_rest else begin + self._batch_size
            yield Request(epoch, shard[begin:end])


class PairDataset(Dataset[Batch]):
    """Turns requests for samples into batches of views.

    With B samples and V views (the sum of the policies' `num_crops`) a batch is

    - `pair_batch=True`: `[index (B, V) int64, [view_1, …, view_V], targets (B, V) int64]`: of every view, the sample it
      shows and that sample's label (-1 where it has none);
    - `pair_batch=False`: `[index (B,), [view_1, …, view_V], targets (B,)]`: the anchor's.

    A view is (B, 3, S, S) float32. View 1 shows the anchor; with a graph, the others show neighbours, drawn uniformly
    from the anchor's positive edges, and without one the anchor too. Every draw is a function of
    (seed, epoch, anchor, view).

    Args:
        dataset: the images.
        policies: how the views are made.
        seed: the run's seed.
        graph: where neighbours come from; it must have been built from `dataset`.
        pair_batch: which of the two forms.

    Attributes:
        without_edges: how many anchors have no positive edge in the graph and are paired with themselves.

    Raises:
        ManifestError: the graph indexes another data set.
        ConfigError: no view, or a graph and fewer than two views.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        policies: Sequence[Policy],
        *,
        seed: int,
        graph: SimilarityGraph | None,
        pair_batch: bool,
    ) -> None:
        self.dataset = dataset
        self.graph = graph
        self.without_edges = 0
        self._views = [policy for policy in policies for _ in range(policy.num_crops)]
        self._seed = seed
        self._pair_batch = pair_batch
        if len(self._views) < (1 if graph is None else 2):
            raise ConfigError(
                f"The augmentations make {len(self._views)} views, too few for {'one' if graph is None else 'a pair'}",
                "Raise num_crops, or choose another augmentation group",
            )
        if graph is not None:
            _check_graph(graph, dataset)
            self.without_edges = _count_without_edges(graph)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, request: Request) -> Batch:
        """Return the batch that `request` asks for."""
        anchors = request.indices
        samples = self.samples(request)
        views = []
        for view, policy in enumerate(self._views):
            draws = draw(policy, self._seed, request.epoch, anchors, view)
            images = self.dataset.images[samples[:, view]]
            views.append(apply(images, draws, policy, self.dataset.mean, self.dataset.std))
        shown = samples if self._pair_batch else anchors
        return [torch.from_numpy(shown), views, torch.from_numpy(self.dataset.labels[shown])]

    def samples(self, request: Request) -> NDArray[np.int64]:
        """Return (B, V): which sample each view shows."""
        anchors = request.indices
        samples = np.repeat(anchors[:, None], len(self._views), axis=1)
        if self.graph is None:
            return samples
        u = uniforms(self._seed, request.epoch, anchors, POSITIVE, len(self._views) - 1)
        for view in range(1, len(self._views)):
            drawn = self.graph.draw_positive(anchors, u[:, view - 1])
            samples[:, view] = np.where(drawn < 0, anchors, drawn)
        return samples


def pair_loader(
    dataset: ImageDataset,
    policies: Sequence[Policy],
    *,
    batch_size: int,
    seed: int,
    graph: SimilarityGraph | None = None,
    pair_batch: bool = False,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = True,
) -> DataLoader[Batch]:
    """Return a loader over `PairDataset` in the order of `EpochSampler`; the batches do not depend on `num_workers`.

    Set the epoch and the place to resume through `loader.batch_sampler`.

    Raises:
        ManifestError, ConfigError, DataError: see `PairDataset` and `EpochSampler`.
    """
    sampler = EpochSampler(len(dataset), batch_size, seed=seed, rank=rank, world_size=world_size, drop_last=drop_last)
    pairs = PairDataset(dataset, policies, seed=seed, graph=graph, pair_batch=pair_batch)
    return DataLoader(
        pairs,
        batch_sampler=sampler,  # type: ignore[arg-type]  # torch wants lists of int; our data set takes requests
        collate_fn=_identity,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # every pass draws from it; the global one must be as a resumed run finds it
    )


class EvalDataset(Dataset[list[Tensor]]):
    """Unaugmented, normalised images with their labels, by lists of indices: `[x (B, 3, S, S), y (B,)]`."""

    def __init__(self, dataset: ImageDataset, crop_size: int | None = None) -> None:
        self.dataset = dataset
        self._size = crop_size

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the samples `indices`, resized to `crop_size` if one was given."""
        images = self.dataset.images[list(indices)]
        if self._size is None or images.shape[1:3] == (self._size, self._size):
            x = pixels.to_float(images)
        else:
            x = pixels.resize(images, self._size)
        x = pixels.normalise_(x, self.dataset.mean, self.dataset.std)
        return [x, torch.from_numpy(self.dataset.labels[list(indices)])]


def eval_loader(
    dataset: ImageDataset, batch_size: int, crop_size: int | None = None, *, num_workers: int = 0
) -> DataLoader[list[Tensor]]:
    """Return a loader of `[x, y]` in the data set's order, with a smaller last batch, for validation."""
    return DataLoader(
        EvalDataset(dataset, crop_size),
        batch_size=batch_size,
        collate_fn=_identity,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),
    )


def eval_batches(dataset: ImageDataset, batch_size: int, crop_size: int | None = None) -> Iterator[Tensor]:
    """Yield the unaugmented normalised images in order: (≤ batch_size, 3, S, S) float32, S = `crop_size` if given."""
    images = EvalDataset(dataset, crop_size)
    for start in range(0, len(dataset), batch_size):
        yield images.__getitems__(range(start, min(start + batch_size, len(dataset))))[0]


def _check_graph(graph: SimilarityGraph, dataset: ImageDataset) -> None:
    if graph.manifest is not None:
        check_reference(graph.manifest, dataset.manifest, what="The graph")
    elif graph.num_nodes != len(dataset):
        raise ManifestError(
            f"The graph has {graph.num_nodes} nodes, but {dataset.name}/{dataset.split} has {len(dataset)} samples",
            "Build the graph from the data set at hand: `pal embed`, then `pal graph knn`",
        )
    else:
        warnings.warn(
            f"The graph does not say which data set it indexes; it is taken to be {dataset.name}/{dataset.split}, "
            "sample by sample. Build it with manifest=dataset.manifest to have this checked.",
            RuntimeWarning,
            stacklevel=4,
        )


def _count_without_edges(graph: SimilarityGraph) -> int:
    nodes = np.arange(graph.num_nodes)
    count = int((graph.draw_positive(nodes, np.zeros(len(nodes))) < 0).sum())
    if count:
        warnings.warn(
            f"{count} of {len(nodes)} samples have no positive edge in the graph: they are paired with themselves, "
            "as in plain self-supervised learning.",
            RuntimeWarning,
            stacklevel=4,
        )
    return count


def _identity(batch: _T) -> _T:
    return batch
