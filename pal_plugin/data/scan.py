"""What image files lie below a folder."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pal_plugin.data.decode import SUFFIXES
from pal_plugin.data.reading import is_folder
from pal_plugin.errors import DataError


def image_files(folder: Path) -> dict[str, Path]:
    """Find the image files below `folder`, in the order of their ids.

    - An id is the file's path relative to `folder`, with `/`, in Unicode's composed form (NFC), so that it is the same
      on every machine. Ids are sorted by code point: `B.jpg` comes before `a.jpg`.
    - A file is an image by its ending, in either case (`SUFFIXES`); how many files of other kinds are left out is said
      once on standard error.
    - Files and folders whose names begin with a dot are no part of a data set and are passed over.
    - Links to files and folders are followed; two links to one file are two samples.
    - Names that differ in case only are two samples.

    Args:
        folder: where to look.

    Returns:
        id → file.

    Raises:
        DataError: `folder` is no folder, cannot be read or has no image; a link leads nowhere, to itself or back into a
            folder that it lies in; a name is not valid Unicode; or two names are the same but for their Unicode form.
    """
    if not is_folder(folder):
        raise DataError(
            f"There is no folder {folder}",
            "Give the folder that holds your images: --root DIR (pal train: data.root=DIR)",
        )
    found: dict[str, Path] = {}
    others: Counter[str] = Counter()
    for path in _files(folder, ()):
        if path.suffix.lower() not in SUFFIXES:
            others[path.suffix.lower() or "no ending"] += 1
            continue
        name = _id(path.relative_to(folder))
        if name in found:
            raise DataError(
                f"{found[name]} and a second file have one name in two Unicode forms", "Rename or remove one of them"
            )
        found[name] = path
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        print(f"{folder}: {others.total()} files are left out, for they are no images ({kinds})", file=sys.stderr)
    if not found:
        raise DataError(
            f"{folder} has no images",
            f"Put some there; they are known by their endings ({', '.join(sorted(SUFFIXES))})",
        )
    return dict(sorted(found.items()))


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Yield the files below `folder`; `above` are the devices and inodes of the folders that it lies in."""
    try:
        status = folder.stat()
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"The folder {folder} cannot be read: {error.strerror}", "Mend its permissions") from error
    here = (status.st_dev, status.st_ino)
    if here in above:
        raise DataError(f"The link {folder} leads back into a folder that it lies in", "Remove the link")
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            is_dir, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # a link to itself, or into a folder that is closed
            raise DataError(
                f"The link {entry.path} cannot be followed: {error.strerror}", "Remove it, or mend what it leads to"
            ) from error
        if is_dir:
            yield from _files(Path(entry.path), (*above, here))
        elif is_file:
            yield Path(entry.path)
        elif entry.is_symlink():
            raise DataError(f"The link {entry.path} leads nowhere", "Remove it, or put back what it leads to")


def _id(relative: Path) -> str:
    name = relative.as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"The file name {name!r} is not valid Unicode", "Rename the file") from error
    return unicodedata.normalize("NFC", name)
