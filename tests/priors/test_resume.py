"""An embedding that is stopped goes on where it was, and never with the rows of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pal_plugin.data.digits import load_digits
from pal_plugin.errors import FeatureError
from pal_plugin.priors import Pixels, embed, load_features, make_prior
from pal_plugin.priors.partial import PartialFeatures

FILES = ("features.npy", "features.json")


class Stopped(Pixels):
    """Pixels that count what they see and are interrupted before their batch number `at`."""

    def __init__(self, at=None, key="stopped"):
        super().__init__()
        self.key = key
        self.at = at
        self.seen = []

    def embed(self, images):
        if len(self.seen) == self.at:
            raise KeyboardInterrupt
        self.seen.append(len(images))
        return super().embed(images)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def digits():
    return load_digits("test")


@pytest.fixture
def stopped(digits, tmp_path):
    """A folder-to-be whose embedding was interrupted before its fourth batch."""
    out = tmp_path / "features"
    with pytest.raises(KeyboardInterrupt):
        embed(digits, Stopped(3), out=out, batch_size=50)
    assert not out.exists()
    return out


def contents(folder):
    return [(folder / name).read_bytes() for name in FILES]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_an_interrupted_embedding_goes_on(digits, stopped, tmp_path):
    after = Stopped()
    embed(digits, after, out=stopped, batch_size=50)
    assert 4 <= len(after.seen) < 8  # of eight batches, the first at least was safe
    assert names(tmp_path) == ["features"]
    assert names(stopped) == sorted(FILES)
    embed(digits, Stopped(), out=tmp_path / "whole", batch_size=50)
    assert contents(stopped) == contents(tmp_path / "whole")


def test_an_interrupted_embedding_goes_on_in_the_cache(digits):
    with pytest.raises(KeyboardInterrupt):
        embed(digits, Stopped(3), batch_size=50)
    after = Stopped()
    store = embed(digits, after, batch_size=50)
    assert len(after.seen) < 8
    assert np.array_equal(store.features, Pixels().embed(digits.images))


def test_what_was_there_stays_until_the_new_is_whole(digits, tmp_path):
    out = tmp_path / "features"
    embed(digits.subset(30, 0), Pixels(), out=out)
    with pytest.raises(KeyboardInterrupt):
        embed(digits, Stopped(3), out=out, batch_size=50)
    assert len(load_features(out).features) == 30
    embed(digits, Stopped(), out=out, batch_size=50)
    assert len(load_features(out, digits.manifest).features) == len(digits)


def test_rows_of_something_else_are_refused(digits, stopped):
    others = {
        "data set": lambda: embed(load_digits("train"), Stopped(), out=stopped, batch_size=50),
        "key": lambda: embed(digits, Stopped(key="other weights"), out=stopped, batch_size=50),
        "batch size": lambda: embed(digits, Stopped(), out=stopped, batch_size=49),
    }
    for what, run in others.items():
        with pytest.raises(FeatureError, match=f"had another {what}") as caught:
            run()
        assert ".features.partial" in caught.value.what
    embed(digits, Stopped(), out=stopped, batch_size=50)  # none of them touched the rows


DAMAGES = {
    "fewer rows than recorded": lambda f: os.truncate(f / "features.npy", 1000),
    "no rows": lambda f: (f / "features.npy").unlink(),
    "no array": lambda f: (f / "features.npy").write_bytes(b"x" * 100_000),
    "rows of another length": lambda f: np.save(f / "features.npy", np.zeros((360, 500), dtype=np.float32)),
    "half a record": lambda f: (f / "partial.json").write_text('{"rows": 1'),
    "a record of nothing": lambda f: (f / "partial.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_rows_are_named(digits, stopped, damage):
    partial = stopped.with_name(".features.partial")
    DAMAGES[damage](partial)
    with pytest.raises(FeatureError, match=f"Delete {partial}"):
        embed(digits, Stopped(), out=stopped, batch_size=50)


def test_rows_beyond_the_record_are_made_again(digits, stopped, tmp_path):
    partial = stopped.with_name(".features.partial")
    record = json.loads((partial / "partial.json").read_text())
    os.truncate(partial / "features.npy", 128 + 4 * 192 * record["rows"])
    with (partial / "features.npy").open("ab") as file:
        file.write(b"\xff" * 1234)  # half a batch, as a kill leaves it
    (partial / ".partial.json.abc.tmp").write_text("{")  # and half a record
    embed(digits, Stopped(), out=stopped, batch_size=50)
    assert names(stopped) == sorted(FILES)
    embed(digits, Stopped(), out=tmp_path / "whole", batch_size=50)
    assert contents(stopped) == contents(tmp_path / "whole")


def test_killed_before_the_first_record(digits, tmp_path):
    partial = tmp_path / ".features.partial"
    partial.mkdir()
    (partial / "features.npy").write_bytes(b"half")
    (partial / ".partial.json.abc.tmp").write_text("{")
    embed(digits, Stopped(), out=tmp_path / "features", batch_size=50)
    assert names(tmp_path / "features") == sorted(FILES)


def test_killed_after_the_last_row(digits, tmp_path):
    prior = Stopped()
    info = {"prior": prior.name, "key": prior.key, "image_shape": [8, 8, 3]}
    made_from = {"data set": digits.manifest.digest, **info, "batch size": 1024}
    PartialFeatures(tmp_path / "features", len(digits), made_from).append(Pixels().embed(digits.images))
    assert names(tmp_path) == [".features.partial"]
    embed(digits, prior, out=tmp_path / "features")
    assert prior.seen == []
    embed(digits, prior, out=tmp_path / "whole")
    assert contents(tmp_path / "features") == contents(tmp_path / "whole")


SLOW = """
import os, time
import numpy as np
def embed(images):
    time.sleep(float(os.environ.get("SLOW_S", "0")))
    with open("seen.txt", "a") as file:
        file.write(f"{len(images)}\\n")
    x = np.asarray(images, dtype=np.float32).reshape(len(images), -1)
    return np.tanh(x @ np.random.default_rng(0).standard_normal((x.shape[1], 7)).astype(np.float32) / 999)
"""


def pal_embed(folder, *more, **environment):
    command = [sys.executable, "-m", "pal_plugin.cli", "embed", "--data", "digits", "--split", "test"]
    command += ["--prior", "python:slow:embed", "--batch-size", "40", "--json", *more]
    # a file and no pipe: what is killed may leave its end of one open
    with (folder / "log.txt").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log)


def seen(folder):
    path = folder / "seen.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def wait_for(condition, process):
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_kill_9_and_the_same_command_again(digits, tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(SLOW)
    out = tmp_path / "features"
    process = pal_embed(tmp_path, "--out", str(out), SLOW_S="0.6")
    wait_for(lambda: len(seen(tmp_path)) >= 5, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    rows = json.loads((tmp_path / ".features.partial" / "partial.json").read_text())["rows"]
    assert 40 <= rows < 360
    before = len(seen(tmp_path))
    process = pal_embed(tmp_path, "--out", str(out))
    assert process.wait(200) == 0, (tmp_path / "log.txt").read_text()
    assert sum(seen(tmp_path)[before:]) == 360 - rows  # no image twice that was safe
    assert names(out) == sorted(FILES)
    assert [n for n in names(tmp_path) if n.startswith(".")] == []
    monkeypatch.chdir(tmp_path)
    embed(digits, make_prior("python:slow:embed"), out=tmp_path / "whole", batch_size=40)
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.slow
def test_of_two_processes_one_waits(digits, tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    both = [pal_embed(tmp_path, SLOW_S="0.5") for _ in range(2)]
    assert [process.wait(200) for process in both] == [0, 0], (tmp_path / "log.txt").read_text()
    assert sum(seen(tmp_path)) == len(digits)
    features = tmp_path / "cache" / "features"
    assert len(names(features)) == 1
    assert len(load_features(next(features.iterdir()), digits.manifest).features) == len(digits)


LIMITED = """
import resource, signal, sys
from pal_plugin.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000,) * 2)
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_keeps_the_rows(digits, tmp_path):
    out = tmp_path / "features"
    arguments = ["embed", "--data", "digits", "--split", "test", "--prior", "pixels", "--batch-size", "50"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *arguments, "--out", str(out)], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 2, done.stderr
    assert "Free some space" in done.stderr
    assert names(tmp_path) == [".features.partial"]
    embed(digits, Pixels(), out=out, batch_size=50)
    embed(digits, Pixels(), out=tmp_path / "whole", batch_size=50)
    assert contents(out) == contents(tmp_path / "whole")


LITTLE_MEMORY = """
import re, resource, sys
from pathlib import Path
import numpy as np
from pal_plugin.data import ImageDataset
from pal_plugin.priors import embed

class Wide:
    name = key = "wide"
    def embed(self, images):
        return np.repeat(images.reshape(len(images), -1).astype(np.float32), 256, axis=1)

count = 20_000
images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
data = ImageDataset("wide", "train", images, np.zeros(count, dtype=np.int64), tuple(map(str, range(count))), ("a",),
                    (0.5,) * 3, (0.5,) * 3)
data.manifest
embed(data.subset(10, 0), Wide(), out=Path(sys.argv[1]) / "warm")
used = int(re.search(r"VmData:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 100_000_000,) * 2)
store = embed(data, Wide(), out=Path(sys.argv[1]) / "features")
print(store.features.nbytes, bool((store.features[-1, ::256] == images[-1].reshape(-1)).all()))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and limits memory as Linux does")
def test_features_larger_than_memory(tmp_path):
    command = [sys.executable, "-c", LITTLE_MEMORY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout.split() == [str(20_000 * 3072 * 4), "True"], done.stderr  # 246 MB with 100 MB to be had
