"""Picks whose saving was killed between two renames: the old ones or the new are there, and can be gone on from."""

from __future__ import annotations

import runpy
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.cli import main
from pal_plugin.errors import SelectionError
from pal_plugin.selection import Selection

SCRIPT = Path(__file__).with_name("save_process.py")
FIRST, SECOND, THIRD = [5, 3], [7, 1], [9, 2]


def killed(processes: ForkServerContext, path: Path, picks: list[int], renames: int) -> None:
    """Save picks in a process that dies after so many renames."""
    told = {"ARGS": (str(path), picks, renames)}
    process = processes.Process(target=runpy.run_path, args=(str(SCRIPT), told))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("renames", "left"),
    [
        ((0,), FIRST),  # before the JSON waits
        ((1,), FIRST),  # before the CSV is there
        ((2,), SECOND),  # before the JSON is
        ((2, 0), SECOND),  # killed again, before the JSON of the first time is in its place
        ((2, 1), SECOND),
        ((2, 2), SECOND),
        ((2, 3), THIRD),
    ],
)
def test_killed_between_renames_the_same_command_goes_on(
    renames: tuple[int, ...], left: list[int], processes: ForkServerContext, tmp_path: Path
) -> None:
    path = tmp_path / "picks.csv"
    Selection(np.array(FIRST)).save(path)
    for count, picks in zip(renames, (SECOND, THIRD), strict=False):
        killed(processes, path, picks, count)
    assert Selection.load(path).indices.tolist() == left
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(20, 3)))
    again = ["select", "--features", str(tmp_path / "rows.npy"), "--after", str(path), "--out", str(path)]
    assert main([*again, "--budget", "6", "--no-pictures"]) == 0
    assert Selection.load(path).indices[:2].tolist() == left
    names = {file.name for file in tmp_path.iterdir() if file.suffix != ".tmp"}
    assert names == {"picks.csv", "picks.json", "rows.npy"}


def test_killed_when_there_were_no_picks_before(processes: ForkServerContext, tmp_path: Path) -> None:
    path = tmp_path / "picks.csv"
    killed(processes, path, SECOND, 1)
    with pytest.raises(SelectionError, match=r"picks\.csv is missing"):
        Selection.load(path)
    killed(processes, path, SECOND, 2)
    assert Selection.load(path).indices.tolist() == SECOND


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "picks.csv"
    picks = Selection(np.array(FIRST))
    picks.save(path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(TypeError, match="cannot be written as JSON"):
        Selection(np.array(SECOND), selector={"parameters": {"refit": object()}}).save(path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    path.unlink()
    path.mkdir()  # the JSON waits, and no CSV can be put there
    with pytest.raises(OSError, match="directory"):
        Selection(np.array(SECOND)).save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["picks.csv", "picks.json"]
    assert (tmp_path / "picks.json").read_bytes() == before["picks.json"]


@pytest.mark.parametrize("name", ["picks.json", "picks", "picks.txt"])
def test_picks_are_csv(name: str, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match=r"end in \.csv"):
        Selection(np.array(FIRST)).save(tmp_path / name)
    assert not list(tmp_path.iterdir())
