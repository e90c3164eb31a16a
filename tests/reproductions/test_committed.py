"""The tables in git, and the small metrics files beside them, are what their stages make of the result files in git."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from .conftest import Pipeline, Stage

ROOT = Path(__file__).parents[2]
RESULTS = Path("reproductions/results")
PROFILES = ("smoke", "cpu", "paper")
TEXT = (".md", ".json", ".csv")  # drawings differ between versions of Matplotlib
OF_NO_TABLE = ("not_run.json", "whole.json")  # what a machine lacked, and what the whole pipeline took


def written(folder: Path) -> list[Path]:
    """Return tables and small metrics files below a folder, relative to it, with the profile they are of."""
    files = sorted(path for profile in PROFILES for path in (folder / RESULTS / profile).glob("*"))
    return [path.relative_to(folder) for path in files if path.suffix in TEXT and path.name not in OF_NO_TABLE]


@pytest.fixture(scope="module")
def tables(pipeline: Pipeline) -> dict[str, Stage]:
    """The stages that write them, by what they write."""
    profiles = f"[{','.join(PROFILES)}]"
    stages = pipeline.stages([f"profiles={profiles}", f"adassl.long={profiles}"])
    return {out: stage for stage in stages for out in stage.outs}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result files of all runs, without any table."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / RESULTS, folder / RESULTS)
    for path in written(folder):
        (folder / path).unlink()
    return folder


def undrawn(_: Figure, path: Path, **how: Any) -> None:
    """Leave an empty file in a figure's place: none is looked at, and each would take a second."""
    path.touch()


@pytest.mark.parametrize("table", [path for path in written(ROOT) if path.suffix == ".md"], ids=str)
def test_a_table_is_that_of_the_result_files(
    table: Path,
    tables: dict[str, Stage],
    copy: Path,
    run_stage: Callable[[Stage], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(copy)
    monkeypatch.setattr(Figure, "savefig", undrawn)
    stage = tables[table.as_posix()]
    run_stage(stage)
    of_it = [Path(out) for out in stage.outs if Path(out).suffix in TEXT]
    assert len(of_it) >= 2
    for path in of_it:
        assert path.read_text(encoding="utf-8") == (ROOT / path).read_text(encoding="utf-8"), path


def test_no_other_is_committed(tables: dict[str, Stage]) -> None:
    beside = {out for table, stage in tables.items() if table.endswith(".md") for out in stage.outs}
    assert {path.as_posix() for path in written(ROOT)} <= beside
