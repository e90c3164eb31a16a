"""SIGKILL at random moments of every command that works for a while: the same command again ends as if undisturbed.

`--kills N` sets how often each is killed (twenty for a thorough look), `--kill-seed S` when; a failing test says both.
`pal data get` is killed in `data/test_fetch.py`, whose files come from a server of its own.
"""

from __future__ import annotations

import json
import random
import runpy
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

SCRIPT = Path(__file__).with_name("command_process.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def arrays(folder: Path) -> Any:
    return {file.name: np.load(file).tobytes() for file in sorted(folder.glob("*.npy"))}


def weights(file: Path) -> Any:
    state = torch.load(file, weights_only=True)["state_dict"]
    return {name: value.numpy().tobytes() for name, value in state.items()}


def figures(file: Path) -> Any:
    """What was measured: without how long it took."""
    return json.loads(file.read_text()).get("knn")


def answers(file: Path) -> Any:
    from pal_plugin.oracle.store import RelationStore

    with RelationStore.open(file) as store:
        entries = store.questions()
    return [
        (entry.question.i.tolist(), entry.question.j.tolist(), np.asarray(entry.relations).tolist())
        for entry in entries
    ]


# a command, what it writes, and how that is read
PHOTOS = "--data folder --root photos --option labelled=false"
WORK: dict[str, tuple[str, str, Callable[[Path], Any]]] = {
    "data": ("data show folder --root photos --option labelled=false --out look", "look/data.png", Path.read_bytes),
    "embed": (
        f"embed {PHOTOS} --prior hog --out features",
        "features",
        arrays,
    ),
    "graph": ("graph knn --features rows.npy --k 20 --out graph", "graph", arrays),
    "select": (
        "select --features rows.npy --method kcenter --budget 2000 --out picks.csv",
        "picks.csv",
        Path.read_bytes,
    ),
    "train": ("train --config-name gps_simclr profile=debug run_dir=run resume=auto", "run/model.ckpt", weights),
    "eval": ("eval knn --checkpoint done/model.ckpt --out eval.json", "eval.json", figures),
    "oracle": (
        "oracle run --data digits --store told.db --budget 99 --strategy random --no-train",
        "told.db",
        answers,
    ),
}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands read."""
    from PIL import Image

    from pal_plugin.cli import main

    folder = tmp_path_factory.mktemp("given")
    drawn = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for number in range(400):
        Image.fromarray(drawn.integers(0, 256, (48, 48, 3), dtype=np.uint8)).save(folder / f"photos/{number:03d}.png")
    np.save(folder / "rows.npy", drawn.normal(size=(6000, 64)).astype(np.float32))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", "--config-name", "gps_simclr", "profile=debug", "run_dir=done"]) == 0
    return folder


@pytest.fixture
def run(processes: ForkServerContext, given: Path, tmp_path: Path) -> Callable[..., tuple[int, float]]:
    def started(name: str, command: str, kill_after: float | None = None) -> tuple[int, float]:
        """Run a command in the folder `name`; return its exit status and seconds."""
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(given, folder)
        told = {"ARGS": command.split(), "FOLDER": folder, "CACHE": folder / "cache"}
        process = processes.Process(target=runpy.run_path, args=(str(SCRIPT), told))
        process.start()  # the first one waits for the forkserver's imports, which are no part of its work
        begun = time.monotonic()
        process.join(300 if kill_after is None else kill_after)
        if process.is_alive():
            process.kill()
            process.join()
        assert process.exitcode is not None
        return process.exitcode, time.monotonic() - begun

    return started


@pytest.mark.parametrize("work", WORK)
def test_killed_at_any_moment_it_ends_the_same(
    work: str, run: Callable[..., tuple[int, float]], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    command, written, read = WORK[work]
    kills, seed = pytestconfig.getoption("--kills"), pytestconfig.getoption("--kill-seed")
    status, took = run("whole", command)
    assert status == 0
    expected = read(tmp_path / "whole" / written)
    assert expected
    moments = random.Random(f"{work} {seed}")
    for kill in range(kills):
        name = f"killed-{kill}"
        # The first kill, CI's only one, meets the work: neither what comes before it nor the interpreter's end.
        moment = took * (moments.random() if kill else moments.uniform(0.25, 0.75))
        while (status := run(name, command, kill_after=moment)[0]) != -signal.SIGKILL:
            assert status == 0, f"kill {kill} of seed {seed}"  # it ended before, on a quieter machine
            shutil.rmtree(tmp_path / name)
            moment /= 2
        assert run(name, command)[0] == 0, f"kill {kill} of seed {seed}"
        assert read(tmp_path / name / written) == expected, f"kill {kill} of seed {seed}"
        left = [path.name for path in (tmp_path / name).rglob("*") if path.suffix in (".tmp", ".old")]
        assert len(left) <= 1, left  # what was being written when it died, a file or a folder, and no more
        shutil.rmtree(tmp_path / name)
