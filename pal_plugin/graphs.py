"""The graph that a config describes: read from a folder, or built for the data set at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig

from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError
from pal_plugin.graph import (
    SimilarityGraph,
    adjacent_graph,
    factors_graph,
    hierarchy_graph,
    knn_graph,
    label_graph,
    pairs_graph,
    radius_graph,
)
from pal_plugin.oracle import oracle_graph
from pal_plugin.priors import embed, make_prior
from pal_plugin.registry import near_matches
from pal_plugin.selection import read_samples

Features = NDArray[np.float32]


def make_graph(graph: DictConfig, dataset: ImageDataset, *, num_workers: int = 0) -> SimilarityGraph:
    """Load the graph at `graph.path`, or build what `graph.builder` names; features come through the cache.

    Args:
        graph: the config group `graph`.
        dataset: the images it is to index.
        num_workers: processes that read images for the prior.

    Raises:
        ConfigError: no such builder, or it lacks a setting.
        GraphError: there is no graph at that path, or a builder cannot make one.
        SelectionError: a file of samples cannot be read.
        OracleError, ManifestError: a store of answers cannot be read, contradicts itself, or is of other images.
    """
    if graph.get("path") is not None:
        return SimilarityGraph.load(graph.path)
    name = _builder(graph)
    if name == "file":
        raise ConfigError("graph=file names no graph", "Set graph.path to a folder that `pal graph` wrote")
    if name in _OF_FEATURES:
        store = embed(dataset, make_prior(graph.prior), num_workers=num_workers)
        return graph_of_features(graph, store.features, dataset)
    return _OF_DATASETS[name](graph, dataset)


def graph_of_features(graph: DictConfig, features: Features, dataset: ImageDataset) -> SimilarityGraph:
    """Build the graph that `graph` describes from the features (N, D) of `dataset`.

    Raises:
        ConfigError: `graph.builder` does not build from features.
    """
    name = _builder(graph)
    if name not in _OF_FEATURES:
        raise ConfigError(f"graph.builder={name} builds from no features", f"Choose one of {', '.join(_OF_FEATURES)}")
    return _OF_FEATURES[name](graph, features, dataset)


def refresh_interval(graph: DictConfig | None) -> int | None:
    """Return after how many epochs each time the graph is to be built anew from the network in training; None: never.

    Raises:
        ConfigError: an interval below 1, or a graph that is not built from features.
    """
    every = None if graph is None else graph.get("refresh_every_n_epochs")
    if graph is None or every is None:
        return None
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"graph.refresh_every_n_epochs is {every!r}", "Set it to 1 or more epochs, or to null")
    if _builder(graph) not in _OF_FEATURES:
        raise ConfigError(
            f"A graph of graph.builder={_builder(graph)} cannot be refreshed: it is not built from features",
            f"Set graph.refresh_every_n_epochs=null, or graph={' or '.join(_OF_FEATURES)}",
        )
    return every


def _builder(graph: DictConfig) -> str:
    name = str(graph.builder)
    known = {*_OF_FEATURES, *_OF_DATASETS, "file"}
    if name not in known:
        raise ConfigError(f"There is no graph.builder {name!r}", f"Choose another: {near_matches(name, known)}")
    return name


def _knn(graph: DictConfig, features: Features, dataset: ImageDataset) -> SimilarityGraph:
    return knn_graph(
        features,
        graph.k,
        metric=graph.metric,
        include_self=graph.include_self,
        engine=graph.engine,
        min_recall=graph.get("min_recall"),
        manifest=dataset.manifest,
    )


def _radius(graph: DictConfig, features: Features, dataset: ImageDataset) -> SimilarityGraph:
    return radius_graph(
        features,
        graph.tau,
        metric=graph.metric,
        k=graph.k,
        max_neighbours=graph.max_neighbours,
        manifest=dataset.manifest,
    )


def _labels(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    return label_graph(dataset.labels, graph.k, seed=graph.seed, manifest=dataset.manifest)


def _hierarchy(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    return hierarchy_graph(
        dataset.labels,
        dataset.known_coarse_labels,
        graph.k,
        noise=graph.noise,
        seed=graph.seed,
        manifest=dataset.manifest,
    )


def _factors(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    options = {"probability": graph.probability, "seed": graph.seed, "manifest": dataset.manifest}
    return factors_graph(dataset.known_factors, graph.k, **options)


def _pairs(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    return pairs_graph(graph.pairs, dataset.ids, manifest=dataset.manifest, transitive=graph.transitive)


def _oracle(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    if not (dataset.labels >= 0).any():
        raise ConfigError(
            f"The oracle of graph=oracle answers from labels, and the images of {dataset.name} have none",
            "Give the relations that you know: graph=pairs graph.transitive=true graph.pairs=FILE, or graph=file",
        )
    options = {"noise": graph.noise, "seed": graph.seed, "manifest": dataset.manifest}
    if graph.get("labelled") is not None:
        options["samples"] = read_samples(graph.labelled, dataset.manifest, graph.budget)
    elif graph.get("budget") is not None:
        raise ConfigError(
            f"graph.budget={graph.budget} says nothing of which images", "Name them as well: graph.labelled=picks.csv"
        )
    return oracle_graph(dataset.labels, graph.relations, **options)


def _answers(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    from pal_plugin.oracle.store import RelationStore  # brings SQLAlchemy, and few runs read a store

    with RelationStore.open(graph.store, dataset.manifest) as store:
        return store.graph(graph.policy)


def _adjacent(graph: DictConfig, dataset: ImageDataset) -> SimilarityGraph:
    return adjacent_graph(dataset.ids, graph.window, manifest=dataset.manifest)


_OF_FEATURES: Mapping[str, Callable[[DictConfig, Features, ImageDataset], SimilarityGraph]] = {
    "knn": _knn,
    "radius": _radius,
}
_OF_DATASETS: Mapping[str, Callable[[DictConfig, ImageDataset], SimilarityGraph]] = {
    "labels": _labels,
    "hierarchy": _hierarchy,
    "factors": _factors,
    "pairs": _pairs,
    "adjacent": _adjacent,
    "oracle": _oracle,
    "answers": _answers,
}
