"""The folder that a graph is kept in: `indptr.npy`, `indices.npy`, `weights.npy` and `graph.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pal_plugin.arrays import (
    AnyArray,
    checksum,
    nothing_at,
    read_array,
    read_json,
    refuse_altered,
    refuse_foreign_folder,
    write_array,
)
from pal_plugin.errors import GraphError
from pal_plugin.io import atomic_folder, plain

FORMAT = 1
REBUILD = "Build the graph again (pal graph knn --help)"
_ARRAYS = ("indptr", "indices", "weights")


def write(target: Path, arrays: Mapping[str, AnyArray], record: Mapping[str, Any]) -> Path:
    """Write the arrays and the record to a folder, all or nothing, and return it.

    Raises:
        GraphError: the folder holds something other than a graph, or it cannot be written (disk full).
    """
    refuse_foreign_folder(target, "graph.json", GraphError)
    try:
        with atomic_folder(target) as temporary:
            for name in _ARRAYS:
                write_array(temporary / f"{name}.npy", arrays[name])
            crc32 = {name: checksum(temporary / f"{name}.npy") for name in _ARRAYS}
            content = {"format": FORMAT, **record, "crc32": crc32}
            text = json.dumps(content, indent=2, allow_nan=False, default=plain)
            (temporary / "graph.json").write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise GraphError(
            f"The graph cannot be written to {target}: {error}", "Free some space or choose another folder"
        ) from error
    return target


def read(source: Path, *, mmap: bool) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return the arrays by name, memory-mapped where asked, and the record.

    Raises:
        GraphError: there is no graph, or a file is missing, truncated, altered or of another format version.
    """
    if not source.exists():
        raise nothing_at(source, "There is no graph", "*/graph.json", GraphError, "Build one (pal graph knn --help)")
    if not (source / "graph.json").exists():
        raise GraphError(f"{source} is no graph: there is no graph.json in it", REBUILD)
    record = read_json(source / "graph.json", GraphError, REBUILD)
    if record.get("format") != FORMAT:
        raise GraphError(
            f"{source} has the graph format {record.get('format')!r}; this pal_plugin reads format {FORMAT}",
            f"{REBUILD}, or install the version of pal_plugin that wrote it",
        )
    arrays = {name: read_array(source / f"{name}.npy", GraphError, REBUILD, mmap=mmap) for name in _ARRAYS}
    refuse_altered(source, record, GraphError, REBUILD)
    return arrays, record
