"""The main command is timed in a clone of what was committed, with caches of its own, by a small pipeline of DVC's."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reproductions.reporting.cost import whole_run

ROOT = Path(__file__).parents[2]
PIPELINE = """
stages:
  caches:
    cmd: echo $PAL_CACHE $UV_PROJECT_ENVIRONMENT $UV_CACHE_DIR > caches
    outs: [caches]
  other:
    cmd: cat caches kept > other
    deps: [caches, kept]
    outs: [other]
"""
pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "kept").write_text("committed\n")
    said("git init -q", folder)
    said("dvc init -q", folder)
    said("git add -A", folder)
    said("git -c user.name=t -c user.email=t@example.org commit -qm start", folder)
    return folder


def said(command: str, folder: Path, status: int = 0) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "PAL_CACHE": "that of the user"}
    done = subprocess.run(shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def whole(options: str, folder: Path, status: int = 0) -> str:
    return said(f"python -m reproductions.whole {options}", folder, status)


def test_a_whole_run_is_timed_in_a_clone_of_its_own(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository / "kept").write_text("changed since\n")
    shown = whole(f"--keep {tmp_path / 'clone'} --command 'dvc repro'", repository)
    assert "Running stage 'other'" in shown
    written = json.loads((repository / "reproductions/results/smoke/whole.json").read_text())
    assert written["measured"] == "dvc repro"
    assert written["stages_run"] == 2
    assert 0 < written["setup_s"] < written["wall_s"]
    assert written["commit"] == said("git rev-parse --short=12 HEAD", repository).strip()
    *caches, state = (tmp_path / "clone" / "other").read_text().split()
    assert state == "committed"
    assert len(caches) == 3
    assert not any(Path(folder).is_relative_to(repository) or Path(folder).exists() for folder in caches)
    assert not (repository / "other").exists()
    monkeypatch.chdir(repository)
    assert whole_run("smoke").startswith("`dvc repro` in a fresh clone")


def test_a_command_that_fails_is_not_timed(repository: Path) -> None:
    shown = whole("--command 'dvc repro nothing'", repository, status=2)
    assert "pal: dvc repro nothing failed in" in shown
    assert "Traceback" not in shown
    assert not (repository / "reproductions").exists()


def test_what_is_not_there_is_named(repository: Path, tmp_path: Path) -> None:
    assert "There is no program uvx-of-nobody" in whole("--command uvx-of-nobody", repository, status=2)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert "already exists" in whole(f"--keep {tmp_path / 'full'} --command true", repository, status=2)
