"""The commands of the README and of the papers' page: what DVC would run by them, and that it is what is committed."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Pipeline

ROOT = Path(__file__).parents[2]
RESULTS = "reproductions/results"
# Bash itself reads the block. Commands that would run something are told, a line each, words apart by a unit separator.
TELLS = r"""
told() { printf '%s\037' "$@" >&3; echo >&3; }
git() { told git "$@"; }
uv() { if [ "$2" = python ]; then shift 2; "$PYTHON" "$@"; else told uv "$@"; fi; }
exec 3>&1
"""


def committed() -> set[str]:
    """Return what git tracks of the results, but for what no stage owns: what could not run, what the whole took."""
    done = subprocess.run(["git", "ls-files", RESULTS], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if Path(name).name not in ("not_run.json", "whole.json")}


def commands(block: str) -> list[list[str]]:
    """Return the words of every `git` and `uv` that a block of bash comes to."""
    script = ["bash", "-euc", TELLS + block]
    done = subprocess.run(script, cwd=ROOT, env={"PYTHON": sys.executable}, capture_output=True, text=True, check=True)
    return [line.split("\037")[:-1] for line in done.stdout.splitlines()]


def blocks(page: str) -> list[str]:
    return re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def outputs(pipeline: Pipeline) -> set[str]:
    """What `dvc repro` and the README's commands write."""
    found = {out for stage in pipeline.stages() for out in stage.outs}
    (block,) = (block for block in blocks("README.md") if "afresh()" in block)
    for before, words in pairwise(commands(block)):
        if words[:5] == ["uv", "run", "dvc", "exp", "run"]:
            assert before == ["git", "checkout", "-q", "params.yaml"]  # or the last command's -S hold as well
            overrides = [after for word, after in pairwise(words) if word == "-S"]
            assert any(override.startswith("profiles=") for override in overrides), words
            targets = [word for word in words[5:] if word != "-S" and word not in overrides]
            found |= {out for stage in pipeline.stages(overrides, targets) for out in stage.outs}
    return found


def test_the_commands_run_what_is_committed(outputs: set[str]) -> None:
    assert len(committed()) > 300  # of none it would hold as well
    assert sorted(committed() - outputs) == []


def test_a_command_for_each_paper_runs_it_all(pipeline: Pipeline) -> None:
    lines = [line for block in blocks("docs/papers/index.md") for line in commands(block)]
    targets = [line[4:] for line in lines if line[:4] == ["uv", "run", "dvc", "repro"]]
    parts = [{stage.name for stage in pipeline.stages([], named)} for named in targets]
    assert parts[0] == {stage.name for stage in pipeline.stages()}
    assert len(parts) == 1 + 4
    assert set().union(*parts[1:]) == parts[0] - {"report"}
