"""What a graph says of itself beside its edges: which data set its nodes are of, and how it was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pal_plugin.errors import GraphError
from pal_plugin.graph.disk import REBUILD

_MOST = 1e300  # no cost comes near it, and sums of costs stay numbers


def checked_manifest(manifest: object, num_nodes: int) -> dict[str, Any] | None:
    """Return a copy of a compact manifest reference, or None.

    Raises:
        GraphError: it is no mapping, or of another size than the graph.
    """
    if manifest is None:
        return None
    if not isinstance(manifest, Mapping):
        raise GraphError(f"The graph's manifest is a {type(manifest).__name__}, not a mapping", REBUILD)
    if manifest.get("size", num_nodes) != num_nodes:
        raise GraphError(f"The graph has {num_nodes} nodes and its manifest {manifest['size']} samples", REBUILD)
    return dict(manifest)


def checked_builder(builder: object) -> dict[str, Any]:
    """Return a copy of what a graph says of how it was made, which may come from a file.

    Raises:
        GraphError: it, or that of a graph that it was made from, has a part of another type than
            `SimilarityGraph` names; or `transitive` is neither true nor false.
    """
    waiting = [builder]
    while waiting:
        described = waiting.pop()
        if not isinstance(described, Mapping):
            raise GraphError(f"The graph's builder is a {type(described).__name__}, not a mapping", REBUILD)
        for key, (fits, wanted) in _PARTS.items():
            if key in described and not fits(described[key]):
                raise GraphError(f"The graph's builder has {key}={described[key]!r:.60}, {wanted}", REBUILD)
        waiting += described.get("parents", [])
    assert isinstance(builder, Mapping)
    return dict(builder)


def _is_cost(value: Any) -> bool:
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return number and bool(0 <= value < _MOST)


_PARTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "not a text"),
    "parameters": (lambda value: isinstance(value, Mapping), "not a mapping"),
    "parents": (lambda value: isinstance(value, (list, tuple)), "not a list"),
    "cost": (_is_cost, "no number of 0 or more"),
    "transitive": (lambda value: isinstance(value, bool), "neither true nor false"),
}
