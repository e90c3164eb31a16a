"""Batches of views: the anchor first, then augmentations of its neighbours in a similarity graph (or of itself)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from pal_plugin.data import augment
from pal_plugin.data.augment import Draws
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.draws import POSITIVE, uniforms
from pal_plugin.data.lazy import LazyImages
from pal_plugin.data.manifest import BY_FEATURES, check_reference
from pal_plugin.data.policy import Policy
from pal_plugin.data.sampler import Request
from pal_plugin.data.workers import carries_errors
from pal_plugin.errors import ConfigError, ManifestError

if TYPE_CHECKING:
    from pal_plugin.graph import Relations, SimilarityGraph

Batch = list[Any]
"""`[index, [view_1, …, view_V], targets]`, as `PairDataset` describes."""
DECODED_AT_ONCE = 8
"""Lazy images that are held whole at a time: a batch of large photos would not fit in memory."""


class PairDataset(Dataset[Batch]):
    """Turns requests for samples into batches of views.

    With B samples and V views (the sum of the policies' `num_crops`, in the policies' order) a batch is

    - `pair_batch=True`: `[index (B, V) int64, [view_1, …, view_V], targets (B, V) int64]`: of every view, the sample it
      shows and that sample's label (-1 where it has none);
    - `pair_batch=False`: `[index (B,), [view_1, …, view_V], targets (B,)]`: the anchor's.

    With `extra_views`, V is twice as many: all views come once more, of the same samples, under augmentations of their
    own. The first half is what it is without.

    A view is (B, 3, S, S) float32, S its policy's `crop_size`. View 1 shows the anchor; with a graph, every other one
    shows a neighbour of its own, drawn from the anchor's positive edges, the small crops of multi-crop too; without a
    graph all show the anchor. Every draw is a function of (seed, epoch, anchor, view), and, where an anchor comes more
    than once in an epoch, of which copy of it this is.

    Lazy images are decoded once a batch each, however many views show them.

    Args:
        dataset: the images.
        policies: how the views are made; those of the largest `crop_size` come first.
        seed: the run's seed.
        graph: where neighbours come from; it must have been built from `dataset`.
        pair_batch: which of the two forms.
        extra_views: whether all views come once more.
        device: where the images are kept and augmented, and the views are; None: in memory, by compiled code.
        draw: which neighbour: `"uniform"`, `"weighted"`, `"nearest"` or `"furthest"`, as in
            `SimilarityGraph.draw_positive`; with the latter two, all views but the first show the same one.

    Attributes:
        without_edges: how many anchors have no positive edge in the graph and are paired with themselves.

    Raises:
        ManifestError: the graph indexes another data set.
        ConfigError: no view, a graph and fewer than two views, small crops before larger ones, no such `draw`, or a
            device for lazy images.
    """

    def __init__(
        self,
        dataset: ImageDataset,
        policies: Sequence[Policy],
        *,
        seed: int,
        graph: SimilarityGraph | None,
        pair_batch: bool,
        draw: str = "uniform",
        extra_views: bool = False,
        device: torch.device | None = None,
    ) -> None:
        self.dataset = dataset
        self._pool = dataset.images if device is None else _moved(dataset, device)
        self.graph = graph
        self.without_edges = 0
        self._views = [policy for policy in policies for _ in range(policy.num_crops)]
        self._seed = seed
        self._pair_batch = pair_batch
        self._draw = draw
        self._shown = len(self._views)
        _check_views(self._views, needed=1 if graph is None else 2)
        if extra_views:
            self._views = self._views * 2
        if graph is not None:
            check_indexes(graph, dataset, "The graph", stacklevel=4)
            graph.draw_positive([], [], draw)  # refuses one that does not exist
            self.without_edges = _count_without_edges(graph)

    def __len__(self) -> int:
        return len(self.dataset)

    @carries_errors
    def __getitems__(self, request: Request) -> Batch:
        """Return the batch that `request` asks for.

        Raises:
            DataError: an image cannot be read or decoded.
        """
        samples = self.samples(request)
        draws = [
            augment.draw(policy, self._seed, request.epoch, request.indices, view, request.copies)
            for view, policy in enumerate(self._views)
        ]
        shown = samples if self._pair_batch else request.indices
        return [torch.from_numpy(shown), self._render(samples, draws), torch.from_numpy(self.dataset.labels[shown])]

    def samples(self, request: Request) -> NDArray[np.int64]:
        """Return (B, V): which sample each view shows."""
        anchors = request.indices
        samples = np.repeat(anchors[:, None], self._shown, axis=1)
        if self.graph is not None:
            u = uniforms(self._seed, request.epoch, anchors, POSITIVE, self._shown - 1)
            for view in range(1, self._shown):
                drawn = self.graph.draw_positive(anchors, u[:, view - 1], self._draw)
                samples[:, view] = np.where(drawn < 0, anchors, drawn)
        return np.tile(samples, len(self._views) // self._shown)

    def _render(self, samples: NDArray[np.int64], draws: Sequence[Draws]) -> list[Tensor]:
        images, mean, std = self._pool, self.dataset.mean, self.dataset.std
        if isinstance(images, LazyImages):
            crops = self._crops(images, samples, draws)
            return [augment.colour(crop, drawn, mean, std) for crop, drawn in zip(crops, draws, strict=True)]
        return [
            augment.apply(images, drawn, policy, mean, std, shown)
            for shown, drawn, policy in zip(np.ascontiguousarray(samples.T), draws, self._views, strict=True)
        ]

    def _crops(self, images: LazyImages, samples: NDArray[np.int64], draws: Sequence[Draws]) -> list[NDArray[np.uint8]]:
        """Return each view's crops (B, S, S, 3), keeping nothing else of the images."""
        crops = [np.empty((len(samples), policy.crop_size, policy.crop_size, 3), np.uint8) for policy in self._views]
        for numbers, decoded in decoded_in_parts(images, np.unique(samples)):
            for view, policy in enumerate(self._views):
                rows = np.flatnonzero(np.isin(samples[:, view], numbers))
                if len(rows):
                    shown = [decoded[place] for place in np.searchsorted(numbers, samples[rows, view])]
                    crops[view][rows] = augment.cut(shown, draws[view].take(rows), policy)
        return crops


def decoded_in_parts(
    images: LazyImages, rows: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], Sequence[NDArray[np.uint8]]]]:
    """Yield (some of `rows`, their images), `DECODED_AT_ONCE` at a time."""
    for first in range(0, len(rows), DECODED_AT_ONCE):
        some = rows[first : first + DECODED_AT_ONCE]
        yield some, images[some]


def _moved(dataset: ImageDataset, device: torch.device) -> Tensor:
    if isinstance(dataset.images, LazyImages):
        raise ConfigError(
            f"The images of {dataset.name}/{dataset.split} are read as they are needed, and cannot be kept on {device}",
            "Set data.on_device=auto, or false",
        )
    return torch.from_numpy(np.array(dataset.images)).to(device)


def _check_views(views: Sequence[Policy], needed: int) -> None:
    if len(views) < needed:
        raise ConfigError(
            f"The augmentations make {len(views)} views, too few for {'one' if needed == 1 else 'a pair'}",
            "Raise num_crops, or choose another augmentation group",
        )
    sizes = [policy.crop_size for policy in views]
    if sizes != sorted(sizes, reverse=True):
        raise ConfigError(
            f"The augmentations make views of {', '.join(map(str, sizes))} pixels, in this order; methods take the "
            "first for the large ones",
            "List the augmentations with the largest crop_size first",
        )


def check_indexes(
    graph: SimilarityGraph | Relations,
    dataset: ImageDataset,
    what: str,
    *,
    stacklevel: int,
    made_by: str = BY_FEATURES,
) -> None:
    """Check that a graph, or the relations of one, was built from `dataset`; warn where it does not say.

    Args:
        graph: of N nodes.
        dataset: the images at hand.
        what: the graph's name in messages.
        stacklevel: of the warning, as `warnings.warn` counts it here.
        made_by: how such a graph is made, for the messages.

    Raises:
        ManifestError: it was not.
    """
    if graph.manifest is not None:
        check_reference(graph.manifest, dataset.manifest, what=what, made_by=made_by)
    elif graph.num_nodes != len(dataset):
        raise ManifestError(
            f"{what} has {graph.num_nodes} nodes, but {dataset.name}/{dataset.split} has {len(dataset)} samples",
            f"Build the graph from the data set at hand: {made_by}",
        )
    else:
        warnings.warn(
            f"{what} does not say which data set it indexes; it is taken to be {dataset.name}/{dataset.split}, "
            "sample by sample. Build it with manifest=dataset.manifest to have this checked.",
            RuntimeWarning,
            stacklevel=stacklevel,
        )


def _count_without_edges(graph: SimilarityGraph) -> int:
    indptr, _, _ = graph.positive_rows
    count = int((indptr[1:] == indptr[:-1]).sum())
    if count:
        warnings.warn(
            f"{count} of {graph.num_nodes} samples have no positive edge in the graph: they are paired with "
            "themselves, as in plain self-supervised learning.",
            RuntimeWarning,
            stacklevel=4,
        )
    return count
