"""Damaged results: every kind of result file × every damage ends in one error that names it, and no report is lost."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pal_plugin.cli import guarded
from reproductions.adassl.moving_mnist.table import main as moving_mnist_table
from reproductions.adassl.noisy_table import main as noisy_table
from reproductions.adassl.numerical_table import main as numerical_table
from reproductions.gps_ssl.table import main as gps_table
from reproductions.pal.figures import main as pal_figures
from reproductions.pal.images_table import main as images_table
from reproductions.pal.oracle_table import main as oracle_table
from reproductions.reading import ResultError
from reproductions.reporting.__main__ import write
from reproductions.reporting.markdown import HEAD
from reproductions.zero_shot_al.table import main as zero_shot_table

BEFORE = f"{HEAD.splitlines()[0]}\n\nThe report of before.\n"

RESULTS = Path(__file__).parents[2] / "reproductions" / "results"
# a result file of each kind, and the stage that reads it
READS: dict[str, Callable[[str], None]] = {
    "smoke/gps_ssl/simclr-flip_only-gps-0.json": gps_table,
    "smoke/gps_ssl/prior.json": gps_table,
    "smoke/gps_ssl/graph.json": gps_table,
    "smoke/gps_ssl/ablation/lite0-k16-0.json": gps_table,
    "smoke/pal/circles/noise.json": pal_figures,
    "smoke/pal/images/simclr-0.01-0-0-0.json": images_table,
    "smoke/pal/oracle/active-0-0.json": oracle_table,
    "smoke/adassl/numerical/infonce-0.1-20-0.json": numerical_table,
    "cpu/adassl/noisy/vanilla-0-0.json": noisy_table,
    "cpu/adassl/moving_mnist/byol-A-0.json": moving_mnist_table,
    "smoke/zero_shot_al/runs/none.random-0.json": zero_shot_table,
    "smoke/zero_shot_al/features/simclr-flip_only-baseline-0.json": zero_shot_table,
}
NUMBER = r"(?<=: )-?\d+(\.\d+)?(e-?\d+)?(?=[,\s])"


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def noise(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00\xd8" * 100)


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def a_list(file: Path) -> None:
    file.write_text("[1, 2]")


def nested(file: Path) -> None:
    file.write_text("[" * 100_000)


def no_number(file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wall_s": float("nan")}))


def an_older_schema(file: Path) -> None:
    file.write_text('{"seed": 0, "accuracy": 12.3}')


def other_types(file: Path) -> None:
    file.write_text(json.dumps({key: [None] for key in json.loads(file.read_text())}))


def too_large(file: Path) -> None:
    """Whole numbers that no float can hold."""
    file.write_text(re.sub(NUMBER, "9" * 400, file.read_text()))


def infinite(file: Path) -> None:
    """Numbers that JSON may have, and that Python reads as infinity."""
    file.write_text(re.sub(NUMBER, "1e400", file.read_text()))


DAMAGES = [truncated, empty, noise, a_folder, a_list, nested, no_number, an_older_schema, other_types]
DAMAGES += [too_large, infinite]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(RESULTS, folder / "reproductions" / "results")
    return folder


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READS)
def test_a_damaged_result_is_named(
    name: str,
    damage: Callable[[Path], None],
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the table's stage, which writes nothing then."""
    monkeypatch.chdir(whole)
    file = Path("reproductions/results", name)
    before = file.read_bytes()
    tables = {path: path.stat().st_mtime_ns for path in Path("reproductions/results").glob("*/*.*")}
    damage(file)
    try:
        status = guarded(lambda: READS[name](name.split("/")[0]) or 0)
    finally:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        file.write_bytes(before)
    said = capsys.readouterr().err
    assert status == 2
    assert said.startswith("pal: ")
    assert said.count("\n") == 1
    assert str(file) in said
    assert {path: path.stat().st_mtime_ns for path in Path("reproductions/results").glob("*/*.*")} == tables


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_report_of_damaged_results(
    damage: Callable[[Path], None], whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last paper's file is damaged: nothing of the report that is there has changed by then."""
    monkeypatch.chdir(whole)
    report = Path("report")
    report.mkdir(exist_ok=True)
    (report / "README.md").write_text(BEFORE)
    file = Path("reproductions/results/smoke/zero_shot_al/runs/none.random-0.json")
    before = file.read_bytes()
    damage(file)
    try:
        with pytest.raises(ResultError, match=file.name):
            write(report)
    finally:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        file.write_bytes(before)
    assert [path.name for path in report.iterdir()] == ["README.md"]
    assert (report / "README.md").read_text() == BEFORE
