"""Stage `pal_images_table`: one table, one small metrics file and one figure from the image runs of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path, write_json
from reproductions.layout import ROOT, results
from reproductions.pal.images_cells import AUGMENTATION, Cell
from reproductions.pal.images_figure import draw, untrained
from reproductions.pal.names import PAPER
from reproductions.reading import Run, read_runs, top1
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run

READINGS = ("knn", "linear")


def main(profile: str) -> None:
    """Summarise the image runs of a profile, print the table, and write it beside them."""
    cells = read(results(profile, PAPER) / "images")
    text = table(profile, cells) + "\n"
    stem = f"{PAPER}_images"
    folder = ROOT / "results" / profile
    write_json(folder / f"{stem}.json", summarise(cells))
    with atomic_path(folder / f"{stem}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(folder / f"{stem}.png", profile, cells)
    print(f"\n{text}\nwritten to {folder / stem}.md, .json, .png")


def read(folder: Path) -> dict[Cell, list[Run]]:
    """Return the runs of each cell, by method, relations, α and noise, the seeds of a cell in order."""
    return dict(sorted(read_runs(folder, Cell.parse, top1(*READINGS)).items()))


def control(cell: Cell) -> Cell:
    """Return the cell with as many relations, all right, and α = 0: the same batches, unless some of ours are wrong."""
    return cell._replace(alpha=0.0, noise=0.0)


def values(runs: list[Run], reading: str) -> list[float]:
    """Return the runs' top-1 accuracies, one a seed."""
    return [run["metrics"][reading]["top1"] for run in runs]


def gaps(cells: dict[Cell, list[Run]], cell: Cell, reading: str) -> list[float]:
    """Return what a cell is ahead of its control by, in points, for each seed that both have."""
    if control(cell) == cell:
        return []
    base = {run["seed"]: run for run in cells.get(control(cell), [])}
    both = [run for run in cells[cell] if run["seed"] in base]
    ours, theirs = values(both, reading), values([base[run["seed"]] for run in both], reading)
    return [round(a - b, 2) for a, b in zip(ours, theirs, strict=True)]


def summarise(cells: dict[Cell, list[Run]]) -> dict[str, Any]:
    """Return mean, standard deviation and count of every cell, and the least gap to α = 0, for `dvc metrics diff`."""
    summary: dict[str, Any] = {}
    for cell, runs in cells.items():
        readings: dict[str, Any] = {reading: dict(spread(values(runs, reading))) for reading in READINGS}
        for reading in READINGS:
            ahead = gaps(cells, cell, reading)
            readings[reading] |= {"least_gap_to_alpha_0": min(ahead)} if ahead else {}
        summary[cell.name] = readings
    return summary


def table(profile: str, cells: dict[Cell, list[Run]]) -> str:
    """Return the Markdown table of all cells."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    images = runs[0]["images"]
    head = [
        f"### Relations on {runs[0]['data']}, {AUGMENTATION}, profile `{profile}`",
        "",
        f"Ours: the paper's image tables were not to be had. {images['train']} training images, {images['test']} test "
        "images, top-1 in percent, mean ± standard deviation over seeds. *Relations*: the share of all pairs that "
        "the oracle tells, by the labels of so many images; "
        "*edges*: known pairs in a batch; *gap*: least difference to α = 0 with as many relations and the same seed. "
        f"{said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.",
        "",
        "| method | relations (images) | α | wrong labels | edges | k-NN | gap | linear probe | gap | seeds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(cells, cell) for cell in cells), *_untrained(cells)])


def _row(cells: dict[Cell, list[Run]], cell: Cell) -> str:
    runs = cells[cell]
    scores = []
    for reading in READINGS:
        ahead = gaps(cells, cell, reading)
        scores += [shown_spread(values(runs, reading)), f"{min(ahead):+.2f}" if ahead else ""]
    if cell.relations == 0:
        known, alpha, noise, edges = "none: plain " + cell.method, "", "", ""
    else:
        known = f"{100 * cell.relations:g} % ({runs[0]['known_images']})"
        alpha, noise, edges = f"{cell.alpha:g}", f"{100 * cell.noise:g} %", f"{runs[0]['oracle_edges']:.0f}"
    return f"| {' | '.join([runs[0]['method'], known, alpha, noise, edges, *scores, str(len(runs))])} |"


def _untrained(cells: dict[Cell, list[Run]]) -> list[str]:
    """Return the row of each method's network before training, over the seeds."""
    knn, linear = (untrained(cells, reading) for reading in READINGS)
    return [
        f"| untrained network of {method} |  |  |  |  | {shown_spread(scores)} |  | {shown_spread(linear[method])} |  "
        f"| {len(scores)} |"
        for method, scores in knn.items()
    ]


if __name__ == "__main__":
    run(main, "profile")
