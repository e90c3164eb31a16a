"""The loaders: batches of pairs for training, and plain images in order for validation and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pal_plugin.data import augment, pixels
from pal_plugin.data.ahead import ThreadedLoader
from pal_plugin.data.dataset import ImageDataset
from pal_plugin.data.lazy import LazyImages
from pal_plugin.data.pairs import Batch, PairDataset, check_indexes, decoded_in_parts
from pal_plugin.data.policy import Policy
from pal_plugin.data.related import PairComposition, RelatedSampler
from pal_plugin.data.sampler import EpochSampler
from pal_plugin.data.workers import carries_errors
from pal_plugin.errors import ConfigError

if TYPE_CHECKING:
    from pal_plugin.graph import Relations, SimilarityGraph

_T = TypeVar("_T")


def pair_loader(
    dataset: ImageDataset,
    policies: Sequence[Policy],
    *,
    batch_size: int,
    seed: int,
    graph: SimilarityGraph | None = None,
    relations: Relations | None = None,
    related_share: float = 0.0,
    pair_batch: bool = False,
    draw: str = "uniform",
    extra_views: bool = False,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = True,
    device: torch.device | None = None,
) -> DataLoader[Batch]:
    """Return a loader over `PairDataset` in the order of `EpochSampler`; the batches do not depend on `num_workers`.

    Images in memory need no workers: threads make the next batches (`ThreadedLoader`). With a `device` they are kept
    and augmented there, and the views are there too; draws, order and neighbours are the same.

    With a graph, the views of a batch's samples show their neighbours. With relations and a share above 0, all views
    show the samples themselves, and `RelatedSampler` draws that share of each batch, of all ranks together, as related
    pairs; `loader.batch_sampler.composition` is then its `PairComposition`, and None otherwise.

    Set the epoch and the place to resume through `loader.batch_sampler`. Workers keep the data set and the graph that
    they were started with: another graph takes another loader.

    Workers that are forked (Linux) share images and graph with this process; where they are spawned (macOS, Windows),
    each gets a copy of what is in memory, and lazy images stay on disk.

    Raises:
        ManifestError, ConfigError, DataError: see `PairDataset` and `EpochSampler`. Iterating raises `DataError` where
            an image cannot be read, with workers as without.
        ManifestError: the relations are of another data set.
        ConfigError, GraphError: a batch size that is no whole number from 1, both a graph and relations, a share
            without relations, a device for lazy images or with workers, or see `PairComposition`.
    """
    batch_size = _whole(batch_size)
    ranks: dict[str, Any] = {"seed": seed, "rank": rank, "world_size": world_size, "drop_last": drop_last}
    _check_relations(relations, graph, related_share, dataset)
    sampler: EpochSampler
    if relations is None or related_share == 0:
        sampler = EpochSampler(len(dataset), batch_size, **ranks)
    else:
        sampler = RelatedSampler(PairComposition(relations, batch_size * world_size, related_share), **ranks)
    if device is not None and num_workers:
        raise ConfigError(
            f"Images are to be kept on {device}, which {num_workers} data workers have no access to",
            "Set data.num_workers=0, or data.on_device=false",
        )
    views: dict[str, Any] = {"draw": draw, "extra_views": extra_views, "device": device}
    pairs = PairDataset(dataset, policies, seed=seed, graph=graph, pair_batch=pair_batch, **views)
    if num_workers:
        augment.prepare()
    kind = DataLoader if isinstance(dataset.images, LazyImages) else ThreadedLoader
    return _loader(pairs, num_workers, kind, batch_sampler=sampler, pin_memory=device is None and _pinned())


class EvalDataset(Dataset[list[Tensor]]):
    """Unaugmented, normalised images with their labels, by lists of indices: `[x (B, 3, S, S), y (B,)]`.

    Args:
        dataset: the images.
        crop_size: S. The images of an array are resized to S × S as a whole, or kept as they are if it is None. Of
            lazy images, the shorter side is resized to S, and the central square kept.

    Raises:
        ConfigError: lazy images and no `crop_size`.
    """

    def __init__(self, dataset: ImageDataset, crop_size: int | None = None) -> None:
        if crop_size is None and isinstance(dataset.images, LazyImages):
            raise ConfigError(
                f"The images of {dataset.name}/{dataset.split} may differ in size, and no crop_size was given",
                "Give one: the side, in pixels, that the network expects",
            )
        self.dataset = dataset
        self._size = crop_size

    def __len__(self) -> int:
        return len(self.dataset)

    @carries_errors
    def __getitems__(self, indices: Sequence[int]) -> list[Tensor]:
        """Return the samples `indices`.

        Raises:
            DataError: an image cannot be read or decoded.
        """
        rows = np.asarray(indices, dtype=np.int64)
        images, size = self.dataset.images, self._size
        if isinstance(images, LazyImages):
            assert size is not None
            parts = decoded_in_parts(images, rows)
            shown = np.stack([pixels.cut_centre(image, size) for _, part in parts for image in part])
        else:
            shown = np.ascontiguousarray(images[rows])
        x = torch.from_numpy(shown)
        whole = size is None or shown.shape[1:3] == (size, size)
        x = pixels.to_float(x) if whole else pixels.resize(x, cast(int, size))
        x = pixels.normalise_(x, self.dataset.mean, self.dataset.std)
        return [x, torch.from_numpy(self.dataset.labels[rows])]


def eval_loader(
    dataset: ImageDataset, batch_size: int, crop_size: int | None = None, *, num_workers: int = 0
) -> DataLoader[list[Tensor]]:
    """Return a loader of `[x, y]` in the data set's order, with a smaller last batch, for validation.

    Raises:
        ConfigError: a batch size that is no whole number from 1, or see `EvalDataset`.
        DataError: see `EvalDataset`.
    """
    samples = EvalDataset(dataset, crop_size)
    return _loader(samples, num_workers, batch_size=_whole(batch_size), pin_memory=_pinned())


def _whole(batch_size: Any) -> int:
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ConfigError(f"The batch size is {batch_size!r}", "Set it to a whole number of at least 1")
    return int(batch_size)  # torch takes none of NumPy's


def _check_relations(
    relations: Relations | None, graph: SimilarityGraph | None, share: float, dataset: ImageDataset
) -> None:
    if relations is None:
        if share:
            raise ConfigError(
                f"A share of {share} of each batch is to be drawn as related pairs, and no relations were given",
                "Pass relations(graph), or related_share=0",
            )
        return
    if graph is not None:
        raise ConfigError(
            "Both a graph, from which the views of a pair are drawn, and relations, along which batches are composed, "
            "were given",
            "Choose one: graph for gps_*, relations for pal_*",
        )
    made_by = "`pal graph pairs`, or graph=oracle"
    check_indexes(relations, dataset, "The graph of relations", stacklevel=4, made_by=made_by)


def _loader(
    samples: Dataset[_T], num_workers: int, kind: type[DataLoader[Any]] = DataLoader, **options: Any
) -> DataLoader[_T]:
    return kind(
        samples,
        **options,
        collate_fn=_identity,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # every pass draws from it; the global one must be as a resumed run finds it
    )


def _pinned() -> bool:
    return torch.cuda.is_available()


def _identity(batch: _T) -> _T:
    return batch
