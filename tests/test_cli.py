"""The command `pal`: help in no time, figures as JSON, one paragraph and exit status 2 for what a user can mend."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pal_plugin import __version__, cli, registry
from pal_plugin.cli import main
from pal_plugin.data import load_dataset
from pal_plugin.errors import DataError, PalError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.host import load_backbone
from pal_plugin.priors import load_features

PAL = [sys.executable, "-m", "pal_plugin.cli"]
GRAPH_ACTIONS = (
    "knn",
    "radius",
    "labels",
    "hierarchy",
    "factors",
    "oracle",
    "pairs",
    "adjacent",
    "union",
    "mix",
    "mutual",
    "symmetrise",
    "hop",
    "inspect",
)
ORACLE_ACTIONS = ("serve", "run", "status", "export", "import", "merge", "undo", "check")
COMMANDS = (
    ["doctor"],
    ["data"],
    ["data", "get"],
    ["data", "verify"],
    ["data", "show"],
    ["embed"],
    ["graph"],
    *(["graph", action] for action in GRAPH_ACTIONS),
    ["select"],
    ["eval"],
    ["traverse"],
    ["oracle"],
    *(["oracle", action] for action in ORACLE_ACTIONS),
)


def run(*arguments: str | Path, cwd: Path, **keywords) -> subprocess.CompletedProcess[str]:
    command = [*PAL, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **keywords)


def one_paragraph(text: str) -> bool:
    lines = [line for line in text.strip().splitlines() if not line.startswith("[rank")]
    return len(lines) == 1 and lines[0].startswith("pal: ") and "Traceback" not in text


@pytest.fixture
def features(tmp_path, capsys):
    """A feature store of 200 digits, made by the command."""
    arguments = [
        "embed",
        "--data",
        "digits",
        "--subset",
        "200",
        "--prior",
        "pixels",
        "--out",
        str(tmp_path / "features"),
    ]
    assert main([*arguments, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["rows"] == 200
    assert figures["features"] == str(tmp_path / "features")
    return tmp_path / "features"


# --- help -------------------------------------------------------------------------------------------------------------


def test_help_takes_less_than_a_second(tmp_path):
    def seconds() -> float:
        start = time.perf_counter()
        done = run("--help", cwd=tmp_path)
        assert done.returncode == 0
        return time.perf_counter() - start

    assert min(seconds() for _ in range(3)) < 1


def test_help_imports_nothing_heavy(tmp_path):
    heavy = {"torch", "numpy", "hydra", "omegaconf", "faiss", "solo", "lightning", "sklearn", "matplotlib"}
    code = (
        "import sys\nfrom pal_plugin.cli import main\n"
        f"try:\n    main(['--help'])\nexcept SystemExit:\n    print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert f"usage: pal {' '.join(command)}" in capsys.readouterr().out


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    assert {"doctor", "train", "data", "embed", "graph", "select", "eval", "traverse", "oracle", "report"} <= set(
        listed
    )


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["trian"],
        ["data"],
        ["data", "get"],
        ["embed", "--data", "digits"],
        ["graph", "knn", "--k", "many"],
        ["eval", "purity", "--checkpoint", "x"],
        ["eval", "knn"],
        ["eval", "knn", "--checkpoint", "x", "--prior", "pixels"],
        ["doctor", "--nonsense"],
    ],
)
def test_usage_errors_exit_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: pal" in capsys.readouterr().err


def test_a_mistyped_action_names_the_nearest(capsys):
    mistyped = {"train": ["trian"], "knn": ["graph", "kn"], "linear": ["eval", "lineer", "--prior", "pixels"]}
    for near, arguments in mistyped.items():
        with pytest.raises(SystemExit):
            main(arguments)
        assert f"did you mean {near}" in capsys.readouterr().err


def test_warnings_of_ours_are_one_line_and_those_of_others_are_left(tmp_path):
    np.save(tmp_path / "points.npy", np.eye(3))
    clamp = ["graph", "knn", "--features", "points.npy", "--k", "9", "--out", "graph"]
    done = run(*clamp, cwd=tmp_path)
    assert done.stderr == "pal: warning: k=9 is more than the 2 neighbours that 3 samples have: k=2\n"
    assert "commands/graph.py" in run(*clamp, "--debug", cwd=tmp_path).stderr
    (tmp_path / "noisy.py").write_text(
        "import warnings\n\ndef embed(images):\n    warnings.warn('of another')\n"
        "    return images.reshape(len(images), -1).astype('float32')\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PAL_CACHE": str(tmp_path)}
    arguments = ["embed", "--data", "digits", "--subset", "20", "--prior", "python:noisy:embed"]
    done = run(*arguments, cwd=tmp_path, env=environment)
    assert "noisy.py:4: UserWarning: of another" in done.stderr, done.stderr


# --- work -------------------------------------------------------------------------------------------------------------


def test_data_of_digits(tmp_path, capsys):
    for action in ("get", "verify"):
        assert main(["data", action, "digits", "--root", str(tmp_path), "--json"]) == 0
        figures = json.loads(capsys.readouterr().out)
        assert (figures["train"], figures["test"]) == (1437, 360)
        assert figures["train_digest"] == load_dataset("digits", "train").manifest.digest


def test_embed_then_graph(features, tmp_path, capsys):
    store = load_features(features, load_dataset("digits", "train", subset=200).manifest)
    assert store.features.shape == (200, 192)
    out = tmp_path / "graph"
    assert main(["graph", "knn", "--features", str(features), "--k", "4", "--out", str(out), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["nodes"], figures["edges"]) == (200, 800)
    graph = SimilarityGraph.load(out)
    distances = np.linalg.norm(store.features[:, None] - store.features[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    for node in range(200):
        nearest = np.sort(distances[node])[:4]
        np.testing.assert_allclose(np.sort(distances[node, graph.neighbours(node)[0]]), nearest, rtol=1e-4)


def test_graph_options_arrive(features, tmp_path, capsys):
    out = tmp_path / "graph"
    arguments = ["graph", "knn", "--features", str(features), "--k", "3", "--metric", "cosine", "--include-self"]
    assert main([*arguments, "--out", str(out)]) == 0
    assert "edges: 600" in capsys.readouterr().out
    graph = SimilarityGraph.load(out)
    assert all(node in graph.neighbours(node)[0] for node in range(200))
    assert graph.builder["parameters"]["metric"] == "cosine"


def test_graph_of_a_bare_npy(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32))
    out = str(tmp_path / "graph")
    assert main(["graph", "knn", "--features", str(tmp_path / "x.npy"), "--k", "2", "--out", out]) == 0
    assert SimilarityGraph.load(out).manifest is None


def test_embed_into_the_cache_says_where(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PAL_CACHE", str(tmp_path))
    assert main(["embed", "--data", "digits", "--subset", "50", "--prior", "pixels", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert Path(figures["features"]).is_relative_to(tmp_path)
    assert load_features(Path(figures["features"])).features.shape[0] == 50


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["data", "get", "cifar11"], "cifar10"),
        (["embed", "--data", "digits", "--prior", "lite1", "--out", "x"], "lite0"),
        (["embed", "--data", "digits", "--subset", "99999", "--prior", "pixels", "--out", "x"], "1437"),
        (["graph", "knn", "--features", "nowhere", "--k", "3", "--out", "x"], "nowhere"),
        (["eval", "knn", "--checkpoint", "nowhere.ckpt"], "nowhere.ckpt"),
        (["train", "--config-name", "gps_simclrr"], "gps_simclr"),
        (["train"], "--config-name"),
    ],
)
def test_bad_input_is_one_paragraph(arguments, named, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert one_paragraph(captured.err), captured.err
    assert named in captured.err
    assert list(tmp_path.iterdir()) == []


def test_corrupted_features_are_named(features, tmp_path, capsys):
    array = np.load(features / "features.npy")
    array[7, 0] = np.nan
    np.save(features / "features.npy", array)
    assert main(["graph", "knn", "--features", str(features), "--k", "3", "--out", str(tmp_path / "graph")]) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "7" in error
    assert not (tmp_path / "graph").exists()


def test_debug_shows_the_traceback(capsys):
    assert main(["data", "get", "cifar11", "--debug"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.strip().splitlines()[-1].startswith("pal: ")


def fail_with(monkeypatch, error: BaseException):
    def broken(args):
        raise error

    monkeypatch.setattr(cli, "_doctor", broken)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (KeyboardInterrupt(), "Interrupted"),
        (OSError(28, "No space left on device", "/somewhere/file"), "/somewhere/file"),
        (OSError(122, "Disk quota exceeded"), "Disk quota exceeded"),
        (PermissionError(13, "Permission denied", "/read/only"), "/read/only"),
        (FileExistsError(17, "File exists", "/taken"), "File exists: /taken. Choose another path."),
        (OSError(30, "Read-only file system", "/read/.g.abcd_123.tmp/x"), "Read-only file system: /read/g/x. Choose"),
        (FileNotFoundError(2, "No such file or directory", "/proc/x"), "No such file or directory: /proc/x. Choose"),
        (DataError("The file f is short", "Fetch it again"), "The file f is short. Fetch it again."),
    ],
)
def test_errors_by_kind(monkeypatch, capsys, error, named):
    fail_with(monkeypatch, error)
    assert main(["doctor"]) == 2
    captured = capsys.readouterr().err
    assert one_paragraph(captured)
    assert named in captured


def test_errors_inside_others_are_found(monkeypatch, capsys):
    """Lightning and Hydra end the process by SystemExit while they handle the real error."""
    for inner in (KeyboardInterrupt(), PalError("A is broken", "Repair A")):
        outer = SystemExit(1)
        outer.__context__ = inner
        fail_with(monkeypatch, outer)
        assert main(["doctor"]) == 2
        assert one_paragraph(capsys.readouterr().err)


def test_bugs_are_not_hidden(monkeypatch):
    after = ZeroDivisionError()
    after.__context__ = FileNotFoundError(2, "No such file or directory", "/handled")
    for error in (after, ZeroDivisionError(), OSError(5, "Input/output error"), SystemExit(3)):
        fail_with(monkeypatch, error)
        with pytest.raises(type(error)):
            main(["doctor"])


def test_full_disk_while_writing(features, tmp_path):
    """The file size limit fails a write in the middle, as a full disk does."""
    graph = tmp_path / "graph"
    assert main(["graph", "knn", "--features", str(features), "--k", "3", "--out", str(graph)]) == 0
    before = sorted(p.name for p in tmp_path.iterdir())
    done = run(
        *("graph", "knn", "--features", features, "--k", "50", "--out", graph),
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)),
    )
    assert done.returncode == 2, done.stderr
    assert one_paragraph(done.stderr), done.stderr
    assert "File too large" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert SimilarityGraph.load(graph).num_edges == 600


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_behind_stdout(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PAL, "data", "get", "digits", "--json"],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert one_paragraph(done.stderr), done.stderr


def test_reader_that_stops_reading(tmp_path):
    done = subprocess.run(
        f"{sys.executable} -m pal_plugin.cli data get digits --json | true",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


# --- training and evaluation ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One debug run by the command, from an empty folder."""
    folder = tmp_path_factory.mktemp("trained")
    done = run("train", "--config-name", "gps_simclr", "profile=debug", "run_dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.mark.slow
def test_eval_of_a_checkpoint(trained, tmp_path, capsys):
    out = tmp_path / "eval.json"
    checkpoint = str(trained / "model.ckpt")
    assert main(["eval", "knn", "linear", "--checkpoint", checkpoint, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(out.read_text())
    assert printed["data"]["fit"]["size"] == load_backbone(checkpoint)[1].data.subset
    assert printed["data"]["read"]["size"] == 360
    for measure in ("knn", "linear"):
        assert 10 < printed[measure]["top1"] <= printed[measure]["top5"] <= 100
    assert printed["linear"]["converged"] in (True, False)
    assert main(["eval", "knn", "--checkpoint", checkpoint, "--fit-subset", "100", "--read-subset", "50"]) == 0
    text = capsys.readouterr().out
    assert "fit: 100 images of digits/train" in text
    assert "read: 50 images of digits/test" in text
    assert "knn: top1" in text


@pytest.mark.slow
def test_eval_refuses_what_is_no_checkpoint(trained, tmp_path, capsys):
    whole = (trained / "model.ckpt").read_bytes()
    truncated = tmp_path / "truncated.ckpt"
    truncated.write_bytes(whole[: len(whole) // 2])
    assert main(["eval", "knn", "--checkpoint", str(truncated), "--out", str(tmp_path / "x.json")]) == 2
    error = capsys.readouterr().err
    assert one_paragraph(error)
    assert "truncated.ckpt" in error
    assert not (tmp_path / "x.json").exists()


@pytest.mark.slow
def test_ctrl_c_while_training(tmp_path):
    command = [*PAL, "train", "--config-name", "simclr", "profile=debug", "max_epochs=10000", "run_dir=run"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        try:
            deadline = time.monotonic() + 200
            while not list(tmp_path.glob("run/*.ckpt")):
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < deadline, "no checkpoint yet: Ctrl-C would meet the imports, not the training"
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
            _, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 2, error
    assert error.strip().splitlines()[-1].startswith("pal: Interrupted")
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("*.tmp"))


def test_third_party_prior_through_the_command(tmp_path, capsys, monkeypatch):
    class Mean:
        name = "mean"
        key = "mean-1"

        def embed(self, images):
            return images.reshape(len(images), -1, 3).mean(axis=1).astype(np.float32)

    monkeypatch.setattr(registry.priors, "_added", {"mean": Mean})
    arguments = [
        "embed",
        "--data",
        "digits",
        "--subset",
        "30",
        "--prior",
        "mean",
        "--out",
        str(tmp_path / "f"),
        "--json",
    ]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["dimensions"] == 3
