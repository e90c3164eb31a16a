"""Samples as a sheet shows them, and rows of them: an anchor with its neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data import ImageDataset
from pal_plugin.graph import SimilarityGraph
from pal_plugin.sheet.tiles import read_images

SAME, OTHER = "✓", "✗"


@dataclass(frozen=True)
class Sample:
    """A node with its picture.

    Attributes:
        node: its number.
        id: its id in the data set.
        image: (H, W, 3).
        class_name: None where it has no label.
        right: of a neighbour, whether its class is the anchor's; None where one of them has no label.
        weight: of a neighbour, the weight of its edge.
    """

    node: int
    id: str
    image: NDArray[np.uint8]
    class_name: str | None
    right: bool | None = None
    weight: float = 1.0

    @property
    def caption(self) -> str:
        """The class, after a mark where it is known to be the anchor's or another; empty without a class."""
        mark = "" if self.right is None else f"{SAME if self.right else OTHER} "
        return f"{mark}{self.class_name}" if self.class_name is not None else ""


@dataclass(frozen=True)
class Row:
    """An anchor and its first neighbours in the graph's order, nearest first; `degree` counts all of them."""

    anchor: Sample
    neighbours: tuple[Sample, ...]
    degree: int

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The anchor and its neighbours."""
        return (self.anchor, *self.neighbours)


def read_samples(dataset: ImageDataset, nodes: Sequence[int]) -> list[Sample]:
    """Return the samples `nodes` of a data set, in order."""
    return [
        Sample(node, dataset.ids[node], image, _class_name(dataset, node))
        for node, image in zip(nodes, read_images(dataset, nodes), strict=True)
    ]


def read_rows(graph: SimilarityGraph, dataset: ImageDataset, anchors: Iterable[int], columns: int) -> list[Row]:
    """Return each anchor with at most `columns` of the other nodes that it has a positive edge to, in stored order."""
    return [_row(graph, dataset, int(anchor), columns) for anchor in anchors]


def _row(graph: SimilarityGraph, dataset: ImageDataset, anchor: int, columns: int) -> Row:
    nodes, weights = graph.neighbours(anchor)
    keep = (weights > 0) & (nodes != anchor)
    nodes, weights = nodes[keep], weights[keep]
    first, *others = read_samples(dataset, [anchor, *nodes[:columns].tolist()])
    neighbours = tuple(
        replace(other, right=_agree(dataset, anchor, other.node), weight=weight)
        for other, weight in zip(others, weights.tolist(), strict=False)  # there may be more weights than are shown
    )
    return Row(first, neighbours, nodes.size)


def _agree(dataset: ImageDataset, anchor: int, other: int) -> bool | None:
    left, right = dataset.labels[anchor], dataset.labels[other]
    return None if left < 0 or right < 0 else bool(left == right)


def _class_name(dataset: ImageDataset, node: int) -> str | None:
    label = int(dataset.labels[node])
    return dataset.class_names[label] if label >= 0 else None


@dataclass(frozen=True)
class Group:
    """Some samples of a class; `count` says how many it has."""

    title: str
    count: int
    samples: tuple[Sample, ...]
