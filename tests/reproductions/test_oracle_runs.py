"""The table and figure of the oracle runs, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from reproductions.pal.oracle_cells import OracleCell, grid
from reproductions.pal.oracle_figure import draw
from reproductions.pal.oracle_table import column, control, read, summarise, table
from reproductions.pal.report import _asked

RANDOM, MERGING, MISTAKEN = OracleCell("random", 0.0), OracleCell("merging", 0.0), OracleCell("merging", 0.1)


def point(questions: int, clicks: int, related: int, purity: float | None, accuracy: float | None) -> dict[str, Any]:
    counts = {"questions": questions, "clicks": clicks, "answers": questions * 10, "related": related}
    return {**counts, "related_purity": purity, "accuracy": accuracy}


def result(seed: int, *points: dict[str, Any]) -> dict[str, Any]:
    said = {"data": "cifar10", "method": "pal_simclr", "space": "hog", "grid": 10, "policy": "majority"}
    return {
        **said,
        "seed": seed,
        "hardware": "a machine",
        "commit": "abc",
        "curve": [point(0, 0, 0, None, None), *points],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = {
        RANDOM: [result(0, point(30, 30, 3, 1.0, 24.0))],
        MERGING: [
            result(0, point(10, 30, 300, 1.0, 30.0), point(20, 50, 900, 1.0, 34.0)),
            result(1, point(10, 32, 320, 1.0, 29.0), point(20, 54, 1100, 1.0, 33.0)),
        ],
        MISTAKEN: [result(0, point(10, 40, 500, 0.4, 25.0))],
    }
    for cell, of_cell in runs.items():
        for run in of_cell:
            (tmp_path / f"{cell.name}-{run['seed']}.json").write_text(json.dumps(run))
    return tmp_path


def test_names_go_both_ways() -> None:
    assert all(OracleCell.parse(cell.name) == cell for cell in grid())
    assert MISTAKEN.name == "merging-0.1"
    for wrong in ("merging", "foo-0.1", "random-x"):
        with pytest.raises(ValueError, match=r"strategy|convert"):
            OracleCell.parse(wrong)


def test_pairs_are_asked_for_as_many_answers_as_a_person_would_give() -> None:
    assert RANDOM.asking("cpu").questions == 3 * MERGING.asking("cpu").questions
    assert RANDOM.asking("smoke").rounds == MERGING.asking("smoke").rounds == 1


def test_summary_and_table(folder: Path) -> None:
    cells = read(folder)
    assert list(cells) == [MERGING, RANDOM, MISTAKEN]
    assert column(cells[MERGING], 2, "accuracy") == [34.0, 33.0]
    assert column(cells[MISTAKEN], 2, "accuracy") == []
    summary = summarise(cells, [22.0, 24.0])
    assert summary["without"]["knn"]["mean"] == 23.0
    assert summary["merging-0"]["related"]["mean"] == 1000.0
    text = table("cpu", cells, "plain simclr", [22.0, 24.0])
    assert "| plain simclr |  | 0 | 0 | 0 | 0 |  | 23.00 ± 1.41 | 2 |" in text
    assert "| merging | 0 % | 20 | 52 | 200 | 1000 | 100.0 % | 33.50 ± 0.71 | 2 |" in text
    assert "| merging | 10 % | 10 | 40 | 100 | 500 | 40.0 % | 25.00 | 1 |" in text


def test_the_control_is_the_plain_method_where_it_was_run(tmp_path: Path) -> None:
    assert control(tmp_path) == ("without relations", [])
    for name, accuracy in (("simclr-0.01-0-0-0", 24.5), ("simclr-0-0-0-0", 21.9)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"metrics": {"knn": {"top1": accuracy}}}))
        last = control(tmp_path)
        assert last[1] == [accuracy]
    assert last[0] == "plain simclr"


def test_a_strategy_is_compared_at_no_more_clicks_than_random_pairs_cost(folder: Path) -> None:
    cells = read(folder)
    assert _asked(cells, "merging") is None  # 32 clicks of one seed, 30 of random's
    (folder / "random-0-0.json").write_text(
        json.dumps(result(0, point(30, 30, 3, 1.0, 24.0), point(53, 53, 5, 1.0, 26.0)))
    )
    reading = _asked(read(folder), "merging")
    assert reading is not None
    assert reading.shown == "k-NN 26.00 (53 clicks) → 29.50 ± 0.71 (31 clicks)"  # 54 clicks of one seed are too many
    assert reading.sentence.startswith("Ahead by 4.00 points of k-NN in the one seed")


def test_figure(folder: Path, tmp_path: Path) -> None:
    draw(tmp_path / "figure.png", "cpu", read(folder), [22.0])
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 2 * image.height
