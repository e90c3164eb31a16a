"""The real pipeline on toy data, in a git repository of its own, through DVC's command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import networkx as nx
import pytest
import yaml
from dvc.repo import Repo

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


class Clone:
    """A copy of the working tree as a git repository, with `profiles: [debug]`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tracked = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
        )
        for name in tracked.stdout.splitlines():
            if not name.startswith("reproductions/results/") and name != "dvc.lock" and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.set("profiles", ["debug"])
        self.set("gps_ssl.prior", "pixels")
        self.set("gps_ssl.seeds", [0])
        self.set("gps_ssl.ablation", ["labels-k2"])
        self.set("pal.cells", ["simclr-0.04-0.9-0"])
        self.set("pal.oracle", ["merging-0"])
        self.set("pal.seeds", [0])
        self.set("adassl.numerical", ["v-0.1-20"])
        self.set("zero_shot_al.arms", ["kcenter"])
        self.set("zero_shot_al.unguided", ["random", "coreset"])
        self.environment = os.environ | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PAL_CACHE": str(folder / "cache"),
            "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
        }
        self.run("git", "init", "-q")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start")

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def repro(self) -> tuple[set[str], str]:
        """Run the pipeline; return the stages that ran, without the profile and the seeds, and what was said."""
        said = self.run("dvc", "repro")
        return set(re.findall(r"Running stage '(\w+)@", said)), said

    def set(self, key: str, value: object) -> None:
        path = self.folder / "params.yaml"
        params = yaml.safe_load(path.read_text())
        *parents, last = key.split(".")
        node = params
        for parent in parents:
            node = node[parent]
        node[last] = value
        path.write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"))


def test_end_to_end(clone: Clone) -> None:
    stages, said = clone.repro()
    runs = {"gps_baseline", "gps_pretrain", "gps_evaluate", "gps_ablation"}
    gps = {"gps_data", "gps_embed", "gps_prior", "gps_graph", *runs, "gps_table"}
    pal = {"pal_circles", "pal_figures", "pal_images", "pal_images_table", "pal_oracle", "pal_oracle_table"}
    zero_shot = {f"zero_shot_{stage}" for stage in ("features", "guided", "unguided", "table")}
    assert stages == gps | pal | {"adassl_numerical", "adassl_numerical_table"} | zero_shot
    results = clone.folder / "reproductions" / "results" / "debug"
    one = json.loads((results / "gps_ssl" / "simclr-flip_only-gps-0.json").read_text())
    assert one.keys() >= {"paper", "profile", "arm", "method", "augmentation", "seed", "metrics", "untrained", "wall_s"}
    assert one.keys() >= {"hardware", "versions", "commit", "command"}
    assert (one["arm"], one["method"]) == ("gps", "gps_simclr")
    summary = json.loads((results / "gps_ssl.json").read_text())["simclr_flip_only"]
    baseline = json.loads((results / "gps_ssl" / "simclr-flip_only-baseline-0.json").read_text())
    assert baseline["untrained"] == one["untrained"]  # both arms begin with the same weights
    assert summary["knn"]["gps"] == {"mean": one["metrics"]["knn"]["top1"], "seeds": 1}
    assert "| gps_simclr |" in (results / "gps_ssl.md").read_text()
    assert "| gps_simclr |" in said
    assert "| the prior itself, pixels |" in said
    assert "| labels-k2 | 1.000 |" in said
    shown = clone.run("dvc", "metrics", "show", "--md")
    assert "simclr_flip_only.knn.gps.mean" in shown
    assert "simclr-0.04-0.9-0.knn.mean" in shown
    assert "none.random.b20.mean" in shown
    assert "| simclr-flip_only-gps-0 | k-centre |" in said
    report = (clone.folder / "reproductions" / "report" / "README.md").read_text()
    assert "| paper | claims | debug | smoke | cpu | paper |" in report
    for paper in ("GPS-SSL, profile debug", "PAL, profile debug", "AdaSSL, profile debug", "learning, profile debug"):
        assert paper in report
    plots = clone.run("dvc", "plots", "show")
    assert "index.html" in plots


def test_a_second_repro_does_nothing(clone: Clone) -> None:
    stages, said = clone.repro()
    assert stages == set()
    assert "up to date" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")
@pytest.mark.parametrize(
    ("key", "value", "runs", "dependents"),
    [
        (
            "pal.cells",
            ["simclr-0.04-0.9-0", "simclr-0.04-0.5-0"],
            {"pal_images@debug-simclr-0.04-0.5-0-0"},
            {"pal_images_table@debug", "pal_oracle_table@debug"},  # whose control is of those runs
        ),
        ("adassl.seeds", [0, 1], {"adassl_numerical@debug-v-0.1-20-1"}, {"adassl_numerical_table@debug"}),
        (
            "zero_shot_al.arms",
            ["kcenter", "typiclust"],
            {"zero_shot_guided@debug-simclr-flip_only-gps-0-typiclust-0"},
            {"zero_shot_table@debug"},
        ),
    ],
    ids=["pal", "adassl", "zero_shot_al"],
)
def test_a_parameter_would_run_its_dependents(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, key: str, value: object, runs: set[str], dependents: set[str]
) -> None:
    """Nothing is run: a dry run names what changed, and DVC's graph what depends on it."""
    monkeypatch.chdir(clone.folder)
    before = Path("params.yaml").read_bytes()
    clone.set(key, value)
    with Repo() as repo:
        changed = repo.reproduce(dry=True)
        below = {stage for one in changed for stage in nx.ancestors(repo.index.graph, one)}
    Path("params.yaml").write_bytes(before)
    assert {stage.addressing for stage in changed} == runs
    assert {stage.addressing for stage in below} == dependents | {"report"}


def test_deleted_outputs_come_back_and_nothing_runs(clone: Clone) -> None:
    artifacts = clone.folder / "reproductions" / "artifacts" / "debug"
    features = artifacts / "gps_ssl" / "features"
    before = (features / "features.npy").read_bytes()
    shutil.rmtree(features)
    said = clone.run("dvc", "repro", "gps_embed")
    assert "Running stage" not in said
    assert (features / "features.npy").read_bytes() == before
    for folder in (artifacts / "gps_ssl").iterdir():  # all but .gitignore, which is DVC's too and no output
        if folder.is_dir():
            shutil.rmtree(folder)
    clone.run("dvc", "checkout")
    assert (features / "features.npy").read_bytes() == before
    assert "up to date" in clone.run("dvc", "status")


def test_a_stage_that_fails_leaves_the_lock(clone: Clone) -> None:
    lock = clone.folder / "dvc.lock"
    before = lock.read_bytes()
    clone.set("gps_ssl.k", 0)
    done = subprocess.run(["dvc", "repro"], cwd=clone.folder, env=clone.environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "pal: " in done.stderr + done.stdout  # the stage's own one paragraph
    assert lock.read_bytes() == before
    clone.set("gps_ssl.k", 4)
    stages, _ = clone.repro()
    assert stages <= {"gps_graph"}  # what the failed one had begun to replace, and none of what it is for
    assert "up to date" in clone.run("dvc", "status")


def test_a_parameter_runs_its_dependents(clone: Clone) -> None:
    clone.run("git", "add", "-A")
    clone.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "first")
    clone.set("gps_ssl.k", 8)
    said = clone.run("dvc", "repro")
    ran = set(re.findall(r"Running stage '([^']+)'", said))
    gps = {"report", *(f"gps_{stage}" for stage in ("graph@debug", "table@debug"))}
    gps |= {"gps_pretrain@debug-simclr-flip_only-0", "gps_evaluate@debug-simclr-flip_only-gps-0"}
    chosen = {"zero_shot_table@debug", "zero_shot_features@debug-simclr-flip_only-gps-0"}  # by that run's features
    assert ran == gps | chosen | {"zero_shot_guided@debug-simclr-flip_only-gps-0-kcenter-0"}
    assert "simclr_flip_only.knn.gps.mean" in clone.run("dvc", "metrics", "diff", "--md")
    assert "gps_ssl.k" in clone.run("dvc", "params", "diff", "--md")


def test_a_killed_repro_goes_on(clone: Clone) -> None:
    """SIGKILL the pipeline in the middle of a pretraining; the next goes on, to the metrics of an undisturbed run."""
    name = "simclr-flip_only-baseline-0"
    result = clone.folder / "reproductions" / "results" / "debug" / "gps_ssl" / f"{name}.json"
    undisturbed = json.loads(result.read_text())
    # another command line that means the same: neither dvc.lock nor DVC's cache of runs knows it
    path = clone.folder / "dvc.yaml"
    pipeline = path.read_text()
    assert pipeline.count("--arm baseline --seed ${item.seed}") == 1
    path.write_text(pipeline.replace("--arm baseline --seed ${item.seed}", "--seed ${item.seed} --arm baseline"))
    last = clone.folder / "scratch" / "debug" / "gps_ssl" / name / "last.ckpt"
    assert not last.exists()
    process = subprocess.Popen(
        ["dvc", "repro"], cwd=clone.folder, env=clone.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert last.exists()
    lock = yaml.safe_load((clone.folder / "dvc.lock").read_text())
    assert lock["stages"]["gps_baseline@debug-simclr-flip_only-0"]["cmd"].endswith("--arm baseline --seed 0")
    stages, said = clone.repro()
    assert "going on from epoch 2" in said
    assert stages == {"gps_baseline", "gps_evaluate", "gps_table"}
    resumed = json.loads(result.read_text())
    told = ("wall_s", "evaluation_s", "commit")  # how long that took, and of which commit it is
    assert {key: resumed[key] for key in resumed if key not in told} == {
        key: undisturbed[key] for key in undisturbed if key not in told
    }
