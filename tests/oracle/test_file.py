"""An oracle that knows what a file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.oracle import FileOracle, Grid, Pairs

IDS = ("a", "b", "c", "d", "e", "f")


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "told.csv"
    path.write_text("\n".join(["id_a,id_b,relation", *lines]) + "\n")
    return path


def test_it_knows_what_follows_and_nothing_else(tmp_path: Path) -> None:
    oracle = FileOracle(written(tmp_path, "a,b,must-link", "c,b,must-link", "c,d,cannot-link", "e,f,not-sure"), IDS)
    assert oracle.answer(Grid(0, [1, 2, 3, 4])).tolist() == [1, 1, -1, 0]
    assert oracle.answer(Pairs([4, 1], [5, 3])).tolist() == [0, -1]
    account = oracle.account
    assert (account.questions, account.answers, account.unsure) == (3, 4, 2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a,b,must-link", "b,c,must-link", "a,c,cannot-link"], "contradict"),
        (["a,z,must-link"], "z"),
        (["a,b,perhaps"], "perhaps"),
    ],
)
def test_files_that_cannot_be(lines: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(OracleError, match=said):
        FileOracle(written(tmp_path, *lines), IDS)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(OracleError, match="no file of answers"):
        FileOracle(tmp_path / "none.csv", IDS)
    (tmp_path / "told.txt").touch()
    with pytest.raises(ConfigError, match=r"told\.txt"):
        FileOracle(tmp_path / "told.txt", IDS)
