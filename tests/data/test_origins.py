"""Single files from a real web server's mirrors, and a Debian package from a real archive by the real apt."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pal_plugin.data.fetch import Release, fetch
from pal_plugin.data.origins import DebianPackage, OfficialFiles
from pal_plugin.errors import ChecksumError, DataError


def release_of(origin, files: dict[str, bytes]) -> Release:
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    return Release("Toy", "toy", "Toy/raw", sums, (origin,), also=("usr/share/datasets/pal-toy",))


FILES = {"one-ubyte": b"1" * 5000, "two-ubyte": b"2" * 300}


def test_single_files_come_from_the_first_mirror_that_has_the_published_ones(tmp_path, served):
    for mirror in ("good", "stale", "broken"):
        (tmp_path / mirror).mkdir()
        for name, content in FILES.items():
            (tmp_path / mirror / f"{name}.gz").write_bytes(gzip.compress(content))
    (tmp_path / "stale" / "two-ubyte.gz").write_bytes(gzip.compress(b"an older one"))
    (tmp_path / "broken" / "one-ubyte.gz").write_bytes(b"<html>Please log in</html>")
    mirrors = tuple(f"{served}/{mirror}" for mirror in ("absent", "broken", "stale", "good"))
    assert fetch(release_of(OfficialFiles(mirrors), FILES), tmp_path / "root") == tmp_path / "root" / "Toy" / "raw"
    for name, content in FILES.items():
        assert (tmp_path / "root" / "Toy" / "raw" / name).read_bytes() == content
    bad = release_of(OfficialFiles((mirrors[0], mirrors[2])), FILES)
    with pytest.raises(ChecksumError) as caught:
        fetch(bad, tmp_path / "other")
    for part in (
        r"absent/two-ubyte.gz cannot be downloaded",
        "stale/two-ubyte.gz is not the published file",
        "Toy/raw;",
    ):
        assert part in str(caught.value)
    assert list((tmp_path / "other").iterdir()) == []


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """A folder that the real apt takes for its only archive; it has the package pal-toy."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("there is no apt-get or dpkg-deb on the PATH")
    archive, state = tmp_path / "archive", tmp_path / "apt"
    content = tmp_path / "pal-toy"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "usr/share/datasets/pal-toy").mkdir(parents=True)
    for name, data in FILES.items():
        (content / "usr/share/datasets/pal-toy" / f"{name}.gz").write_bytes(gzip.compress(data))
    control = (
        "Package: pal-toy\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: toy\n"
    )
    (content / "DEBIAN" / "control").write_text(control)
    archive.mkdir()
    package = archive / "pal-toy_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", content, package], check=True, capture_output=True)
    describe(package, control)
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    settings = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
    }
    (state / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    monkeypatch.setenv("APT_CONFIG", str(state / "apt.conf"))
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    return archive


def describe(package: Path, control: str) -> None:
    """Write the index of an archive with one package."""
    content = package.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    entry = f"{control}Filename: ./{package.name}\nSize: {len(content)}\nSHA256: {digest}\n"
    (package.parent / "Packages").write_text(entry)


TOY = DebianPackage("pal-toy", "usr/share/datasets/pal-toy")


def test_a_debian_package_is_downloaded_and_unpacked_but_not_installed(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fetch(release_of(TOY, FILES), Path("root"), "debian")  # relative: apt and dpkg-deb run in a folder below it
    root = tmp_path / "root"
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == [
        "Toy/raw/one-ubyte",
        "Toy/raw/two-ubyte",
    ]
    assert (root / "Toy" / "raw" / "one-ubyte").read_bytes() == FILES["one-ubyte"]
    assert not Path("/usr/share/datasets/pal-toy").exists()


def test_a_debian_package_with_other_content_or_none(repository, tmp_path, monkeypatch):
    root = tmp_path / "root"
    with pytest.raises(ChecksumError, match="two-ubyte in the Debian package pal-toy is not the published file"):
        fetch(release_of(TOY, {**FILES, "two-ubyte": b"newer"}), root)
    with pytest.raises(DataError, match="Toy is incomplete: the Debian package pal-toy has no three-ubyte"):
        fetch(release_of(TOY, {**FILES, "three-ubyte": b"3"}), root)
    gone = dataclasses.replace(TOY, package="pal-no-such-package")
    with pytest.raises(DataError, match=r"apt could not fetch the package pal-no-such-package .*put the files"):
        fetch(release_of(gone, FILES), root)
    package = repository / "pal-toy_1_all.deb"
    package.write_bytes(package.read_bytes()[:-40])
    with pytest.raises(DataError, match="apt could not fetch the package pal-toy"):
        fetch(release_of(TOY, FILES), root)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DataError, match="apt is not installed"):
        fetch(release_of(TOY, FILES), root)
    assert list(root.iterdir()) == []
