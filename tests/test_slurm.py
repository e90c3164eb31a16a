"""SLURM without a cluster: the scripts of `docs/scale.md`, and trainings with the variables that SLURM sets."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from pal_plugin.cli import _parser
from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.launch import compose
from pal_plugin.train import train
from pal_plugin.trainer import make_trainer

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
LOGIN, *SCRIPTS = BLOCKS
# How often a script is started: the tasks of an array.
TASKS = [(script, task) for script in SCRIPTS for task in range(6 if "--array=0-5" in script else 1)]


def job(tasks: int = 1, nodes: int = 1) -> dict[str, str]:
    """What SLURM tells the first task of a job."""
    return {
        "SLURM_JOB_ID": "4242",
        "SLURM_JOB_NAME": "pal",
        "SLURM_NODELIST": "localhost",
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(tasks // nodes),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(tasks),
        "SLURM_CPUS_PER_TASK": "8",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script as sbatch does, where `srun` starts what it is given, and `pal` is what `pal=` says."""

    def program(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def submit(script: str, pal: str, **variables: str) -> subprocess.Popen[str]:
        program(tmp_path / "bin" / "srun", 'exec "$@"')
        program(tmp_path / "bin" / "scontrol", 'echo "$*" >> scontrol.log')
        program(tmp_path / ".venv" / "bin" / "pal", pal)
        (tmp_path / "job.sh").write_text(script, encoding="utf-8")
        told = {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}", "SCRATCH": "/scratch/ann", **variables}
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        process = subprocess.Popen(["bash", "job.sh"], cwd=tmp_path, env=told, **pipes)
        started.append(process)
        return process

    started: list[subprocess.Popen[str]] = []
    yield submit
    for process in started:
        process.kill()
        process.wait()


def accepted(arguments: list[str]) -> Any:
    """Return what the command line makes of arguments: a config, or what its parser does."""
    if arguments[0] != "train":
        return _parser().parse_args(arguments)
    assert arguments[1] == "--config-name"
    return compose(arguments[2], arguments[3:])


def until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def directives(script: str) -> dict[str, str]:
    """What a script asks sbatch for."""
    found = (line.removeprefix("#SBATCH --").partition("=") for line in script.splitlines() if "#SBATCH" in line)
    return {name: value for name, _, value in found}


@pytest.mark.parametrize("script", BLOCKS)
def test_the_scripts_are_bash(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_a_script_for_each_kind_of_job() -> None:
    asked = [directives(script) for script in SCRIPTS]
    assert len(asked) == 3
    for found in asked:
        assert {"gpus", "gpus-per-node"} & found.keys()
        assert found.keys() >= {"requeue", "ntasks-per-node", "cpus-per-task", "time"}
        assert found["signal"].startswith("B:USR1@")  # to the script: the training has no use for it


def test_what_is_done_on_the_login_node(cluster: Callable[..., subprocess.Popen[str]]) -> None:
    told, _ = cluster(LOGIN, 'echo "$PAL_CACHE" "$@"').communicate()
    lines = [shlex.split(line) for line in told.splitlines()]
    assert [line[1] for line in lines] == ["data", "embed", "graph"]
    for cache, *arguments in lines:
        assert cache == "/scratch/ann/pal"
        accepted(arguments)


@pytest.mark.parametrize(("script", "task"), TASKS)
def test_what_a_job_trains(script: str, task: int, cluster: Callable[..., subprocess.Popen[str]]) -> None:
    """Its command is one that the command line takes, and of as many processes as there are tasks."""
    asked = directives(script)
    nodes, devices = int(asked.get("nodes", 1)), int(asked["ntasks-per-node"])
    array = {"SLURM_ARRAY_JOB_ID": "4240", "SLURM_ARRAY_TASK_ID": str(task)} if "array" in asked else {}
    process = cluster(script, 'printf "%s\\n" "$PAL_CACHE" "$@"', **job(nodes * devices, nodes), **array)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    cache, *arguments = told.splitlines()
    assert cache == "/scratch/ann/pal"
    cfg = accepted(arguments)
    assert (cfg.num_nodes, cfg.devices) == (nodes, devices)
    assert (cfg.strategy == "ddp") == (nodes * devices > 1)
    assert cfg.resume == "auto"
    assert re.fullmatch(r"runs/[\w.=-]+", cfg.run_dir)
    assert cfg.seed == task % 3
    assert (str(task % 3) in cfg.run_dir.rpartition("-")[2]) == bool(array)


def test_the_runs_of_an_array_have_folders_of_their_own(cluster: Callable[..., subprocess.Popen[str]]) -> None:
    script = SCRIPTS[-1]
    told = [
        cluster(script, 'echo "$@"', **job(), SLURM_ARRAY_JOB_ID="4240", SLURM_ARRAY_TASK_ID=str(task)).communicate()[0]
        for task in range(6)
    ]
    assert len({re.search(r"run_dir=(\S+)", line)[1] for line in told}) == 6  # type: ignore[index]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_job_at_its_time_limit_asks_for_its_requeueing(
    script: str, cluster: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """And the training goes on until it is ended; how it ends is how the job ends."""
    array = {"SLURM_ARRAY_JOB_ID": "4240", "SLURM_ARRAY_TASK_ID": "5"} if "--array" in script else {}
    pal = "trap 'exit 2' TERM; echo $$ > pid.new; mv pid.new pid; for _ in {1..6000}; do sleep .01; done"
    process = cluster(script, pal, **job(), **array)
    until((tmp_path / "pid").exists)
    process.send_signal(signal.SIGUSR1)
    log = tmp_path / "scontrol.log"
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    assert log.read_text() == ("requeue 4240_5\n" if array else "requeue 4242\n")
    time.sleep(0.2)
    assert process.poll() is None
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 2


def test_a_job_that_fails_has_failed(cluster: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = cluster(SCRIPTS[0], "exit 3", **job())
    process.communicate(timeout=60)
    assert process.returncode == 3
    assert not (tmp_path / "scontrol.log").exists()


def trainer_of(folder: Path, *overrides: str) -> Trainer:
    cfg = compose("simclr", ["profile=debug", *overrides])
    return make_trainer(cfg, {}, folder, precision="32-true", validate=False, refresh_every=None)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    def put(told: dict[str, str]) -> None:
        for name, value in told.items():
            monkeypatch.setenv(name, value)

    for name in ("MASTER_ADDR", "MASTER_PORT"):  # Lightning sets them, for the whole process
        monkeypatch.setenv(name, "0")
        monkeypatch.delenv(name)
    return put


def test_a_task_more_than_devices_is_refused(
    variables: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variables(job(4, 2))
    with pytest.raises(ConfigError, match="SLURM counts 4 tasks, where num_nodes=1 with devices=1 need 1"):
        trainer_of(tmp_path)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE")
    with pytest.raises(ConfigError, match="--ntasks-per-node=4"):
        trainer_of(tmp_path)
    monkeypatch.setenv("SLURM_JOB_NAME", "interactive")
    with pytest.raises(ConfigError, match="srun started 4 tasks in a job called interactive"):
        trainer_of(tmp_path)
    for name in ("SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name)
    assert trainer_of(tmp_path).world_size == 1  # a shell within a job: no task of SLURM's


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "1"}, "placed otherwise than the config says"),
        ({"SLURM_NTASKS_PER_NODE": "2(x1)"}, "placed otherwise than the config says"),
        ({"SLURM_STEP_ID": None}, "counts 2 tasks, and this process is none of them"),
    ],
)
def test_tasks_that_would_wait_for_others_are_refused(
    given: dict[str, str | None],
    said: str,
    variables: Callable[[dict[str, str]], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    variables(job(2))
    for name, value in given.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=said):
        trainer_of(tmp_path, "devices=2", "strategy=ddp")


def test_torchruns_processes_are_torchruns(variables: Callable[[dict[str, str]], None], tmp_path: Path) -> None:
    """Also within a job, whose one task a node starts it."""
    names = ("RANK", "LOCAL_RANK", "GROUP_RANK")
    variables(job(4, 4) | dict.fromkeys(names, "0") | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1"})
    variables({"TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"})
    assert trainer_of(tmp_path).world_size == 1


def test_a_job_with_another_number_of_gpus_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where all there are is what was asked for."""
    small = ["profile=debug", "data.subset=32", "optimizer.batch_size=16", "max_epochs=1", f"run_dir={tmp_path}"]
    cfg = compose("simclr", [*small, "devices=auto", f"resume={tmp_path / 'last.ckpt'}"])
    train(compose("simclr", [*small, "devices=auto"]))
    assert train(cfg)["steps"] == 2
    monkeypatch.setattr("pal_plugin.train.device_count", lambda _cfg: 2)
    with pytest.raises(CheckpointError, match="devices: 1 → 2"):
        train(cfg)


class Trainings:
    """Trainings of four short epochs in a folder, with `scontrol` in reach."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []
        scontrol = folder / "bin" / "scontrol"
        scontrol.parent.mkdir()
        scontrol.write_text(f"#!/bin/sh\necho called >> {shlex.quote(str(folder / 'scontrol.log'))}\n")
        scontrol.chmod(0o755)

    def start(self, name: str, *more: str, tasks: int | None) -> list[subprocess.Popen[str]]:
        """Start a run as so many tasks of SLURM's, or None: as nobody's."""
        command = [sys.executable, "-m", "pal_plugin.cli", "train", "--config-name", "gps_simclr", "profile=debug"]
        command += ["max_epochs=4", f"run_dir={name}", "resume=auto", *more]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        told = os.environ | {"PATH": path, "PAL_CACHE": str(self.folder / "cache")}
        if tasks is not None:
            with closing(socket.socket()) as free:
                free.bind(("127.0.0.1", 0))
                told |= {**job(tasks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        ranks = [{"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)} for rank in range(tasks or 1)]
        pipes: Any = {"stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL, "text": True, "cwd": self.folder}
        processes = [subprocess.Popen(command, env=told | (rank if tasks else {}), **pipes) for rank in ranks]
        self.started += processes
        return processes

    def run(self, name: str, *more: str, tasks: int | None) -> str:
        """Run to the end; return what its first process said."""
        processes = self.start(name, *more, tasks=tasks)
        said = [process.communicate(timeout=400)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), said
        return said[0]

    def weights(self, name: str) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = torch.load(self.folder / name / "model.ckpt", weights_only=True)["state_dict"]
        return state


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trainings]:
    made = Trainings(tmp_path_factory.mktemp("slurm"))
    yield made
    for process in made.started:
        process.kill()
        process.wait()


TWO = ("devices=2", "strategy=ddp", "optimizer.batch_size=64")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("sent", "tasks", "epochs", "status"),
    [
        (signal.SIGTERM, 1, 1, 2),
        (signal.SIGUSR1, 1, 4, -signal.SIGUSR1),
        (signal.SIGTERM, 2, 1, None),  # of two, one may fail on the other's end
    ],
)
def test_a_job_that_is_stopped_goes_on(
    sent: signal.Signals, tasks: int, epochs: int, status: int | None, trainings: Trainings
) -> None:
    """The same command ends with the weights of a run that SLURM has no part in, and that nobody stops.

    The signal comes in the second epoch or a little later, where there is a checkpoint, or none until the last one.
    """
    more = TWO if tasks == 2 else ()
    whole, name = f"whole-{tasks}", f"{sent.name}-{tasks}"
    if not (trainings.folder / whole).exists():
        trainings.run(whole, *more, tasks=None)
    more = (*more, f"checkpoint.every_n_epochs={epochs}")
    processes = trainings.start(name, *more, tasks=tasks)
    said: Any = processes[0].stderr
    for line in said:
        if " to go" in line:
            break
    for process in processes:
        process.send_signal(sent)
    for process in processes:
        try:
            process.communicate(timeout=60 * (1 if tasks == 2 else 5))
        except subprocess.TimeoutExpired:  # as SLURM does after a while
            process.kill()
            process.communicate()
    stopped = [process.returncode for process in processes]
    assert 0 not in stopped
    assert status is None or stopped == [status]
    left = {path.name for path in (trainings.folder / name).iterdir()}
    assert left == {"csv"} | ({"last.ckpt"} if epochs == 1 else set())  # nothing of Lightning's own
    again = trainings.run(name, *more, tasks=tasks)
    assert ("going on from epoch" in again) == (epochs == 1)
    expected, found = trainings.weights(whole), trainings.weights(name)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert not (trainings.folder / "scontrol.log").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_that_is_requeued_after_its_end_does_nothing(trainings: Trainings) -> None:
    if not (trainings.folder / "whole-1").exists():
        trainings.run("whole-1", tasks=None)

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (trainings.folder / "whole-1").rglob("*") if path.is_file()}

    before = content()
    assert "has ended: nothing is left to do" in trainings.run("whole-1", tasks=1)
    assert content() == before
