"""Folders of one JSON file and some `.npy` arrays: what graphs and feature stores have in common on disk."""

from __future__ import annotations

import difflib
import json
import math
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import PalError

AnyArray: TypeAlias = npt.NDArray[Any]
# what numpy.load raises on a damaged file: it reads the header as Python, and allocates what the header says
UNREADABLE = (OSError, ValueError, EOFError, SyntaxError, TokenError, OverflowError, MemoryError, RecursionError)


def write_array(path: Path, array: AnyArray) -> None:
    """Write `array` as a version-1 `.npy` file in C order.

    `numpy.save` hands the bytes to the C library and misses the errors of its last flush, so a full disk can leave a
    short file without an exception. A Python file object reports them.

    Raises:
        OSError: the disk is full, or the file cannot be written.
    """
    contiguous = np.ascontiguousarray(array)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(contiguous))
        file.write(contiguous.reshape(-1).view(np.uint8).data)


def read_array(path: Path, error: type[PalError], mend: str, *, mmap: bool = True) -> AnyArray:
    """Read a `.npy` file, memory-mapped and read-only unless `mmap` is false.

    Args:
        path: the file.
        error: the class to raise when there is no such file or it is not a whole array.
        mend: what puts it right.
        mmap: map the file instead of reading it.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except UNREADABLE as cause:
        raise error(f"{path} is missing, truncated or not a NumPy array: {cause}", mend) from cause
    if not isinstance(array, np.ndarray):
        raise error(f"{path} is an archive of arrays, not one array", mend)
    # Not before the file is known to be whole: what does not fit in memory then is no damage, and a MemoryError.
    # A plain view of the map otherwise: indexing numpy.memmap itself is several times slower.
    return np.asarray(array) if mmap else np.array(array)


def checksum(path: Path) -> int:
    """Return the CRC-32 of a file, read block by block: two gigabytes a second."""
    found = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            found = zlib.crc32(block, found)
    return found


def refuse_altered(folder: Path, record: dict[str, Any], error: type[PalError], mend: str) -> None:
    """Raise `error` where an array is not the one that was written: a flipped bit is another value, and a valid one.

    Args:
        folder: of the arrays.
        record: what is known of them; `crc32` has the checksum of each by its name. Folders of before it have none.
        error: the class to raise.
        mend: what puts it right.
    """
    known = record.get("crc32") or {}
    if not isinstance(known, dict):
        raise error(f"What {folder} says of checksums is damaged", mend)
    for name, written in known.items():
        try:
            found = checksum(folder / f"{name}.npy")
        except (OSError, ValueError) as cause:  # no name of a file
            raise error(f"What {folder} says of checksums is damaged: {cause}", mend) from cause
        if found != written:
            raise error(f"{folder / name}.npy is not what was written there: its checksum differs", mend)


def read_json(path: Path, error: type[PalError], mend: str) -> dict[str, Any]:
    """Read a JSON object; anything else raises `error` with the path and `mend`.

    So do NaN and Infinity in it, and numbers that are larger than any float: what reads them would stumble there.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_whole)
    except (OSError, ValueError, RecursionError) as cause:
        raise error(f"{path} is missing or not JSON: {cause}", mend) from cause
    if not isinstance(value, dict):
        raise error(f"{path} holds a JSON {type(value).__name__}, not an object", mend)
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} ({len(text)} characters) is too large")
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


def nothing_at(path: Path, what: str, pattern: str, error: type[PalError], mend: str) -> PalError:
    """Return the error of a path where nothing is, most often a mistyped one.

    Args:
        path: which one.
        what: the sentence up to the path: "There is no graph".
        pattern: what the folder of `path` is searched for, to name the nearest; of `*/graph.json` the folder counts.
        error: the class to make.
        mend: what puts it right where nothing near is meant.
    """
    parts = pattern.count("/")
    beside = {file.parents[parts - 1].name if parts else file.name for file in path.parent.glob(pattern)}
    near = difflib.get_close_matches(path.name, sorted(name for name in beside if not name.startswith(".")))
    return error(f"{what} at {path}", f"Did you mean {' or '.join(near)}? {mend}" if near else mend)


def refuse_foreign_folder(folder: Path, token: str, error: type[PalError]) -> None:
    """Raise `error` when `folder` holds something else: replacing it would delete another's files.

    Args:
        folder: where a graph or a feature store is about to be put.
        token: the file that every such folder has.
        error: the class to raise.
    """
    if folder.is_dir() and (not any(folder.iterdir()) or (folder / token).is_file()):
        return
    if folder.exists():
        raise error(f"{folder} exists and holds other files (no {token})", "Choose a new folder, or remove that one")


def first_bad_row(features: AnyArray) -> int | None:
    """Return the first row that holds a NaN or infinity, or None; reads a memory map block by block."""
    step = max(1, (1 << 22) // max(1, features.shape[1]))
    for start in range(0, len(features), step):
        finite = np.isfinite(features[start : start + step]).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
    return None
