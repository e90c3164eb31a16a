"""What runs cost: every second that a result file tells of, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reproductions.layout import results
from reproductions.reading import ResultError
from reproductions.reporting.__main__ import write
from reproductions.reporting.cost import Cost, cost, machines, whole_file, whole_run

ONE = "AMD EPYC, 2 cores, threads: 1"
TWO = "AMD EPYC, 2 cores, threads: 2"
H200 = "NVIDIA H200"
CHOSEN = {"b10": {"train_s": 20.0, "select_s": 2.0}, "b30": {"train_s": 30.0, "select_s": 25.0}}
WHOLE = {
    "profile": "smoke",
    "measured": "uv run dvc repro",
    "wall_s": 1128.4,
    "setup_s": 186.0,
    "stages_run": 31,
    "commit": "0123456789ab",
    "hardware": TWO,
    "date": "2026-12-01",
    "command": "python -m reproductions.whole",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kept(*runs: dict[str, Any]) -> Cost | None:
    folder = results("cpu", "pal") / "runs"
    folder.mkdir(parents=True)
    for number, run in enumerate(runs):
        (folder / f"{number}.json").write_text(json.dumps({"commit": "abc", "hardware": ONE, **run}))
    return cost("cpu", "pal")


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        ({"wall_s": 60.5}, 60.5),
        ({"wall_s": 60.5, "evaluation_s": 9.5}, 70),
        ({"wall_s": 60.0, "train_s": 50.0, "metrics": {"r2": 0.5}}, 60),  # part of the former
        ({"wall_s": 50.0, "method": "KCenterGreedy", "metrics": CHOSEN}, 77),  # 2 and 25 to choose
        ({"wall_s": 50.0, "method": "CoreSet", "metrics": CHOSEN}, 55),  # 25 to choose, 20 of which it trained
    ],
)
def test_every_second_counts_once(run: dict[str, Any], seconds: float) -> None:
    found = kept(run)
    assert found is not None
    assert found.seconds == pytest.approx(seconds)
    assert found.cpu_hours == pytest.approx(seconds / 3600)


def test_hours_are_those_of_threads_or_of_gpus() -> None:
    found = kept(
        {"wall_s": 3600, "hardware": ONE},
        {"wall_s": 3600, "hardware": TWO, "evaluation_s": 1800, "commit": "def"},
        {"wall_s": 900, "hardware": H200},
        {"purity": 0.5},  # says nothing of what it took
    )
    assert found == Cost(
        runs=3,
        seconds=9900,
        cpu_hours=4.0,
        gpu_hours=0.25,
        hardware=("AMD EPYC, 2 cores, 1 or 2 threads", H200),
        commits=("abc", "def"),
    )


def test_a_profile_without_runs_costs_nothing() -> None:
    assert kept({"purity": 0.5}) is None


def test_a_machine_is_named_once() -> None:
    assert machines([H200, ONE, H200]) == ("AMD EPYC, 2 cores, 1 thread", H200)
    assert machines([TWO]) == ("AMD EPYC, 2 cores, 2 threads",)
    assert machines(f"Xeon, 8 cores, threads: {threads}" for threads in (4, 1, 8)) == (
        "Xeon, 8 cores, 1, 4 or 8 threads",
    )


def test_the_report_says_how_long_the_whole_took_and_counts_it_as_no_run() -> None:
    kept({"wall_s": 60})
    assert whole_run("smoke") == ""
    before = write(Path("report")).with_name("README.md").read_text()
    whole_file("cpu").write_text(json.dumps(WHOLE))
    assert whole_run("cpu") == (
        "`uv run dvc repro` in a fresh clone with empty caches took 18.8 min there, downloads and all: 3.1 min until "
        "the first stage, then 31 stages. AMD EPYC, 2 cores, 2 threads, 2026-12-01, commit 0123456789ab."
    )
    after = write(Path("report")).with_name("README.md").read_text().replace(whole_run("cpu"), "")
    assert [line.rstrip() for line in after.splitlines() if line.strip()] == [
        line.rstrip() for line in before.splitlines() if line.strip()
    ]


def test_a_damaged_measurement_is_named() -> None:
    whole_file("smoke").parent.mkdir(parents=True)
    whole_file("smoke").write_text(json.dumps({"wall_s": 3}))
    with pytest.raises(ResultError, match=r"whole\.json"):
        whole_run("smoke")
