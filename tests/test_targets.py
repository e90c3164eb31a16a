"""Where commands write: refused before the work where another's file is there, or where nothing can be put."""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pal_plugin.cli import main
from pal_plugin.graph import SimilarityGraph
from pal_plugin.selection import Selection

# what is read does not exist: whatever is said of --out is said before the work
SELECT = "select --features nowhere.npy --budget 3 --out"
EVAL = "eval knn --checkpoint nowhere.ckpt --out"
TRAVERSE = "traverse --checkpoint nowhere.ckpt --out"
GRAPH = "graph knn --features nowhere.npy --k 2 --out"
EXPORT = "oracle export --store nowhere.db --out"
ASK = "oracle run --data digits --no-train --strategy random --budget 4 --store a.db"
EMBED = "embed --data digits --prior nothing --out"
NO_ROOM = ["No such file or directory", "Permission denied"]  # in /proc, of root and of others
SMALL_EVAL = "eval knn --prior pixels --data digits --fit-subset 60 --read-subset 40 --out"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which commands run in."""
    inside = tmp_path / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
    return inside


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def refused(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one paragraph that a command ends in."""
    assert main(command.split()) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("pal: ")
    assert len(told.err.splitlines()) == 1, told.err
    return told.err


@pytest.mark.parametrize(
    ("command", "out", "there", "said"),
    [
        (SELECT, "answers.db", "answers.db", "answers.db does not end in .csv"),
        (SELECT, "model.ckpt", "model.ckpt", "model.ckpt does not end in .csv"),
        (SELECT, "p.json", "other.txt", "p.json does not end in .csv"),
        (SELECT, "p.png", "other.txt", "p.png does not end in .csv"),
        (SELECT, "n.txt", "other.txt", "n.txt does not end in .csv"),
        (SELECT, "p.csv", "p.csv", "p.csv exists and is not picks"),
        (SELECT, "p.csv", "p.json", "p.json exists and is not what `pal select` says"),
        (SELECT, "p.csv", "p.png", "p.png exists and is not a picture of picks"),
        (SELECT, "p.csv", "p-sheet.png", "p-sheet.png exists and is not a picture of picks"),
        (EVAL, "picks.csv", "picks.csv", "picks.csv does not end in .json"),
        (EVAL, "picks.json", "picks.json", "picks.json exists and is not figures"),
        (TRAVERSE, "model.ckpt", "model.ckpt", "model.ckpt does not end in .png"),
        (TRAVERSE, "walk.png", "walk.png", "walk.png exists and is not a PNG"),
        (EXPORT, "answers.db", "answers.db", "Answers cannot be written as answers.db"),
        (EXPORT, "picks.csv", "picks.csv", "picks.csv exists and is not an export"),
        (EXPORT, "eval.json", "eval.json", "eval.json exists and is not an export"),
        (GRAPH, "notes", "notes", "notes exists and holds other files"),
        (EMBED, "notes", "notes", "notes exists and holds other files"),
    ],
)
def test_what_another_made_is_left(
    command: str, out: str, there: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / there).write_bytes(b'{"name": "mine"}')
    assert said in refused(f"{command} {out}", capsys)
    assert contents(folder) == {there: b'{"name": "mine"}'}


def test_what_the_same_command_made_is_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("rows.npy", np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
    for budget in (3, 5):
        assert main(f"select --features rows.npy --budget {budget} --out p.csv".split()) == 0
        assert len(Selection.load("p.csv")) == budget
    assert Image.open("p.png").size[0] > 0
    for k in (2, 3):
        assert main(f"graph knn --features rows.npy --k {k} --out graph".split()) == 0
        assert SimilarityGraph.load(Path("graph")).num_edges == 30 * k
    for k in (1, 7):
        assert main(f"{SMALL_EVAL} e.json --k {k}".split()) == 0
        assert json.loads(Path("e.json").read_text())["knn"]["k"] == k
    assert main(ASK.split()) == 0
    for name in ("a.csv", "a.csv", "a.json", "a.json"):
        assert main(f"oracle export --store a.db --out {name}".split()) == 0, capsys.readouterr().err
    assert not [name for name in contents(folder) if name.endswith(".tmp")]


@pytest.mark.parametrize(
    ("command", "suffix"), [(SELECT, ".csv"), (EVAL, ".json"), (TRAVERSE, ".png"), (GRAPH, ""), (EMBED, "")]
)
@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("x" * 300, ["File name too long"]),
        ("/proc/nowhere/out", NO_ROOM),
        ("/proc/out", NO_ROOM),
        ("file/out", ["Not a directory"]),
    ],
)
def test_where_nothing_can_be_put_is_said_before_the_work(
    command: str, suffix: str, out: str, said: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "file").write_text("of another")
    told = refused(f"{command} {out}{suffix}", capsys)
    assert any(told.startswith(f"pal: {words}: {out}{suffix}. Choose another path") for words in said), told
    assert contents(folder) == {"file": b"of another"}


@pytest.mark.parametrize(("command", "out"), [(SELECT, "there.csv"), (EVAL, "there.json"), (TRAVERSE, "there.png")])
def test_a_folder_is_no_file(command: str, out: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / out).mkdir()
    assert f"Is a directory: {out}. Choose another path." in refused(f"{command} {out}", capsys)


def test_a_path_that_the_work_itself_cannot_write_is_named_as_given(capsys: pytest.CaptureFixture[str]) -> None:
    told = refused("data show digits --subset 20 --out /proc/nowhere", capsys)
    assert "/proc/nowhere" in told
    assert ".tmp" not in told


@pytest.mark.parametrize(
    "command",
    [
        "select --features rows.npy --budget 3 --out",
        "eval knn --prior pixels --data digits --out",
        "graph labels --data digits --out",
        "embed --data digits --prior pixels --out",
        "data show digits --out",
        "graph knn --k 2 --out graph --features",
        "oracle run --data digits --no-train --store",
        "oracle status --store",
        "oracle serve --data digits --store",
    ],
)
def test_an_empty_path_is_none(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), ""])
    assert stop.value.code == 2
    assert "an empty path" in capsys.readouterr().err
    assert contents(folder) == {}


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Let files end after 500 bytes, as on a full disk; the limit is of this process, and is lifted again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_figures_that_cannot_be_written_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*SMALL_EVAL.split(), "e.json", "--json"]
    assert main(command) == 0  # the cache holds the features then
    (folder / "e.json").unlink()
    capsys.readouterr()
    with small_files():
        assert main(command) == 2
    told = capsys.readouterr()
    assert json.loads(told.out)["knn"]["top1"] > 0
    assert told.err.startswith("pal: No space is left on the disk")
    assert contents(folder) == {}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            "graph labels --data digits --out g --draw-seed -1",
            "--draw-seed: '-1' is no whole number from 0 to 4294967295",
        ),
        ("graph hierarchy --data digits --out g --draw-seed 1e3", "--draw-seed: '1e3' is no whole"),
        ("select --features x.npy --budget 3 --out p.csv --draw-seed -1", "--draw-seed: '-1' is no whole"),
        (f"select --features x.npy --budget 3 --out p.csv --draw-seed {2**32}", "from 0 to 4294967295"),
        ("data show digits --pick-seed -1", "--pick-seed: '-1' is no whole"),
        ("eval linear_sgd --prior pixels --data digits --seeds 0 -1", "--seeds: '-1' is no whole"),
        ("eval knn --prior pixels --data digits --seed -1", "--seed: '-1' is no whole"),
        ("eval knn --prior pixels --data digits --workers -1", "--workers: '-1' is no whole number of 0 or more"),
        ("eval knn --prior pixels --labelled p.csv --label-budget 0", "--label-budget: '0' is no whole number of 1"),
        ("graph inspect g --anchors -1", "--anchors: '-1' is no whole number of 1 or more"),
        ("embed --data digits --prior pixels --workers x", "--workers: 'x' is no whole"),
    ],
)
def test_numbers_that_cannot_be_are_refused(command: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(command.split())
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_the_largest_seed_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("rows.npy", np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
    for method in ("random", "kmedoids", "kcenter"):
        start = "--start random" if method == "kcenter" else ""
        command = f"select --features rows.npy --method {method} {start} --budget 3 --draw-seed {2**32 - 1}"
        assert main([*command.split(), "--no-pictures", "--out", "p.csv"]) == 0, capsys.readouterr().err
