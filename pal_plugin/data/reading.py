"""Reading what the file system may refuse to show."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from pal_plugin.errors import DataError


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the file system refuses in the block (no permission, a broken disk) into an error that a user can mend.

    Args:
        path: what is read there.

    Raises:
        DataError: an OSError came out of the block.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror or error}",
            "Mend its permissions, and those of the folders that it lies in",
        ) from error


def is_folder(path: Path) -> bool:
    """Return whether there is a folder at `path`.

    Raises:
        DataError: the folders that it lies in do not let it be seen.
    """
    with reading(path):
        return path.is_dir()
