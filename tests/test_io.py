"""A crash, a full disk or a kill leaves the old content or the new, never half of it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pal_plugin.io import atomic_folder, atomic_path, cache_folder, write_json


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_new_file_in_a_new_folder(tmp_path):
    with atomic_path(tmp_path / "a" / "b.txt") as temporary:
        temporary.write_text("x")
        assert not (tmp_path / "a" / "b.txt").exists()
    assert (tmp_path / "a" / "b.txt").read_text() == "x"
    assert names(tmp_path / "a") == ["b.txt"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "plain").write_text("")
    (tmp_path / "plain_folder").mkdir()
    write_json(tmp_path / "ours", 1)
    with atomic_folder(tmp_path / "ours_folder"):
        pass
    for ours, plain in (("ours", "plain"), ("ours_folder", "plain_folder")):
        assert (tmp_path / ours).stat().st_mode == (tmp_path / plain).stat().st_mode


@pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()])
def test_failure_in_the_block_keeps_the_old(tmp_path, error):
    (tmp_path / "f").write_text("old")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "part").write_text("old")

    def interrupted(opener, target, part):
        with opener(target) as temporary:
            (temporary / part).write_text("half")
            raise error

    for opener, name, part in ((atomic_path, "f", ""), (atomic_folder, "d", "part")):
        with pytest.raises(type(error)):
            interrupted(opener, tmp_path / name, part)
    assert (tmp_path / "f").read_text() == "old"
    assert (tmp_path / "d" / "part").read_text() == "old"
    assert names(tmp_path) == ["d", "f"]


def test_failing_rename_keeps_the_old(tmp_path, monkeypatch):
    write_json(tmp_path / "f.json", "old")
    with atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("old")

    def refuse(*args, **kwargs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        write_json(tmp_path / "f.json", "new")
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("new")
    assert json.loads((tmp_path / "f.json").read_text()) == "old"
    assert (tmp_path / "d" / "part").read_text() == "old"
    assert names(tmp_path) == ["d", "f.json"]


def test_second_rename_of_a_folder_failing_keeps_the_old(tmp_path, monkeypatch):
    """The old folder is already moved aside at that moment: it has to come back."""
    with atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("old")
    calls = []
    real = Path.replace

    def second_fails(self, target):
        calls.append(target)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", second_fails)
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("new")
    assert (tmp_path / "d" / "part").read_text() == "old"
    assert names(tmp_path) == ["d"]


def test_folder_is_replaced_whole(tmp_path):
    for files in (["a", "b"], ["c"]):
        with atomic_folder(tmp_path / "d") as temporary:
            for file in files:
                (temporary / file).write_text(file)
    assert names(tmp_path / "d") == ["c"]
    assert names(tmp_path) == ["d"]


def test_json_that_no_parser_reads_is_refused(tmp_path):
    write_json(tmp_path / "f.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "f.json", {"a": float("nan")})
    assert json.loads((tmp_path / "f.json").read_text()) == {"a": 1}
    assert (tmp_path / "f.json").read_text().endswith("}\n")


WRITER = """
import sys, time
from pathlib import Path
from pal_plugin.io import atomic_path, atomic_folder
target = Path(sys.argv[2])
with (atomic_path if sys.argv[1] == "file" else atomic_folder)(target) as temporary:
    with open(temporary if sys.argv[1] == "file" else temporary / "part", "w") as file:
        file.write("half")
        file.flush()
        print("writing", flush=True)
        time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_sigkill_in_the_middle_of_a_write(tmp_path, kind):
    target = tmp_path / "target"
    if kind == "file":
        target.write_text("old")
    else:
        target.mkdir()
        (target / "part").write_text("old")
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, kind, str(target)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(signal.SIGKILL)
    assert (target if kind == "file" else target / "part").read_text() == "old"
    write_json(tmp_path / "target2", 1)  # what the killed writer left does not stand in the way
    leftovers = [p for p in tmp_path.iterdir() if p.name not in ("target", "target2")]
    assert all(p.name.startswith(".target.") and p.name.endswith(".tmp") for p in leftovers)


def test_folders_of_killed_writers_go_after_a_day(tmp_path):
    """One that is written to now, or that another target's writer left, is let alone."""
    for name in (".d.abcdefgh.tmp", ".d.abcd_123.old", ".d.rewritin.tmp", ".d.e.abcdefgh.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text("half")
        for path in (tmp_path / name / "part", tmp_path / name):
            os.utime(path, (time.time() - 90_000,) * 2)
    os.utime(tmp_path / ".d.rewritin.tmp" / "part")
    (tmp_path / ".d.newcomer.tmp").mkdir()
    with atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("whole")
    assert names(tmp_path) == [".d.e.abcdefgh.tmp", ".d.newcomer.tmp", ".d.rewritin.tmp", "d"]


def test_files_of_killed_writers_go_after_a_day(tmp_path):
    """One that is written to now, that another target's writer left, or of a name not of ours, is let alone."""
    for name in (".f.abcdefgh.tmp", ".f.abcd_123.old", ".f.json.abcdefgh.tmp", ".f.abc.tmp", ".f.abcdefgh.txt"):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - 90_000,) * 2)
    (tmp_path / ".f.newcomer.tmp").write_text("half")
    with atomic_path(tmp_path / "f") as temporary:
        temporary.write_text("whole")
    left = [".f.abc.tmp", ".f.abcd_123.old", ".f.abcdefgh.txt", ".f.json.abcdefgh.tmp", ".f.newcomer.tmp", "f"]
    assert names(tmp_path) == left


def test_killed_at_any_moment_the_file_is_whole(tmp_path):
    """A writer that replaces a file in a loop is killed at five odd moments."""
    loop = (
        "import sys\nfrom pal_plugin.io import write_json\nn = 0\n"
        "while True:\n    n += 1\n    write_json(sys.argv[1], [n] * 20000)\n"
    )
    target = tmp_path / "f.json"
    for attempt in range(5):
        with subprocess.Popen([sys.executable, "-c", loop, str(target)]) as process:
            deadline = time.monotonic() + 30
            while not target.exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.05 + 0.037 * attempt)
            process.send_signal(signal.SIGKILL)
        values = json.loads(target.read_text())
        assert len(values) == 20000
        assert len(set(values)) == 1


def test_file_size_limit(tmp_path):
    """What a full disk does: the write fails in the middle, the old file stays, nothing else is left."""
    (tmp_path / "f.json").write_text("1\n")
    code = (
        "import sys\nfrom pal_plugin.io import write_json\n"
        "try:\n    write_json(sys.argv[1], list(range(100000)))\nexcept OSError as error:\n    print(error.errno)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "f.json")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "27"  # EFBIG
    assert (tmp_path / "f.json").read_text() == "1\n"
    assert names(tmp_path) == ["f.json"]


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("PAL_CACHE")
    assert cache_folder() == Path.home() / ".cache" / "pal_plugin"


def test_another_writer_in_the_place_leaves_nothing_aside(tmp_path, monkeypatch):
    """Between the two renames another process puts its own folder there: that stays, and the old one is gone."""
    with atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("old")
    calls = []
    real = Path.replace

    def other_first(self, target):
        calls.append(target)
        if len(calls) == 2:
            (tmp_path / "d").mkdir()
            (tmp_path / "d" / "part").write_text("theirs")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", other_first)
    with pytest.raises(OSError, match="not empty"), atomic_folder(tmp_path / "d") as temporary:
        (temporary / "part").write_text("ours")
    assert (tmp_path / "d" / "part").read_text() == "theirs"
    assert names(tmp_path) == ["d"]


ALONE = """
import sys, time
from pathlib import Path
from pal_plugin.io import alone
target = Path(sys.argv[1])
with alone(target, "busy"):
    assert not target.exists()
    target.touch()
    time.sleep(0.2)
    target.unlink()
"""


def test_of_several_processes_one_is_alone(tmp_path):
    several = [subprocess.Popen([sys.executable, "-c", ALONE, str(tmp_path / "new" / "x")]) for _ in range(3)]
    assert [process.wait(60) for process in several] == [0, 0, 0]
    assert names(tmp_path / "new") == []
