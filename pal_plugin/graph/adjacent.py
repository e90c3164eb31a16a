"""Graphs of neighbours in time: frames of one sequence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import GraphError
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of
from pal_plugin.graph.space import at_least_one

Longs: TypeAlias = npt.NDArray[np.int64]

_EXTENSION = r"(\.[A-Za-z][A-Za-z0-9]{0,3})?"  # .jp2 has a digit that is no time
_LAST_NUMBER = re.compile(rf"(?P<before>.*?)(?P<number>\d+)(?P<after>\D*?{_EXTENSION})", re.DOTALL)
_LARGEST = 2**62  # a difference of two still fits into int64


def adjacent_graph(
    groups_or_ids: npt.ArrayLike | Sequence[str],
    window: int = 1,
    manifest: Mapping[str, Any] | Manifested | None = None,
) -> SimilarityGraph:
    """Connect every sample with those of the same sequence that are at most `window` steps before or after it.

    Args:
        groups_or_ids: (N,) integers: the sequence that each sample is in; a sequence's samples are in order of rows,
            one step apart. Or N sample ids (strings): the last number in an id, before a file's extension, is its
            time, and all around it names the sequence, so `a/frame_0009.png` and `a/frame_0010.png` are one step
            apart, also when frames between others are missing. Frames numbered in tens need a window of 10.
        window: steps, 1 or more: differences of the frames' numbers, not numbers of frames.
        manifest: the data set of the samples, as a manifest or its reference; kept in the graph.

    Returns:
        A graph with edges of weight 1 in both directions, none between sequences; each row's in order of (steps,
        index). Samples of one sequence and the same time are 0 steps apart.

    Raises:
        GraphError: window is no whole number of 1 or more, neither (N,) integers nor strings, an id without a number
            (it is named), or no two samples within the window (the smallest step is named).
    """
    window = at_least_one("window", window)
    values = np.asarray(groups_or_ids)
    if values.ndim == 1 and values.dtype.kind in "iu":
        kind, (groups, times) = "groups", _counted(values)
    elif values.ndim == 1 and all(isinstance(name, str) for name in values):
        kind, (groups, times) = "ids", _numbered(values.tolist())
    else:
        raise GraphError(
            f"Sequences must be one integer or one id for each sample, found {values.dtype} of shape {values.shape}",
            "Pass the number of each sample's sequence, or the ids of the data set",
        )
    rows, columns, steps = _windows(groups, times, window)
    if not rows.size:
        raise _apart(groups, times, window)
    order = np.lexsort((columns, steps))
    return SimilarityGraph.from_edges(
        len(values),
        rows[order],
        columns[order],
        manifest=reference_of(manifest),
        builder={"name": "adjacent", "parameters": {"window": window, "by": kind}, "cost": 0.0},
    )


def _counted(groups: Longs) -> tuple[Longs, Longs]:
    """Return (groups, place of each sample among its group's)."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    times = np.empty(groups.size, dtype=np.int64)
    times[order] = np.arange(groups.size) - np.searchsorted(ordered, ordered)
    return groups.astype(np.int64), times


def _numbered(ids: Sequence[str]) -> tuple[Longs, Longs]:
    """Return (number of each id's sequence, its time)."""
    known: dict[tuple[str, str], int] = {}
    groups, times = np.empty(len(ids), dtype=np.int64), np.empty(len(ids), dtype=np.int64)
    for row, name in enumerate(ids):
        found = _LAST_NUMBER.fullmatch(name)
        if found is None or int(found["number"]) > _LARGEST:
            raise GraphError(
                f"The id {name!r} has no number that could be its time",
                "Number the frames, or pass the number of each sample's sequence instead of ids",
            )
        groups[row] = known.setdefault((found["before"], found["after"]), len(known))
        times[row] = int(found["number"])
    return groups, times


def _apart(groups: Longs, times: Longs, window: int) -> GraphError:
    """Return the error of a window that is smaller than every step, or of sequences of one sample each."""
    order = np.lexsort((times, groups))
    steps = np.diff(times[order])[np.diff(groups[order]) == 0]
    if not steps.size:
        return GraphError(
            f"None of the {groups.size} samples is in one sequence with another",
            "Name the frames of a sequence alike but for their last number (walk/0001.png, walk/0002.png), or build "
            "from features (graph=knn, pal graph knn)",
        )
    least = int(steps.min())
    return GraphError(
        f"No two samples are within window={window}: the frames' numbers go in steps of {least} or more",
        f"Set window={least} (--window {least}, graph.window={least})",
    )


def _windows(groups: Longs, times: Longs, window: int) -> tuple[Longs, Longs, Longs]:
    """Return all pairs (row, row, steps between) of one group and at most `window` steps, in both directions."""
    order = np.lexsort((times, groups))
    left, right = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    for ahead in range(1, order.size):
        first, second = order[:-ahead], order[ahead:]
        near = (groups[first] == groups[second]) & (times[second] - times[first] <= window)
        if not near.any():  # then none further ahead is near either
            break
        left.append(first[near])
        right.append(second[near])
    rows, columns = np.concatenate([*left, *right]), np.concatenate([*right, *left])
    return rows, columns, np.abs(times[rows] - times[columns])
