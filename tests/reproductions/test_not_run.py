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
from reproductions.stage import NO_GPU, run

ROOT = Path(__file__).parents[2]
PAPER_RUN = "reproductions.gps_ssl.pretrain --profile paper --method simclr --augmentation flip_only --arm gps --seed 0"
WITHIN = f"{NO_GPU[0].lower()}{NO_GPU[1:]}"  # as the report says it
TOY = """
from pathlib import Path
from pal_plugin.errors import DataError
from reproductions.stage import run

def main(profile: str, seed: int) -> None:
    'Needs a file.'
    if not Path("data").exists():
        raise DataError("There is no data set here. It is a long story", "Get it")
    Path(f"out-{seed}").write_text("")

run(main, "profile", "seed")
"""
CELLS = """
stages:
  cell:
    matrix: {seed: [0, 1]}
    cmd: python -m toy --profile debug --seed ${item.seed}
    outs: ["out-${item.seed}"]
  report:
    cmd: cat reproductions/results/debug/not_run.json > said || echo all run > said
    deps: [out-0, out-1]
    outs: [said]
"""


def stage(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return said(f"python -m {command}", folder)


def said(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PAL_CACHE": str(folder / "cache")}
    return subprocess.run(
        command.split(),
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
    assert NO_GPU in ended.stderr
    assert ended.stderr.count("\n") == 1
    kept = tmp_path / "reproductions/results/paper/not_run.json"
    assert json.loads(kept.read_text()) == {"gps_ssl.pretrain": NO_GPU}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


@pytest.mark.slow
def test_a_stage_that_has_run_by_now_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    not_run.remember("debug", "gps_ssl.data", "There was no such data set")
    not_run.remember("debug", "pal.images", "Another reason")
    assert stage("reproductions.gps_ssl.data --profile debug", tmp_path).returncode == 0
    assert not_run.reasons("debug", "gps_ssl") == []
    assert not_run.reasons("debug", "pal") == ["another reason"]
    not_run.forget("debug", "pal.images")
    assert not not_run.file("debug").exists()


@pytest.mark.slow
def test_a_cell_run_by_hand_leaves_no_note_once_the_pipeline_has_run_others(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text(TOY)
    (tmp_path / "dvc.yaml").write_text(CELLS)
    for command in ("git init -q", "dvc init -q"):
        assert said(command, tmp_path).returncode == 0
    note = tmp_path / not_run.file("debug")
    assert stage("toy --profile debug --seed 7", tmp_path).returncode == 2  # no cell of the pipeline
    assert said("dvc repro --keep-going", tmp_path).returncode != 0
    assert json.loads(note.read_text()) == {"toy": "There is no data set here"}
    assert not (tmp_path / "said").exists()  # DVC leaves the report out: `pal report` is to be called
    (tmp_path / "data").touch()
    done = said("dvc repro --keep-going", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not note.exists()
    assert (tmp_path / "said").read_text() == "all run\n"


def test_what_is_there_by_now_is_lacking_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that the pipeline has none of keeps no note that the run of another kind has shown to be untrue."""
    monkeypatch.chdir(tmp_path)
    for kind, reason in {"gps_ssl.pretrain": NO_GPU, "adassl.noisy": NO_GPU, "pal.images": "No images"}.items():
        not_run.remember("paper", kind, reason)
    not_run.forget("paper", "gps_ssl.pretrain")
    assert json.loads(not_run.file("paper").read_text()) == {"pal.images": "No images"}
    not_run.remember("paper", "adassl.noisy", NO_GPU)
    not_run.forget("paper", "zero_shot_al.order", NO_GPU)  # of which nothing was noted
    assert json.loads(not_run.file("paper").read_text()) == {"pal.images": "No images"}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_with_a_gpu_no_note_says_that_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(profile: str) -> None:
        """Train."""

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage", "--profile", "paper"])
    not_run.remember("paper", "adassl.noisy", NO_GPU)
    with pytest.raises(SystemExit, match="0"):
        run(trained, "profile", trains=True)
    assert not not_run.file("paper").exists()


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("CIFAR-10 is not in 2.5 places. Nor is it elsewhere.", "CIFAR-10 is not in 2.5 places"),
        ("There is\nno data set.", "there is no data set"),
        ("A file of a data set " + "is broken " * 50, "a file of a data set " + "is broken " * 9 + "is …"),
    ],
)
def test_a_reason_fits_a_cell(reason: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    not_run.remember("cpu", "pal.images", reason)
    assert not_run.reasons("cpu", "pal") == [kept]


def test_a_data_set_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(profile: str) -> None:
        """Read what is not there."""
        raise DataError(f"There is no data set for {profile}", "Get it")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage", "--profile", "cpu"])
    with pytest.raises(SystemExit, match="2"):
        run(absent, "profile", trains=True)
    assert list(json.loads(not_run.file("cpu").read_text()).values()) == ["There is no data set for cpu"]


def overview(text: str, paper: str) -> str:
    """Return a paper's first line of the report's first table."""
    return next(line for line in text.splitlines() if line.startswith(f"| [{paper}]"))


def test_the_report_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    not_run.remember("paper", "gps_ssl.pretrain", NO_GPU)
    text = write(Path("report")).with_name("README.md").read_text()
    assert f" | not run | not run | not run: {WITHIN} |" in overview(text, "GPS-SSL")
    assert overview(text, "PAL").endswith(" | not run | not run | not run |")
    shutil.rmtree("reproductions")
    assert WITHIN not in write(Path("report")).with_name("README.md").read_text()


def test_the_report_says_what_is_missing_of_a_paper_that_ran_in_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "reproductions/results/paper/pal", "reproductions/results/paper/pal")
    for kind in ("pal.images", "pal.oracle"):
        not_run.remember("paper", kind, NO_GPU)
    text = write(Path("report")).with_name("README.md").read_text()
    assert f"| paper | 5; some stages not run: {WITHIN} |" in text


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
