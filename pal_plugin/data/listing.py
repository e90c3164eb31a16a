"""Data sets that come as lists of image files: tables in plain text, and whether the files are there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.lazy import FileImages, Rows, row_numbers
from pal_plugin.data.reading import is_folder, reading
from pal_plugin.errors import DataError

_DIGITS = 18  # every number of so many fits an int64


def table(path: Path, columns: int, mend: str) -> list[tuple[str, ...]]:
    """Read a file of whitespace-separated columns; empty lines are passed over.

    Args:
        path: the file.
        columns: how many every line has.
        mend: what the user can do about a file that is missing or damaged.

    Raises:
        DataError: it cannot be read, is empty, or a line has another number of columns; the line is named.
    """
    rows = [tuple(line.split()) for line in text_lines(path, mend)]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise DataError(f"Line {number} of {path} has {len(row)} columns, and {columns} are expected", mend)
    return rows


def text_lines(path: Path, mend: str) -> list[str]:
    """Return the lines of a text file that are not empty; arguments and errors as in `table`."""
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DataError(f"{path} cannot be read: {reason}", mend) from error
    if not lines:
        raise DataError(f"{path} is empty", mend)
    return lines


def numbers(column: Sequence[str], path: Path, mend: str) -> NDArray[np.int64]:
    """Return a column of a table as integers, 0 or more.

    Raises:
        DataError: an entry is none, or has too many digits for an int64.
    """
    for entry in column:
        if not (entry.isascii() and entry.isdigit() and len(entry.lstrip("0")) <= _DIGITS):
            raise DataError(
                f"{path} has {entry!r} where a number of 0 or more and at most {_DIGITS} digits is expected", mend
            )
    return np.array([int(entry) for entry in column], np.int64)


def check_named(files: Sequence[str], named: Collection[str], path: Path, mend: str) -> None:
    """Refuse a list, `path`, that does not name every one of `files`.

    Raises:
        DataError: the first that it does not name.
    """
    for file in files:
        if file not in named:
            raise DataError(f"{path} does not name the image {file}", mend)


def check_present(paths: Sequence[Path], what: str, mend: str) -> None:
    """Refuse a data set of which images are missing; every folder is listed once, for they may be a million.

    Args:
        paths: of the images.
        what: the data set's name in the message.
        mend: what the user can do about it.

    Raises:
        DataError: the first one that is missing, and how many are; or a folder cannot be read.
    """
    present = {folder: _entries(folder) for folder in {path.parent for path in paths}}
    missing = [path for path in paths if path.name not in present[path.parent]]
    if missing:
        raise DataError(
            f"{what} is incomplete: {len(missing)} of {len(paths)} images are missing, {missing[0]} first", mend
        )


def _entries(folder: Path) -> set[str]:
    if not is_folder(folder):
        return set()
    with reading(folder):
        return {entry.name for entry in os.scandir(folder)}


class SizedImages(FileImages):
    """Image files that a manifest knows by their sizes, beside their ids: a terabyte is not read to be recognised."""

    def content(self) -> str:
        """SHA-256 over the files' sizes in bytes, in order.

        Raises:
            DataError: a file is not there any more.
        """
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                digest.update(path.stat().st_size.to_bytes(8, "little"))
            except OSError as error:
                raise DataError(f"The file {path} cannot be read: {error.strerror}", "Put it back") from error
        return digest.hexdigest()

    def subset(self, rows: Rows) -> SizedImages:
        """Return the files `rows`."""
        return SizedImages([self.paths[row] for row in row_numbers(rows, len(self))])
