"""What a run that learns from known relations needs of its graph, and says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from omegaconf import DictConfig

from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import Cliques, Relations

KNOWN_IMAGES = "known_images"
OF_LABELS = ("oracle", "labels")  # builders whose components are classes, of any size


def check_method(method: Any, cfg: DictConfig) -> None:
    """Refuse what a method that learns from relations cannot do without, before anything is fetched or built.

    Args:
        method: the class that `cfg.method` names.
        cfg: a composed config.

    Raises:
        ConfigError: no graph, or a setting of the method's that cannot be.
    """
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
    """Return in a few words what is known, and from where."""
    size, builder = graph.num_nodes, graph.builder
    if builder.get("name") == "oracle":
        told = builder["parameters"]
        wrong = f", {100 * told['noise']:g} % of whose answers are wrong" if told["noise"] else ""
        share = f"{100 * told['relations']:g} % of all pairs ({told['images']} of {size} images)"
        return f"known relations of {share} from an oracle of labels{wrong}"
    closed = ", closed under transitivity" if isinstance(relations, Cliques) else ""
    pairs = f"{relations.num_pairs} pair(s) known to be related among {relations.known.sum()} of {size} images"
    return f"{pairs}, from {builder.get('name', 'a graph')}{closed}"


def doubts(graph: SimilarityGraph, relations: Relations, *, alpha: float) -> list[str]:
    """Return what speaks against a graph's having the effect that it was meant to have, a line each."""
    found = []
    if alpha == 0:
        found.append("method_kwargs.graph_alpha=0: the known relations compose the batches and count for nothing else")
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
