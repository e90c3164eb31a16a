"""The report of the results in the repository: the sentences by hand, the files it writes."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pal_plugin.cli import guarded, main
from reproductions.adassl.report import findings as adassl_findings
from reproductions.gps_ssl.report import findings as gps_findings
from reproductions.reporting.__main__ import main as run_report
from reproductions.reporting.__main__ import write
from reproductions.reporting.finding import FAILS, HOLDS, MIXED, ONE, OURS, THEIRS, judge, judge_each, overall
from reproductions.reporting.markdown import HEAD
from reproductions.zero_shot_al.report import findings as zero_shot_findings

ROOT = Path(__file__).parents[2]
BEFORE = f"{HEAD.splitlines()[0]}\n\nThe report of before.\n"


@pytest.mark.parametrize(
    ("gaps", "outcome", "said"),
    [
        ([1.5, 0.5], HOLDS, "Ahead in all 2 seeds, +1.00 points on average, at least +0.50."),
        ([-1.5, -0.5], FAILS, "Ahead in none of 2 seeds, -1.00 points on average, at best -0.50."),
        ([0.0, 0.0], FAILS, "Ahead in none of 2 seeds, +0.00 points on average, at best +0.00."),
        ([2.0, -1.0, 0.5], MIXED, "Ahead in 2 of 3 seeds, +0.50 points on average: undecided."),
        ([3.0], ONE, "Ahead by 3.00 points in the one seed that was run: no claim."),
        ([-3.0], ONE, "Behind by 3.00 points in the one seed that was run: no claim."),
        ([0.0], ONE, "Equal in the one seed that was run: no claim."),
    ],
)
def test_one_seed_bears_no_claim_and_a_tie_is_not_ahead(gaps: list[float], outcome: str, said: str) -> None:
    assert judge(gaps, "points") == (outcome, said)


def test_a_claim_holds_overall_where_it_holds_everywhere() -> None:
    assert overall([HOLDS, HOLDS]) == HOLDS
    assert overall([HOLDS, FAILS]) == MIXED


def test_a_claim_of_several_places() -> None:
    one = judge_each({"250 labels": [1.0], "1000 labels": [-2.0]}, "points")
    assert one[0] == ONE
    assert one[1].endswith("in points: +1.00 at 250 labels, -2.00 at 1000 labels.")
    two = judge_each({"250 labels": [1.0, 2.0], "1000 labels": [-2.0, -1.0]}, "points")
    assert two[0] == MIXED
    assert "250 labels: ahead in all 2 seeds" in two[1]
    assert "1000 labels: ahead in none of 2 seeds" in two[1]


def test_the_papers_claims_are_of_what_the_papers_tried(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Supervised features, strong augmentation and a replication's readings count as ours."""
    monkeypatch.chdir(copy)
    zero_shot = {finding.claim: finding.source for finding in zero_shot_findings(["smoke", "cpu"])}
    of_random = {
        claim: source for claim, source in zero_shot.items() if claim.startswith("k-centre is ahead of random")
    }
    assert {claim.rpartition(" ")[2] for claim, source in of_random.items() if source == THEIRS} == {
        "simclr-flip_only-baseline-0",
        "simclr-strong-baseline-0",
        "mocov2plus-strong-baseline-0",
    }
    assert {"lite0", "simclr-flip_only-gps-0"} <= {
        claim.rpartition(" ")[2] for claim, source in of_random.items() if source == OURS
    }
    assert all(source == OURS for claim, source in zero_shot.items() if claim.startswith("TypiClust"))
    gps = {finding.claim: finding for finding in gps_findings(["cpu"])}
    assert gps["gps_simclr is ahead of simclr, augmentation strong"].source == OURS
    assert gps["gps_simclr is ahead of simclr, augmentation flip_only"].source == THEIRS
    untried = gps["gps_byol is ahead of byol on TissueMNIST"]
    assert (untried.source, untried.ours) == (THEIRS, {})
    moving = {f.claim: f for f in adassl_findings(["cpu"]) if f.claim.startswith("Moving-MNIST")}
    energy, acceleration = moving.values()
    assert (energy.source, acceleration.source) == (OURS, THEIRS)
    assert "chosen for AdaSSL-V" in energy.ours["cpu"].sentence
    out = next(f for f in adassl_findings(["cpu"]) if "H-InfoNCE" in f.claim and f.source == THEIRS)
    assert out.theirs.startswith(".76 → above .92")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of the repository and the report of them."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "reproductions" / "results", folder / "reproductions" / "results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write(Path("report"))
    return folder


def test_numbers_come_from_the_result_files(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One result file says something else, and so do the page, the Markdown and the figure; nothing else changes."""
    monkeypatch.chdir(copy)
    file = copy / "reproductions/results/smoke/gps_ssl/simclr-flip_only-gps-0.json"
    before = file.read_text()
    content = json.loads(before)
    content["metrics"]["linear"]["top1"] = 98.76
    other = json.loads((file.parent / "simclr-flip_only-gps-1.json").read_text())["metrics"]["linear"]["top1"]
    expected = f"{(98.76 + other) / 2:.2f}"
    file.write_text(json.dumps(content))
    write(Path("changed"))
    file.write_text(before)
    for name in ("README.md", "index.html"):
        old, new = ((copy / folder / name).read_text() for folder in ("report", "changed"))
        assert expected not in old
        assert expected in new
    figures = {path.name for path in (copy / "report" / "figures").iterdir()}
    differ = {
        name
        for name in figures
        if (copy / "report" / "figures" / name).read_bytes() != (copy / "changed" / "figures" / name).read_bytes()
    }
    assert differ == {"gps_ssl_smoke_accuracy.svg"}


def test_the_repository_has_the_report_of_its_results(copy: Path) -> None:
    assert (copy / "report" / "README.md").read_text() == (ROOT / "reproductions" / "report" / "README.md").read_text()


def test_a_paper_that_was_not_run_says_so(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reproductions" / "results").mkdir(parents=True)
    text = write(Path("report")).with_name("README.md").read_text()
    assert "| [GPS-SSL](#gps-ssl) | the paper's | not run | not run | not run |" in text
    assert "what that says" not in text
    shutil.copytree(copy / "reproductions/results/smoke", "reproductions/results/debug")
    Path("reproductions/results/debug/gps_ssl_curves.csv").write_text("run,step,loss\n")  # too short to log any
    text = write(Path("report")).with_name("README.md").read_text()
    assert not (tmp_path / "report/figures/gps_ssl_debug_curves.svg").exists()
    assert "| paper | claims | debug | smoke | cpu | paper |" in text
    assert (tmp_path / "report/figures/pal_debug_circles_noise.svg").exists()
    shutil.rmtree("reproductions/results/debug")
    write(Path("report"))
    assert not list((tmp_path / "report/figures").iterdir())  # no picture of what is no longer there


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 2
    assert "Clone the repository" in capsys.readouterr().err
    kept_out = shutil.ignore_patterns("results", "report", "artifacts", "__pycache__")
    shutil.copytree(ROOT / "reproductions", "reproductions", ignore=kept_out)
    command = [sys.executable, "-m", "pal_plugin.cli", "report", "--out", "there"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"The report is {Path('there', 'index.html')}\n"
    assert "not run" in Path("there", "README.md").read_text()


def test_a_file_in_the_place_of_the_report_is_named(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    monkeypatch.setattr(sys, "argv", ["report", "--out", str(tmp_path / "file")])
    (tmp_path / "file").write_text("mine")
    assert guarded(run_report) == 2
    said = capsys.readouterr().err
    assert str(tmp_path / "file") in said
    assert said.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


def test_what_is_not_of_a_report_stays(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "fig1.pdf").write_text("mine")
    (tmp_path / "figures" / "raw").mkdir()
    stale = tmp_path / "figures" / "pal_debug_images.svg"
    stale.write_text("of an earlier report")
    write(tmp_path)
    write(tmp_path)
    assert (tmp_path / "figures" / "fig1.pdf").read_text() == "mine"
    assert (tmp_path / "figures" / "raw").is_dir()
    assert not stale.exists()
    (tmp_path / "README.md").write_text("# My repository\n")
    monkeypatch.setattr(sys, "argv", ["report", "--out", str(tmp_path)])
    assert guarded(run_report) == 2
    assert "README.md is not a report's" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "# My repository\n"


@pytest.mark.parametrize("missing", [[], ["v-A-0", "byol-A-1"]], ids=["all", "no seed of both"])
def test_runs_are_paired_by_their_seed(missing: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "reproductions" / "results", tmp_path / "reproductions" / "results")
    monkeypatch.chdir(tmp_path)
    for name in missing:
        Path(f"reproductions/results/cpu/adassl/moving_mnist/{name}.json").unlink()
    found = [finding for finding in adassl_findings(["cpu"]) if finding.claim.startswith("Moving-MNIST")]
    assert [bool(finding.ours) for finding in found] == [not missing] * 2


@pytest.mark.slow
def test_a_report_that_is_killed_leaves_whole_files(copy: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """`--kills` times: what is there is the report of before, or what the same command would have made of it."""
    command = [sys.executable, "-m", "reproductions.reporting", "--out", str(tmp_path / "there")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begun = time.monotonic()
    subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
    took = time.monotonic() - begun
    whole = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "there").rglob("*.*")}
    moments = random.Random(pytestconfig.getoption("--kill-seed"))
    for _ in range(pytestconfig.getoption("--kills")):
        shutil.rmtree(tmp_path / "there" / "figures")
        (tmp_path / "there" / "README.md").write_text(BEFORE)
        process = subprocess.Popen(command, cwd=copy, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(took * moments.random())
        process.kill()
        process.wait()
        left = {path.relative_to(tmp_path): path for path in (tmp_path / "there").rglob("*.*")}
        assert sum(path.suffix == ".tmp" for path in left) <= 1
        for path, file in left.items():
            before = path.name == "README.md" and file.read_text() == BEFORE
            assert path.suffix == ".tmp" or before or file.read_bytes() == whole[path], path
        subprocess.run(command, cwd=copy, env=environment, check=True, capture_output=True)
        assert {path: (tmp_path / path).read_bytes() for path in whole} == whole
