"""Put our methods into solo-learn's own table, and a graph into the loaders of its main branch."""

from __future__ import annotations

import functools
import hashlib
import importlib
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision.datasets import CIFAR10, CIFAR100

from pal_plugin.data.draws import POSITIVE, uniforms
from pal_plugin.data.lazy import FileImages
from pal_plugin.data.manifest import BY_FEATURES, Manifest, check_reference
from pal_plugin.data.related import PairComposition, RelatedSampler
from pal_plugin.data.sampler import Request
from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError, ManifestError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import Relations, relations
from pal_plugin.host.solo import INFO, SOLO_METHODS


class _Wrapped:
    """What `parse_cfg` of a main-shaped script said about pairs, for the calls that follow it."""

    graph: str | None = None
    seed: int = 0
    pair_batch: bool = False
    extra_views: bool = False
    related_share: float | None = None  # of a method that learns from relations


def register(methods: Mapping[str, type]) -> None:
    """Put `methods` into solo-learn's table; see `pal_plugin.register`."""
    SOLO_METHODS.update(methods)
    if INFO.kind == "main":
        for module, function, wrapper in _WRAPPERS:
            _wrap(importlib.import_module(module), function, wrapper)


class NeighbourViews(Dataset[Any]):
    """A data set of solo-learn main whose second view shows a neighbour.

    The neighbour is drawn as a function of (seed, epoch, index); the epoch is set by `GraphPairLoader`.

    Its samples are `(index (V,), [view_1, view_2, …], target (V,))`: of every view, what it shows.

    Args:
        dataset: yields `(index, [view_1, view_2, …], target)`.
        graph: its neighbours, by index.
        seed: the run's seed.
        extra_views: whether all views come once more, of the same samples, augmented anew.
    """

    def __init__(self, dataset: Any, graph: SimilarityGraph, *, seed: int, extra_views: bool = False) -> None:
        self.dataset, self.graph, self.seed, self.extra_views = dataset, graph, seed, extra_views
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        anchor, views, target = self.dataset[index]
        draws = uniforms(self.seed, self.epoch, np.array([index]), POSITIVE, len(views) - 1)[0]
        indices, targets, shown = [anchor], [target], [views[0]]
        for view, u in enumerate(draws, start=1):
            drawn = int(self.graph.draw_positive(np.array([index]), np.array([u]))[0])
            neighbour, neighbour_views, neighbour_target = self.dataset[index if drawn < 0 else drawn]
            indices.append(neighbour)
            targets.append(neighbour_target)
            shown.append(neighbour_views[view])
        if self.extra_views:
            shown += [self.dataset[sample][1][view] for view, sample in enumerate(indices)]
            indices, targets = indices * 2, targets * 2
        return torch.tensor(indices), shown, torch.tensor(targets)


class RelatedViews(Dataset[Any]):
    """A data set of solo-learn main for a method that learns from known relations: all views show the sample.

    Its samples are `(index (V,), [view_1, …, view_V], target (V,))`.

    Args:
        dataset: yields `(index, [view_1, …, view_V], target)`.
        known: the known relations of its samples, by index.
    """

    def __init__(self, dataset: Any, known: Relations) -> None:
        self.dataset, self.relations = dataset, known

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        sample, views, target = self.dataset[index]
        return torch.full((len(views),), sample), views, torch.full((len(views),), target)

    def __getitems__(self, indices: Request | Sequence[int]) -> list[Any]:
        """Return the samples of a batch, as a sampler of ours or of PyTorch's asks for them."""
        return [self[int(index)] for index in (indices.indices if isinstance(indices, Request) else indices)]


class GraphPairLoader(DataLoader[Any]):
    """A loader that tells its `NeighbourViews` which epoch it is; every pass is the next epoch.

    Our methods call `set_epoch`, so that a resumed script goes on with the draws of its epoch. Lightning has started
    the workers of the first epoch before that: with workers, this one is drawn as epoch 0 is.
    """

    epoch = 0  # of the next pass

    def set_epoch(self, epoch: int) -> None:
        """Let the pass that has just begun, if there are no workers, or begins now be that of `epoch`."""
        self.epoch = epoch
        self.dataset.epoch = epoch  # type: ignore[attr-defined]

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        self.dataset.epoch = self.epoch  # type: ignore[attr-defined]  # before the workers are given their copies
        self.epoch += 1
        return super().__iter__()


def _parse_cfg(original: Callable[..., DictConfig], cfg: DictConfig) -> DictConfig:
    parsed = original(cfg)
    _Wrapped.graph = OmegaConf.select(parsed, "data.graph", default=None)
    _Wrapped.seed = parsed.seed
    method: Any = SOLO_METHODS.get(parsed.method)
    _Wrapped.pair_batch = bool(getattr(method, "wants_pair_batch", False))
    _Wrapped.extra_views = False
    if getattr(method, "needs_graph", False):
        if _Wrapped.graph is None:
            raise ConfigError(
                f"{parsed.method} learns from pairs of different images, and the config names no graph of them",
                "Add +data.graph=FOLDER, which `pal graph` wrote",
            )
        _Wrapped.extra_views = method.needs_extra_views(parsed)
    learns = getattr(method, "wants_relations", False)
    _Wrapped.related_share = _related_share(method, parsed) if learns else None
    if _Wrapped.graph is not None and not _Wrapped.pair_batch:
        raise ConfigError(
            f"{parsed.method} would take the neighbours that data.graph shows for views of the anchor, and teach its "
            "probe the anchor's label for them",
            f"Set method=gps_{parsed.method}, or leave data.graph out",
        )
    return parsed


def _related_share(method: Any, cfg: DictConfig) -> float:
    if _Wrapped.graph is None:
        raise ConfigError(
            f"{cfg.method} learns from a graph of known relations, and the config names none",
            "Add +data.graph=FOLDER, which `pal graph pairs --transitive` wrote",
        )
    share: float = method.settings_of(cfg).related_share
    if share and device_count(cfg) > 1:
        raise ConfigError(
            f"A script of solo-learn's own composes batches along relations on one device, not on {device_count(cfg)}",
            "Train by `pal train`, or set method_kwargs.related_share=0",
        )
    return share


def _prepare_datasets(original: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    dataset = original(*arguments, **keywords)
    if not _Wrapped.pair_batch:
        return dataset
    if _Wrapped.graph is None:
        graph = _self_graph(len(dataset))
    else:
        graph = SimilarityGraph.load(Path(_Wrapped.graph))
        _check_graph(graph, dataset, Path(_Wrapped.graph))
        if _Wrapped.related_share is not None:
            return RelatedViews(dataset, relations(graph))
    return NeighbourViews(dataset, graph, seed=_Wrapped.seed, extra_views=_Wrapped.extra_views)


def _check_graph(graph: SimilarityGraph, dataset: Any, path: Path) -> None:
    """Refuse a graph of another data set; one that cannot be told is only counted, with a warning."""
    made_by = BY_FEATURES if _Wrapped.related_share is None else "`pal graph pairs`"
    if graph.num_nodes != len(dataset):
        raise ManifestError(
            f"The graph in {path} has {graph.num_nodes} nodes, the data set {len(dataset)} images",
            f"Build the graph from this data set: {made_by}",
        )
    manifest = _manifest(dataset)
    if graph.manifest is not None and manifest is not None:
        check_reference(graph.manifest, manifest, what="The graph", path=path, made_by=made_by)
    else:
        warnings.warn(
            f"Only the number of its nodes says that the graph in {path} is one of this data set; it is taken to be, "
            "sample by sample",
            RuntimeWarning,
            stacklevel=3,
        )


def _manifest(dataset: Any) -> Manifest | None:
    """Return what `pal` would say that main's data set is: one of image files, or CIFAR; None for others.

    Main's order of files is not always ours (its unlabelled folders have that of the file system), and the manifest's
    digest is over the order.
    """
    files = [Path(path) for path, _ in getattr(dataset, "samples", ())]
    files = files or [Path(dataset.root) / name for name in getattr(dataset, "images", ())]
    if files:
        ids = tuple(unicodedata.normalize("NFC", file.relative_to(dataset.root).as_posix()) for file in files)
        return Manifest("folder", "train", ids, FileImages(tuple(files)).content())
    if not isinstance(dataset, CIFAR10):
        return None
    hundred, rows = isinstance(dataset, CIFAR100), range(len(dataset))
    ids = tuple(f"train/{i:05d}" if hundred else f"data_batch_{1 + i // 10_000}/{i % 10_000:04d}" for i in rows)
    content = hashlib.sha256(np.ascontiguousarray(dataset.data).data).hexdigest()
    return Manifest("cifar100" if hundred else "cifar10", "train", ids, content)


def _prepare_dataloader(original: Callable[..., Any], train_dataset: Any, *arguments: Any, **keywords: Any) -> Any:
    loader = original(train_dataset, *arguments, **keywords)
    if isinstance(train_dataset, RelatedViews) and _Wrapped.related_share:
        known = PairComposition(train_dataset.relations, loader.batch_size, _Wrapped.related_share)
        batches: Any = RelatedSampler(known, seed=_Wrapped.seed, drop_last=loader.drop_last)  # of requests, not lists
        return DataLoader(
            train_dataset,
            batch_sampler=batches,
            num_workers=loader.num_workers,
            pin_memory=loader.pin_memory,
        )
    if not isinstance(train_dataset, NeighbourViews):
        return loader
    return GraphPairLoader(
        train_dataset,
        batch_size=loader.batch_size,
        shuffle=True,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        drop_last=loader.drop_last,
        collate_fn=default_collate,
    )


def _self_graph(size: int) -> SimilarityGraph:
    nodes = np.arange(size)
    return SimilarityGraph.from_edges(size, nodes, nodes)


def _wrap(module: Any, name: str, wrapper: Callable[..., Any]) -> None:
    original = getattr(module, name)
    if not hasattr(original, "__wrapped__"):
        setattr(module, name, functools.wraps(original)(functools.partial(wrapper, original)))


_WRAPPERS: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("solo.args.pretrain", "parse_cfg", _parse_cfg),
    ("solo.data.pretrain_dataloader", "prepare_datasets", _prepare_datasets),
    ("solo.data.pretrain_dataloader", "prepare_dataloader", _prepare_dataloader),
)
