"""The table and figure of the image runs, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from reproductions.pal.images import config
from reproductions.pal.images_cells import Cell
from reproductions.pal.images_figure import _lines, draw
from reproductions.pal.images_table import gaps, read, summarise, table

PLAIN = Cell("simclr", 0.0, 0.0, 0.0)
CONTROL = Cell("simclr", 0.01, 0.0, 0.0)
OURS = Cell("simclr", 0.01, 0.9, 0.0)
NOISY = Cell("simclr", 0.01, 0.9, 0.3)


def result(cell: Cell, seed: int, knn: float, linear: float) -> dict[str, Any]:
    graph = {} if cell.relations == 0 else {"known_images": 410, "oracle_edges": 250.4}
    return {
        "method": f"pal_{cell.method}" if cell.relations else cell.method,
        "seed": seed,
        "data": "cifar10",
        "images": {"train": 4096, "test": 10000},
        "hardware": "a machine",
        "commit": "abc",
        "metrics": {"knn": {"top1": knn}, "linear": {"top1": linear}},
        "untrained": {"knn": {"top1": 30.0 + seed}, "linear": {"top1": 29.0}},
        **graph,
    }


def written(folder: Path) -> dict[Cell, list[dict[str, Any]]]:
    scores = {PLAIN: [(24.0, 30.0)], CONTROL: [(24.5, 31.0), (25.5, 31.5)], OURS: [(33.0, 34.0), (32.0, 35.5)]}
    for cell, of_cell in {**scores, NOISY: [(28.0, 30.0)]}.items():
        for seed, (knn, linear) in enumerate(of_cell):
            (folder / f"{cell.name}-{seed}.json").write_text(json.dumps(result(cell, seed, knn, linear)))
    return read(folder)


def test_names_go_both_ways() -> None:
    for cell in (PLAIN, OURS, Cell("barlow_twins", 0.00001, 0.5, 0.25)):
        assert Cell.parse(cell.name) == cell
    assert OURS.name == "simclr-0.01-0.9-0"


def test_gaps_are_to_the_same_batches_and_seed(tmp_path: Path) -> None:
    cells = written(tmp_path)
    assert list(cells) == [PLAIN, CONTROL, OURS, NOISY]
    assert gaps(cells, OURS, "knn") == [8.5, 6.5]
    assert gaps(cells, NOISY, "linear") == [-1.0]  # its one seed, against the control without wrong labels
    assert gaps(cells, CONTROL, "knn") == gaps(cells, PLAIN, "knn") == []


def test_summary_and_table(tmp_path: Path) -> None:
    cells = written(tmp_path)
    assert summarise(cells)["simclr-0.01-0.9-0"]["knn"] == {
        "mean": 32.5, "std": 0.71, "seeds": 2, "least_gap_to_alpha_0": 6.5,
    }  # fmt: skip
    assert "least_gap_to_alpha_0" not in summarise(cells)["simclr-0.01-0-0"]["knn"]
    vicreg = result(Cell("vicreg", 0.0, 0.0, 0.0), 0, 27.0, 35.0)
    vicreg["untrained"] = {"knn": {"top1": 12.0}, "linear": {"top1": 13.0}}
    text = table("smoke", cells | {Cell("vicreg", 0.0, 0.0, 0.0): [vicreg]})
    assert "| untrained network of vicreg |  |  |  |  | 12.00 |  | 13.00 |  | 1 |" in text
    assert "| untrained network of simclr |  |  |  |  | 30.50 ± 0.71 |  | 29.00 ± 0.00 |  | 2 |" in text
    rows = table("smoke", cells).splitlines()[-5:]
    assert rows[0] == "| simclr | none: plain simclr |  |  |  | 24.00 |  | 30.00 |  | 1 |"
    assert rows[2] == ("| pal_simclr | 1 % (410) | 0.9 | 0 % | 250 | 32.50 ± 0.71 | +6.50 | 34.75 ± 1.06 | +3.00 | 2 |")
    assert rows[4] == "| untrained network of simclr |  |  |  |  | 30.50 ± 0.71 |  | 29.00 ± 0.00 |  | 2 |"


def test_the_figure_has_a_panel_for_what_was_varied(tmp_path: Path) -> None:
    cells = written(tmp_path)
    draw(tmp_path / "figure.png", "smoke", cells)
    wide = Image.open(tmp_path / "figure.png").size[0]
    draw(tmp_path / "figure.png", "smoke", {cell: cells[cell] for cell in (CONTROL, OURS)})
    assert 2 * Image.open(tmp_path / "figure.png").size[0] < wide
    draw(tmp_path / "figure.png", "debug", {OURS: cells[OURS]})  # of one cell, where nothing was varied
    assert _lines("relations", cells) == {"simclr": [PLAIN, OURS]}
    assert _lines("alpha", cells) == {"simclr": [CONTROL, OURS]}
    assert _lines("noise", cells) == {"simclr": [OURS, NOISY]}


def test_the_plain_method_takes_as_many_steps() -> None:
    plain, ours = config("smoke", PLAIN, 0), config("smoke", OURS, 0)
    assert (plain.method, ours.method) == ("simclr", "pal_simclr")
    batch, images = plain.optimizer.batch_size, plain.data.subset
    drawn = 2 * round(ours.method_kwargs.related_share * batch / 2)
    steps = images // batch * plain.max_epochs, images // (batch - drawn) * ours.max_epochs
    assert abs(steps[0] - steps[1]) / steps[1] < 0.06
