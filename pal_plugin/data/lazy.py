"""Images that stay where they are until a batch asks for them, and may differ in size."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.decode import decode_image
from pal_plugin.errors import DataError, ImageError
from pal_plugin.progress import progress

Rows: TypeAlias = "slice | Sequence[int] | NDArray[np.integer[Any]] | NDArray[np.bool_]"


@runtime_checkable
class LazyImages(Protocol):
    """N images outside memory.

    An implementation can be pickled, since data workers get a copy, and opens files in the process that reads them.
    """

    def __len__(self) -> int:
        """How many images there are."""

    def __getitem__(self, rows: Rows) -> Sequence[NDArray[np.uint8]]:
        """Return the images `rows`, each (H_i, W_i, 3) uint8; one (B, H, W, 3) array where all are alike is fine.

        Raises:
            DataError: an image cannot be read or decoded; the message names it.
        """

    def content(self) -> str:
        """SHA-256, in hexadecimal, of the samples as they are stored, in order; computed once."""

    def subset(self, rows: Rows) -> LazyImages:
        """Return the images `rows`, as lazy as before."""


def row_numbers(rows: Rows, count: int) -> NDArray[np.int64]:
    """Turn what an array of `count` rows could be indexed by (numbers, a slice, a mask) into row numbers from 0.

    Raises:
        IndexError: there is no such row, a mask has another length, or these are no whole numbers.
    """
    if isinstance(rows, slice):
        return np.arange(*rows.indices(count))
    given = np.asarray(rows)
    if given.dtype == np.bool_:
        if given.shape != (count,):
            raise IndexError(f"a mask of shape {given.shape} was given for {count} rows")
        return np.flatnonzero(given)
    if given.size and given.dtype.kind not in "iu":  # an empty list is float64
        raise IndexError(f"rows are given as {given.dtype}, and not as whole numbers")
    if given.size and not -count <= int(given.min()) <= int(given.max()) < count:
        raise IndexError(f"rows from {given.min()} to {given.max()} were asked for, and there are {count}")
    numbers: NDArray[np.int64] = given.astype(np.int64)
    return np.where(numbers < 0, numbers + count, numbers)


class FileImages:
    """Image files, decoded whenever they are asked for.

    Args:
        paths: one file an image.
        decode: from a file's bytes and its name to (H, W, 3) uint8.
    """

    def __init__(self, paths: Sequence[Path], decode: Callable[[bytes, str], NDArray[np.uint8]] = decode_image) -> None:
        self._paths = tuple(paths)
        self._decode = decode

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files, in order."""
        return self._paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, rows: Rows) -> list[NDArray[np.uint8]]:
        """Return the images `rows`, each (H_i, W_i, 3) uint8.

        Raises:
            ImageError: a file cannot be decoded.
            DataError: a file cannot be read.
        """
        paths = [self._paths[row] for row in row_numbers(rows, len(self))]
        return [self._decode(read_bytes(path), str(path)) for path in paths]

    def content(self) -> str:
        """SHA-256 over the SHA-256 of every file's bytes, in order."""
        return self._content

    def subset(self, rows: Rows) -> FileImages:
        """Return the files `rows`."""
        return FileImages([self._paths[row] for row in row_numbers(rows, len(self))], self._decode)

    @functools.cached_property
    def _content(self) -> str:
        digest = hashlib.sha256()
        for path in progress(self._paths, "files hashed"):
            digest.update(hashlib.sha256(read_bytes(path)).digest())
        return digest.hexdigest()


def undecodable(images: LazyImages) -> dict[int, ImageError]:
    """Decode every image; return the row of each one that cannot be decoded, with the error that says why.

    Raises:
        DataError: an image cannot be read at all.
    """
    bad = {}
    for row in progress(range(len(images)), "images decoded"):
        try:
            images[[row]]
        except ImageError as error:
            bad[row] = error
    return bad


def read_bytes(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"The file {path} cannot be read: {error.strerror or error}",
            "Put it back, or mend its permissions; it was there when the data set was listed",
        ) from error
