"""Stage `pal_oracle_table`: one table, one small metrics file and one figure from the oracle runs of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path, write_json
from reproductions.layout import ROOT, results
from reproductions.pal.images_cells import AUGMENTATION, Cell
from reproductions.pal.names import PAPER
from reproductions.pal.oracle_cells import OracleCell
from reproductions.pal.oracle_figure import draw
from reproductions.reading import Run, read_result, read_runs, top1
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run

Cells = dict[OracleCell, list[Run]]
CONTROLS = {  # runs of `pal_images` that have as many steps and learn from no relation, the better control first
    Cell("simclr", 0.0, 0.0, 0.0): "plain simclr",
    Cell("simclr", 0.01, 0.0, 0.0): "pal_simclr with α = 0",
}


def main(profile: str) -> None:
    """Summarise the oracle runs of a profile, print the table, and write it beside them."""
    cells = read(results(profile, PAPER) / "oracle")
    name, without = control(results(profile, PAPER) / "images")
    text = table(profile, cells, name, without) + "\n"
    stem = f"{PAPER}_oracle"
    folder = ROOT / "results" / profile
    write_json(folder / f"{stem}.json", summarise(cells, without))
    with atomic_path(folder / f"{stem}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(folder / f"{stem}.png", profile, cells, without)
    print(f"\n{text}\nwritten to {folder / stem}.md, .json, .png")


def read(folder: Path) -> Cells:
    """Return the runs of each cell, by mistakes and strategy, the seeds of a cell in order."""
    keys = ("questions", "clicks", "answers", "related", "related_purity", "accuracy")
    cells = read_runs(folder, OracleCell.parse, lambda run: [row[key] for row in run["curve"] for key in keys])
    return {cell: cells[cell] for cell in sorted(cells, key=lambda cell: (cell.noise, cell.strategy))}


def control(folder: Path) -> tuple[str, list[float]]:
    """Return what learnt from no relation is called, and its k-NN accuracies, one a seed; none where it was not run."""
    for cell, name in CONTROLS.items():
        runs = [read_result(file, top1("knn")) for file in sorted(folder.glob(f"{cell.name}-*.json"))]
        if runs:
            return name, [run["metrics"]["knn"]["top1"] for run in runs]
    return "without relations", []


def column(runs: list[Run], number: int, key: str) -> list[float]:
    """Return a figure of round `number`, one a seed; where a run ended early or has none it is missing."""
    rows = [run["curve"][number] for run in runs if number < len(run["curve"])]
    return [row[key] for row in rows if row[key] is not None]


def last_round(runs: list[Run]) -> int:
    """Return the last round that every seed of a cell has."""
    return min(len(run["curve"]) for run in runs) - 1


def summarise(cells: Cells, without: list[float]) -> dict[str, Any]:
    """Return the last round of every cell, for `dvc metrics diff`."""
    summary: dict[str, Any] = {"without": {"knn": dict(spread(without))}} if without else {}
    for cell, runs in cells.items():
        last = last_round(runs)
        keys = ("clicks", "related", "related_purity", "accuracy")
        figures = {key: values for key in keys if (values := column(runs, last, key))}
        summary[cell.name] = {key: dict(spread(values)) for key, values in figures.items()}
    return summary


def table(profile: str, cells: Cells, name: str, without: list[float]) -> str:
    """Return the Markdown table: a row for each round of each cell."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    one = runs[0]
    head = [
        f"### Accuracy against questions on {one['data']}, {AUGMENTATION}, profile `{profile}`",
        "",
        f"Ours. An oracle of labels is asked, {one['method']} trained on what follows from its answers, and so on; the "
        f"first questions are chosen in the space of {one['space']}, later ones in that of the network. Pairs cost a "
        f"click, grids of {one['grid']} one for each image selected and one to send them. *Related*: pairs known to be "
        "related by closure, and the share of them that truly are; *wrong*: share of the answers that are, and "
        f"contradictory ones are settled by {one['policy']}. k-NN top-1 in percent on the test images, mean ± "
        f"standard deviation over seeds. {said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.",
        "",
        "| strategy | wrong | questions | clicks | answers | related | rightly | k-NN | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
        f"| {name} |  | 0 | 0 | 0 | 0 |  | {shown_spread(without)} | {len(without)} |",
    ]
    body = [_row(cell, runs, number) for cell, runs in cells.items() for number in range(1, last_round(runs) + 1)]
    return "\n".join([*head, *body])


def _row(cell: OracleCell, runs: list[Run], number: int) -> str:
    """Return a round's row; counts are means over the seeds."""
    counts = [_mean(column(runs, number, key)) for key in ("questions", "clicks", "answers", "related")]
    purity = column(runs, number, "related_purity")
    rightly = f"{100 * sum(purity) / len(purity):.1f} %" if purity else ""
    scores = shown_spread(column(runs, number, "accuracy"))
    return f"| {' | '.join([cell.strategy, f'{100 * cell.noise:g} %', *counts, rightly, scores, str(len(runs))])} |"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.0f}"


if __name__ == "__main__":
    run(main, "profile")
