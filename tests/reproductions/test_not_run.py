"""A machine that lacks something leaves its cells empty, and the report says why."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pal_plugin.errors import DataError
from reproductions import not_run
from reproductions.reporting.__main__ import write
from reproductions.stage import run

ROOT = Path(__file__).parents[2]
PAPER_RUN = "reproductions.gps_ssl.pretrain --profile paper --method simclr --augmentation flip_only --arm gps --seed 0"
REASON = "The profile paper is made for a GPU, and there is none"


def stage(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PAL_CACHE": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_papers_profile_is_not_run(tmp_path: Path) -> None:
    ended = stage(PAPER_RUN, tmp_path)
    assert ended.returncode == 2
    assert REASON in ended.stderr
    assert ended.stderr.count("\n") == 1
    kept = tmp_path / "reproductions/results/paper/not_run.json"
    assert json.loads(kept.read_text()) == {f"python -m {PAPER_RUN}": REASON}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


@pytest.mark.slow
def test_a_stage_that_has_run_by_now_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = "reproductions.gps_ssl.data --profile debug"
    not_run.remember("debug", f"python -m {command}", "There was no such data set")
    not_run.remember("debug", "python -m reproductions.pal.images --profile debug", "Another reason")
    assert stage(command, tmp_path).returncode == 0
    assert not_run.reasons("debug", "gps_ssl") == {}
    assert not_run.reasons("debug", "pal") == {"Another reason": 1}
    not_run.forget("debug", "python -m reproductions.pal.images --profile debug")
    assert not not_run.file("debug").exists()


def test_a_data_set_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(profile: str) -> None:
        """Read what is not there."""
        raise DataError(f"There is no data set for {profile}", "Get it")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage", "--profile", "cpu"])
    with pytest.raises(SystemExit, match="2"):
        run(absent, "profile", trains=True)
    assert list(json.loads(not_run.file("cpu").read_text()).values()) == ["There is no data set for cpu"]


def test_the_report_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    not_run.remember("paper", f"python -m {PAPER_RUN}", REASON)
    text = write(Path("report")).with_name("README.md").read_text()
    assert f"| [GPS-SSL](#gps-ssl) | not run | not run | not run: {REASON} |" in text
    assert "| [PAL](#pal) | not run | not run | not run |" in text
    shutil.rmtree("reproductions")
    assert REASON not in write(Path("report")).with_name("README.md").read_text()


def test_the_report_says_what_is_missing_of_a_paper_that_ran_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "reproductions/results/paper/pal", "reproductions/results/paper/pal")
    for seed in (0, 1):
        not_run.remember("paper", f"python -m reproductions.pal.images --profile paper --seed {seed}", REASON)
    text = write(Path("report")).with_name("README.md").read_text()
    assert f"; 2 stages not run: {REASON} |" in next(line for line in text.splitlines() if line.startswith("| [PAL]"))
    assert f"| paper | 5; 2 stages not run: {REASON} |" in text


@pytest.mark.parametrize(
    "command",
    [
        "pal.images --profile smoke --cell simclr-0.01-0 --seed 0",
        "pal.oracle --profile smoke --cell foo-0 --seed 0",
        "adassl.noisy --profile smoke --cell v-0.1 --seed 0",
        "gps_ssl.ablation --profile smoke --graph lite0 --seed 0",
        "zero_shot_al.order --profile smoke --features none --arm kcenter --seed 0",
    ],
)
def test_a_name_in_the_parameters_that_nothing_has(command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *f"reproductions.{command}".split()], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Nothing is called" in done.stderr
    assert "Traceback" not in done.stderr
