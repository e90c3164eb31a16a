"""Graphs from lists of pairs, as CSV or Parquet: what a person, a rule or another program said."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import nothing_at
from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.graph.closure import closure, refuse_contradictions
from pal_plugin.graph.similarity import Manifested, SimilarityGraph, reference_of

RELATIONS = {"must-link": 1.0, "cannot-link": -1.0}
_ENDS = (("id_a", "id_b"), ("index_a", "index_b"))
_COLUMNS = ("id_a", "id_b", "index_a", "index_b", "relation", "weight")
_ASKED = (
    "question",
    "kind",
    "annotator",
    "time",
    "seconds",
    "clicks",
    "source",
)  # of `pal oracle export`; not used here
_FORM = "Give the columns id_a,id_b or index_a,index_b, and if you like relation (must-link or cannot-link) and weight"
_SHOWN = 5
Columns = dict[str, list[Any]]


def pairs_graph(
    path: str | os.PathLike[str],
    ids: Sequence[str],
    manifest: Mapping[str, Any] | Manifested | None = None,
    *,
    transitive: bool = False,
) -> SimilarityGraph:
    """Connect the pairs of samples that a file lists, both ways.

    Columns, in any order: `id_a,id_b` (sample ids) or `index_a,index_b` (row numbers from 0); `relation`, `must-link`
    or `cannot-link`, without it every pair is a must-link; `weight`, the confidence in the relation, > 0, without it 1.
    Where there is a weight and no relation, a weight below zero is a cannot-link. A pair may be listed twice, in either
    direction, if both say the same. What else `pal oracle export` writes is read over; its `not-sure` is no relation.

    Args:
        path: a CSV file (UTF-8, with a header), or a Parquet file (`.parquet` or `.pq`; needs pyarrow).
        ids: the N ids of the data set, in order.
        manifest: the data set, as a manifest or its reference; kept in the graph.
        transitive: whether being related is an equivalence, so that the pairs stand for their closure.

    Returns:
        A graph with an edge of weight +confidence (must-link) or −confidence (cannot-link) in both directions of every
        pair. Each row's highest weight comes first; equal ones are in the order of the file.

    Raises:
        GraphError: the file is missing, unreadable, empty or has other columns; an id or index is unknown (it is
            named), a relation or weight is none, a sample is paired with itself, two rows contradict each other, or
            some that are `transitive` together contradict another.
        ConfigError: a Parquet file and no pyarrow.
    """
    source = Path(path)
    if not source.exists():
        raise nothing_at(source, "There is no list of pairs", "*.*", GraphError, "Name a CSV or Parquet file")
    table = _parquet(source) if source.suffix.lower() in (".parquet", ".pq") else _csv(source)
    left, right = _ends(source, table, ids)
    weights = _weights(source, table, left.size)
    itself = np.flatnonzero(left == right)
    if itself.size:
        raise GraphError(
            f"{source}: row {itself[0] + 1} pairs the sample {ids[left[itself[0]]]!r} with itself", "Remove that row"
        )
    kept = _once(source, left, right, weights, len(ids))
    left, right, weights = left[kept], right[kept], weights[kept]
    order = np.argsort(-weights, kind="stable")
    rows = np.stack([left[order], right[order]], axis=1).reshape(-1)
    columns = np.stack([right[order], left[order]], axis=1).reshape(-1)
    counts = {"must_link": int((weights > 0).sum()), "cannot_link": int((weights < 0).sum())}
    builder: dict[str, Any] = {"name": "pairs", "parameters": {"file": source.name, **counts}, "cost": 0.0}
    graph = SimilarityGraph.from_edges(
        len(ids),
        rows,
        columns,
        np.repeat(weights[order], 2),
        manifest=reference_of(manifest),
        builder=builder | ({"transitive": True} if transitive else {}),
    )
    if transitive:
        refuse_contradictions(str(source), closure(graph).contradictions, ids)
    return graph


def _csv(source: Path) -> Columns:
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            lines = [(reader.line_num, line) for reader in [csv.reader(file, strict=True)] for line in reader if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise GraphError(f"{source} cannot be read as CSV: {error}", _FORM) from error
    header = [name.strip() for name in lines[0][1]] if lines else []
    for number, line in lines:
        if len(line) != len(header):
            raise GraphError(
                f"{source}: line {number} has {len(line)} cells and the header {len(header)}", "Correct that line"
            )
    _check_header(source, header)
    return {name: [line[place].strip() for _, line in lines[1:]] for place, name in enumerate(header)}


def _parquet(source: Path) -> Columns:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ConfigError(
            f"{source} is a Parquet file, and pyarrow is not installed",
            "pip install 'pal-plugin[parquet]', or write the pairs as CSV",
        ) from error
    try:
        table = parquet.ParquetFile(source).read()
        columns = [column.to_pylist() for column in table.columns]
    except (OSError, ValueError, ArrowException) as error:
        raise GraphError(f"{source} cannot be read as Parquet: {error}", _FORM) from error
    _check_header(source, table.column_names)
    return dict(zip(table.column_names, columns, strict=True))


def _check_header(source: Path, header: Sequence[str]) -> None:
    wrong = [name for name in header if name not in _COLUMNS + _ASKED or header.count(name) > 1]
    ends = {*header} - {"relation", "weight", *_ASKED}
    if wrong or ends not in map(set, _ENDS):
        raise GraphError(f"{source} has the columns {', '.join(header) or '(none)'}", _FORM)


def _ends(source: Path, table: Columns, ids: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Return the row numbers of both ends of every pair."""
    by_id = "id_a" in table
    names = _ENDS[0] if by_id else _ENDS[1]
    if not table[names[0]]:
        raise GraphError(f"{source} lists no pair", "Add a line for each pair below the header")
    places = {name: place for place, name in enumerate(ids)} if by_id else {}
    found, unknown = [], []
    for name in names:
        column = [places.get(str(value)) for value in table[name]] if by_id else _parsed(source, table, name, _whole)
        known = [place is not None and 0 <= place < len(ids) for place in column]
        unknown += [(row, table[name][row]) for row, there in enumerate(known) if not there]
        found.append(column)
    if unknown:
        shown = ", ".join(f"{value!r} (row {row + 1})" for row, value in sorted(unknown, key=lambda u: u[0])[:_SHOWN])
        more = f" and {len(unknown) - _SHOWN} more" if len(unknown) > _SHOWN else ""
        kind = "ids" if by_id else "indices"
        raise GraphError(
            f"{source} names {kind} that the data set of {len(ids)} samples does not have: {shown}{more}",
            f"Correct them; its ids are like {ids[0]!r}" if by_id and len(ids) else "Count rows from 0",
        )
    return [np.array(column, dtype=np.int64) for column in found]


def _weights(source: Path, table: Columns, count: int) -> npt.NDArray[np.float64]:
    """Return the signed weight of every pair."""
    weights = np.array(_parsed(source, table, "weight", float) if "weight" in table else [1.0] * count)
    least, most = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    positive = "relation" in table
    wrong = ~((weights if positive else np.abs(weights)) >= least) | (np.abs(weights) > most)
    if wrong.any():
        row = int(np.argmax(wrong))
        rule = "above 0, since the relation has the sign" if positive else "other than 0"
        raise GraphError(
            f"{source}: row {row + 1} has the weight {table['weight'][row]!r}", f"Give a finite number {rule}"
        )
    if positive:
        weights *= np.array(_parsed(source, table, "relation", RELATIONS.__getitem__))
    return weights


def _parsed(source: Path, table: Columns, name: str, read: Callable[[Any], Any]) -> list[Any]:
    values = []
    for row, value in enumerate(table[name]):
        try:
            values.append(read(value))
        except (KeyError, TypeError, ValueError) as error:
            raise GraphError(f"{source}: row {row + 1} has the {name} {value!r}", _FORM) from error
    return values


def _whole(value: Any) -> int:
    if isinstance(value, float):
        raise TypeError(f"{value} is no index")
    return int(value)


def _once(
    source: Path,
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    size: int,
) -> npt.NDArray[np.int64]:
    """Return the first row of every pair, in order; rows that contradict an earlier one are refused."""
    keys = np.minimum(left, right) * size + np.maximum(left, right)
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    earlier = first[inverse.reshape(-1)]
    against = np.flatnonzero(weights != weights[earlier])
    if against.size:
        row = int(against[0])
        raise GraphError(
            f"{source}: rows {earlier[row] + 1} and {row + 1} give one pair the weights {weights[earlier[row]]:g} and "
            f"{weights[row]:g}",
            "Remove one of them",
        )
    return np.sort(first)
