"""What a run that learns from a graph needs of it, and what one says of known relations."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from omegaconf import DictConfig

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import Cliques, Edges, Relations

KNOWN_IMAGES = "known_images"  # that are known to be related to another one
ASKED_IMAGES = "asked_images"  # that an oracle of labels was asked about: some may have no other of their class there
OF_LABELS = ("oracle", "labels")  # builders whose components are classes, of any size
OF_FEATURES = ("knn", "radius")  # builders whose edges nobody has vouched for
# what is read of the parameters of a builder, each a number
_NUMBERS = {
    "oracle": ("relations", "noise", "images"),
    "answers": ("must_link", "cannot_link", "set_aside", "questions"),
}


def check_method(method: Any, cfg: DictConfig) -> None:
    """Refuse what a method that learns from a graph cannot do without, before anything is fetched or built.

    Args:
        method: the class that `cfg.method` names.
        cfg: a composed config.

    Raises:
        ConfigError: no graph, or a setting of the method's that cannot be.
    """
    if method.needs_graph:
        if cfg.graph is None:
            raise ConfigError(
                f"{cfg.method} learns from pairs of different images, and there is no graph to draw them from",
                "Set graph=knn (neighbours), graph=labels (one class), graph=adjacent (frames), graph=pairs "
                "graph.pairs=FILE, or graph=file graph.path=FOLDER",
            )
        method.settings_of(cfg)
    if not method.wants_relations:
        return
    if cfg.graph is None:
        raise ConfigError(
            f"{cfg.method} learns from a graph of known relations, and there is none",
            "Set graph=oracle (told by the labels), graph=pairs graph.pairs=FILE, or graph=file graph.path=FOLDER",
        )
    method.settings_of(cfg)


def share_of_batches(relations: Relations, *, alpha: float, share: float, dataset: str) -> float:
    """Return the share of every batch that can be composed along `relations`: `share`, or 0 where there are none.

    Raises:
        GraphError: there are none, and they are to count for something.
    """
    if relations.num_pairs:
        return share
    if alpha > 0:
        raise GraphError(
            f"No two images of {dataset} are known to be related: there is nothing to learn from the graph",
            "Give it relations (graph.relations=…), or set method_kwargs.graph_alpha=0, which needs none",
        )
    return 0.0


def describe(graph: SimilarityGraph, relations: Relations) -> str:
    """Return in a few words what is known, and from where.

    Raises:
        GraphError: the graph names a builder of ours, and lacks what that one says.
    """
    size, builder, known = graph.num_nodes, graph.builder, int(relations.known.sum())
    told = _told(builder)  # also where there are no relations: `figures` reads it after the training
    if not relations.num_pairs:
        return f"no known relations among {size} images"
    if builder.get("name") == "oracle":
        wrong = f", {100 * told['noise']:g} % of whose answers are wrong" if told["noise"] else ""
        asked = f"{told['images']} of {size} images asked about, {known} of them related to another"
        share = f"{100 * told['relations']:g} % of all pairs ({asked})"
        return f"known relations of {share} from an oracle of labels{wrong}"
    closed = ", closed under transitivity" if isinstance(relations, Cliques) else ""
    kind = "of neighbours" if _of_features(builder) else "known to be related"
    pairs = f"{relations.num_pairs} pair(s) {kind} among {known} of {size} images"
    return f"{pairs}, from {_source(builder)}{closed}"


def _source(builder: Mapping[str, Any]) -> str:
    """Return where the relations of a graph come from."""
    if builder.get("name") != "answers":
        return str(builder.get("name", "a graph"))
    told = _told(builder)
    relations = told["must_link"] + told["cannot_link"]
    aside = f", {told['set_aside']} of whose {relations} relations are set aside ({told.get('policy')})"
    return f"answers to {told['questions']} questions{aside if told['set_aside'] else ''}"


def _told(builder: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of a graph's builder: who made it elsewhere may have named it as ours, and said no more."""
    told: Mapping[str, Any] = builder.get("parameters", {})
    for name in _NUMBERS.get(builder.get("name", ""), ()):
        value = told.get(name)
        if not isinstance(value, Real):
            raise GraphError(
                f"The graph's builder is {builder['name']!r}, and its parameter {name} is {value!r}, no number",
                "Build the graph again (pal graph --help), or give its builder another name",
            )
    return told


def figures(graph: SimilarityGraph, relations: Relations) -> dict[str, int]:
    """Return what a run's metrics and loggers have of its graph, by name.

    Raises:
        GraphError: as `describe`.
    """
    found = {KNOWN_IMAGES: int(relations.known.sum())}
    if graph.builder.get("name") == "oracle":
        found[ASKED_IMAGES] = _told(graph.builder)["images"]
    return found


def doubts(graph: SimilarityGraph, relations: Relations, *, alpha: float, share: float, batch_size: int) -> list[str]:
    """Return what speaks against a graph's having the effect that it was meant to have, a line each.

    Args:
        graph: what is known.
        relations: its relations.
        alpha: the weight of these in the loss.
        share: the share of a batch that is to be composed along them.
        batch_size: of all ranks together.
    """
    found = []
    if alpha == 0 and relations.num_pairs:
        found.append("method_kwargs.graph_alpha=0: the known relations compose the batches and count for nothing else")
    wanted, there = round(share * batch_size / 2), relations.num_pairs  # as PairComposition has it
    if wanted > there:
        found.append(
            f"method_kwargs.related_share={share:g} of a batch of {batch_size} is {wanted} related pairs, and there "
            f"are {there}: every batch holds them all, a share of {2 * there / batch_size:.2g}"
        )
    if isinstance(relations, Edges) and relations.one_way:
        found.append(
            f"{relations.one_way} of the graph's {relations.num_pairs} pairs have an edge in one direction only: a "
            "relation is an unordered pair, so that they count as the others do"
        )
    unrelated = int((graph.weights < 0).sum())
    if unrelated:
        found.append(f"edges of the graph that say “not related” ({unrelated}) only serve to find contradictions")
    if isinstance(relations, Cliques) and graph.builder.get("name") not in OF_LABELS:
        largest = int(np.bincount(relations.component).max())
        if largest > graph.num_nodes / 2:
            found.append(
                f"one component of the closure holds {largest} of {graph.num_nodes} images: unless these are all of "
                "one kind, a pair is wrong, or related is no equivalence here (transitive=true)"
            )
    return found


def _of_features(builder: Mapping[str, Any]) -> bool:
    """Return whether a graph's edges, or some of those that it was made from, are of neighbours in a feature space."""
    return builder.get("name") in OF_FEATURES or any(map(_of_features, builder.get("parents", ())))
