"""The corruption matrix: every file that a command reads × every way it can be damaged ends in one named error.

Through the commands, in this process. What the parsers of single files do in more detail is tested beside them.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pal_plugin.cli import main
from pal_plugin.errors import PalError
from reproductions.reading import read_result, top1

pytestmark = pytest.mark.slow


class Read(NamedTuple):
    """A file that commands read.

    Attributes:
        file: relative to the folder of all.
        command: reads it; every path is relative to that folder.
    """

    file: str
    command: str


ROUNDS = "oracle run --data digits --store answers.db --budget 4 --no-train --strategy random"
READS = {
    "features": Read("features/features.npy", "graph knn --features features --k 3 --out new"),
    "features' description": Read("features/features.json", "graph knn --features features --k 3 --out new"),
    "bare features": Read("bare.npy", "graph knn --features bare.npy --k 3 --out new"),
    "graph's ends": Read("graph/indptr.npy", "graph inspect graph --out new"),
    "graph's neighbours": Read("graph/indices.npy", "graph inspect graph --out new"),
    "graph's weights": Read("graph/weights.npy", "graph inspect graph --out new"),
    "graph's description": Read("graph/graph.json", "graph inspect graph --out new"),
    "picks": Read("all.csv", "eval linear --prior pixels --data digits --labelled all.csv --out new.json"),
    "picks' description": Read("picks.json", "select --features features --budget 30 --after picks.csv --out new.csv"),
    "labelled": Read("picks.csv", "select --features features --budget 5 --labelled picks.csv --out new.csv"),
    "answers": Read("answers.db", "oracle status --store answers.db"),
    "checkpoint": Read("run/model.ckpt", "eval knn --checkpoint run/model.ckpt --out new.json"),
    "config": Read("conf/mine.yaml", "train --config-dir conf --config-name mine profile=debug run_dir=new"),
    "record of rounds": Read("answers-rounds/run.json", ROUNDS),
    "what a round asked": Read("answers-rounds/round_0/asked.json", ROUNDS),
    "point of a round": Read("answers-rounds/round_0/point.json", ROUNDS),
}


def truncated(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def noise(file: Path) -> None:
    file.write_bytes(np.random.default_rng(0).bytes(4096))


def a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def absent(file: Path) -> None:
    file.unlink()


def unreadable_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00\xd8 not text: [}")


DAMAGES: list[Callable[[Path], None]] = [truncated, empty, noise, a_folder, absent, unreadable_text]
# half of these files is a whole one, fewer picks or a config without its end; and without a point a round makes it anew
WHOLE_BY_HALVES = {("picks", "truncated"), ("labelled", "truncated"), ("config", "truncated")} | {
    ("point of a round", "absent")
}
CASES = [
    pytest.param(name, damage, id=f"{name}, {damage.__name__}")
    for name in READS
    for damage in DAMAGES
    if (name, damage.__name__) not in WHOLE_BY_HALVES
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one of each file."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (
            "embed --data digits --prior pixels --subset 120 --out features",
            "graph knn --features features --k 4 --out graph",
            "select --features features --budget 20 --out picks.csv --no-pictures",
            "select --data digits --prior pixels --budget 20 --out all.csv --no-pictures",
            ROUNDS,
            "train --config-name gps_simclr profile=debug run_dir=run",
        ):
            assert main(command.split()) == 0, command
        np.save("bare.npy", np.load("features/features.npy"))
        Path("conf").mkdir()
        Path("conf/mine.yaml").write_text("defaults:\n  - gps_simclr\n  - _self_\nmax_epochs: 1\n")
    return folder


@pytest.fixture
def copied(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "copied"
    shutil.copytree(whole, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("name", READS)
def test_whole_files_are_read(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(READS[name].command.split()) == 0, capsys.readouterr().err


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder; what a run writes of itself is left out."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def one_error(status: int, told: str, named: str) -> None:
    """A command that ended in one paragraph, which names the file."""
    assert status == 2, told
    errors = [line for line in told.splitlines() if line.startswith("pal: ") and not line.startswith("pal: warning")]
    assert len(errors) == 1, told
    assert "Traceback" not in told
    assert named in errors[0]


@pytest.mark.parametrize(("name", "damage"), CASES)
def test_damage_is_one_named_error_and_nothing_is_written(
    name: str, damage: Callable[[Path], None], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = READS[name]
    damage(copied / read.file)
    before = contents(copied)
    status = main(read.command.split())
    named = Path(read.file).stem if name == "config" else Path(read.file).parts[0].removesuffix(".json")
    one_error(status, capsys.readouterr().err, named)
    after = contents(copied)
    assert {path for path in before if after.get(path) != before[path]} == set()  # nothing of theirs was touched
    assert not [path for path in after if path.startswith("new")]


FLIPS = ["features", "graph's neighbours", "graph's weights", "checkpoint"]


@pytest.mark.parametrize("name", FLIPS)
def test_a_flipped_bit_is_found(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bit in the middle of the file's content: where a value could be read as another, the content's hash tells."""
    read = READS[name]
    content = bytearray((copied / read.file).read_bytes())
    content[len(content) // 2] ^= 0x40
    (copied / read.file).write_bytes(content)
    one_error(main(read.command.split()), capsys.readouterr().err, Path(read.file).parts[0])


@pytest.mark.parametrize("name", [name for name in READS if name not in ("config", "bare features")])
def test_a_flipped_bit_anywhere_is_read_or_one_error(
    name: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no hash tells, another value may be a valid one; nothing but a whole result or an error comes of it."""
    file, whole = copied / READS[name].file, (copied / READS[name].file).read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(3):
        content = bytearray(whole)
        content[int(generator.integers(len(content)))] ^= 1 << int(generator.integers(8))
        file.write_bytes(content)
        status = main(READS[name].command.split())
        told = capsys.readouterr().err
        if status != 0:
            one_error(status, told, "")
        for made in copied.glob("new*"):
            shutil.rmtree(made) if made.is_dir() else made.unlink()


TYPES = {
    "features": ["<U4", "complex64", "bool"],
    "bare features": ["<U4", "complex64", "bool"],
    "graph's ends": ["<U4", "float32", "int8"],
    "graph's neighbours": ["<U4", "float32", "int8"],
    "graph's weights": ["<U4", "complex64", "int64"],
}


@pytest.mark.parametrize(("name", "dtype"), [(name, dtype) for name, dtypes in TYPES.items() for dtype in dtypes])
def test_another_type_is_named(name: str, dtype: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = READS[name]
    with np.errstate(all="ignore"):
        np.save(copied / read.file, np.load(copied / read.file).astype(dtype))
    one_error(main(read.command.split()), capsys.readouterr().err, Path(read.file).parts[0])


@pytest.mark.parametrize("name", ["features", "graph's neighbours"])
def test_pickles_are_not_loaded(name: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path("pwned").mkdir, ()  # type: ignore[return-value]

    read = READS[name]
    np.save(copied / read.file, np.array([Touch()], dtype=object), allow_pickle=True)
    one_error(main(read.command.split()), capsys.readouterr().err, Path(read.file).parts[0])
    assert not (copied / "pwned").exists()


def test_a_checkpoint_that_is_a_pickle_runs_nothing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pickle

    class Touch:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path("pwned").mkdir, ()  # type: ignore[return-value]

    (copied / "run/model.ckpt").write_bytes(pickle.dumps({"state_dict": Touch()}))
    one_error(main(READS["checkpoint"].command.split()), capsys.readouterr().err, "run")
    assert not (copied / "pwned").exists()


@pytest.mark.parametrize(
    "name", ["features' description", "graph's description", "picks' description", "record of rounds"]
)
@pytest.mark.parametrize("version", [0, 99, "new", None])
def test_another_format_version_is_named(
    name: str, version: object, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = READS[name]
    description = json.loads((copied / read.file).read_text())
    [key] = [key for key in description if "format" in key or "version" in key]
    description[key] = version
    (copied / read.file).write_text(json.dumps(description))
    one_error(main(read.command.split()), capsys.readouterr().err, Path(read.file).parts[0].removesuffix(".json"))


@pytest.mark.parametrize("version", [0, 99])
def test_another_format_of_a_store_is_named(version: int, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.closing(sqlite3.connect(copied / "answers.db")) as connection, connection:
        connection.execute("UPDATE meta SET format = ?", (version,))
    one_error(main(READS["answers"].command.split()), capsys.readouterr().err, f"answers.db has the format {version}")


@pytest.mark.parametrize("cell", ["1.5", "x", "", "True", "1e400", "9" * 30])
@pytest.mark.parametrize("column", ["rank", "index"])
def test_picks_of_another_type_are_named(
    column: str, cell: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a file that its description was written for: the hash does not tell."""
    rows = list(csv.DictReader((copied / "picks.csv").read_text().splitlines()))
    rows[3][column] = cell
    text = "\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n"
    (copied / "picks.csv").write_bytes(text.encode())
    about = json.loads((copied / "picks.json").read_text())
    about["picks"] = hashlib.sha256(text.encode()).hexdigest()
    (copied / "picks.json").write_text(json.dumps(about))
    one_error(main(READS["picks' description"].command.split()), capsys.readouterr().err, "picks")


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64, torch.int64, torch.bool])
def test_weights_of_another_type_are_read_as_numbers_or_named(
    dtype: torch.dtype, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copied / "run/model.ckpt"
    content = torch.load(file, weights_only=True)
    content["state_dict"] = {key: value.to(dtype) for key, value in content["state_dict"].items()}
    torch.save(content, file)
    status, told = main(READS["checkpoint"].command.split()), capsys.readouterr().err
    if status != 0:
        one_error(status, told, "")  # of the file, or of the features that come of such weights


@pytest.mark.parametrize("damage", DAMAGES)
def test_metrics_that_a_report_reads_are_named(damage: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "knn.json"
    file.write_text(json.dumps({"seed": 0, "metrics": {"knn": {"top1": 1.5}}}))
    damage(file)
    with pytest.raises(PalError, match=r"knn\.json"):
        read_result(file, top1("knn"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("defaults:\n  - gps_simclr\nmax_epochs: [1\nseed: }\n", "line 3"),
        ("defaults: gps_simclr\nmax_epochs: 1\n", "defaults must be a list"),
        ("defaults:\n  - gps_simclr\nseed: " + 5000 * "[" + "\n", "recursion"),
        ("-0", "keys and values"),
    ],
)
def test_what_is_broken_in_a_config_is_named(
    text: str, said: str, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "conf/mine.yaml").write_text(text)
    status, told = main(READS["config"].command.split()), capsys.readouterr().err
    one_error(status, told, "mine")
    assert said in told


@pytest.mark.parametrize(
    "command",
    [
        "graph inspect graph --data digits --subset 90 --out new",
        "eval linear --prior pixels --data digits --labelled picks.csv --out new.json",
        "oracle run --data digits --subset 90 --store answers.db --budget 8 --no-train --strategy random",
    ],
)
def test_another_data_set_is_named(command: str, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A graph, picks and answers of 120 digits, beside 90 others."""
    before = contents(copied)
    status, told = main(command.split()), capsys.readouterr().err
    one_error(status, told, "digits")
    assert contents(copied) == before
