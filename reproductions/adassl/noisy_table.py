"""Stage `adassl_noisy_table`: one table, one small metrics file and one figure from the runs on noisy pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

from pal_plugin.io import atomic_path, write_json
from reproductions.adassl.names import PAPER
from reproductions.adassl.noisy_cells import ARMS, NOISES, PRIORS, Cell, table
from reproductions.adassl.noisy_figure import draw
from reproductions.layout import results
from reproductions.markdown import heading, row
from reproductions.reading import Run, read_runs, top1
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run

Cells: TypeAlias = dict[Cell, list[Run]]
READINGS = {"knn": "k-NN", "linear": "linear probe"}
BASE = "vanilla"
# of the log's last line, with what each is called
LOGGED = {
    "kl": "KL, nats",
    "active_l0": "open gates",
    "loss_posterior": "loss, r from posterior",
    "loss_prior": "from prior",
    "loss_shuffled": "from another pair",
}


def main(profile: str) -> None:
    """Summarise the runs of a profile, print the tables, and write them."""
    cells = read(results(profile, PAPER) / "noisy")
    text = markdown(profile, cells)
    write_json(table(profile, ".json"), summarise(cells))
    with atomic_path(table(profile, ".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(table(profile, ".png"), profile, cells)
    print(f"\n{text}\nwritten to {table(profile, '.md')}, .json, .png")


def read(folder: Path) -> Cells:
    """Return the runs of each cell in the order of the grid, the seeds of a cell in order."""
    cells = read_runs(folder, Cell.parse, top1(*READINGS))
    order = [(*NOISES, *PRIORS), tuple(ARMS)]
    found = sorted(cells, key=lambda cell: (order[0].index(cell.pairs), order[1].index(cell.arm)))
    return {cell: cells[cell] for cell in found}


def values(runs: list[Run], reading: str, of: str = "metrics") -> list[float]:
    """Return the runs' top-1 accuracies, one a seed."""
    return [run[of][reading]["top1"] for run in runs]


def gaps(cells: Cells, cell: Cell, reading: str) -> list[float]:
    """Return by how much a cell is ahead of SimCLR on the same pairs, for each seed that both have."""
    base = {run["seed"]: run for run in cells.get(cell._replace(arm=BASE), [])}
    both = [run for run in cells.get(cell, []) if run["seed"] in base]
    theirs = values([base[run["seed"]] for run in both], reading)
    return [round(a - b, 2) for a, b in zip(values(both, reading), theirs, strict=True)]


def summarise(cells: Cells) -> dict[str, Any]:
    """Return mean, deviation and count of every cell, and its gap to SimCLR on the same pairs, seed by seed."""
    return {
        cell.name: {
            reading: {
                **spread(values(runs, reading)),
                **({} if cell.arm == BASE else {"gaps": gaps(cells, cell, reading)}),
            }
            for reading in READINGS
        }
        for cell, runs in cells.items()
    }


def markdown(profile: str, cells: Cells) -> str:
    """Return all tables in Markdown."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    images = runs[0]["images"]
    head = (
        f"### Noisy pairs on {runs[0]['data']}, {runs[0]['augmentation']}, profile `{profile}`\n\n"
        "Ours, after the authors' recipe for iNat-1M. A pair is two images of one class, or with the probability "
        "*noise* only of one coarse class, animal or vehicle; or an image and one of its 4 nearest neighbours in the "
        "space of a weak prior. *Purity*: share of the pairs that are of one class. SimCLR is variant vanilla of "
        "adassl_simclr, the same loss and networks without r. Top-1 on 10 classes in percent, mean ± standard "
        "deviation over seeds, gaps to SimCLR on the same pairs seed by seed. "
        f"{images['train']} training images, {images['test']} test images, {said_by_all(runs, 'steps')} steps; "
        f"{said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.\n"
    )
    return "\n".join([head, *(_scores(cells, reading) for reading in READINGS), _use(cells)])


def said_by_all(runs: list[Run], key: str) -> str:
    """Return the numbers that runs have under `key`, joined."""
    return " and ".join(map(str, sorted({run[key] for run in runs})))


def _scores(cells: Cells, reading: str) -> str:
    others = [arm for arm in ARMS if arm != BASE]
    names = ["pairs", "purity", ARMS[BASE], *(name for arm in others for name in (ARMS[arm], "gap")), "seeds"]
    lines = [f"#### {READINGS[reading]}", "", *heading(names)]
    for pairs in dict.fromkeys(cell.pairs for cell in cells):
        found = {arm: cells.get(Cell(arm, pairs), []) for arm in ARMS}
        told = [_shown(values(found[BASE], reading))]
        for arm in others:
            told += [_shown(values(found[arm], reading)), _signed(gaps(cells, Cell(arm, pairs), reading))]
        pure = next(run["purity"] for runs in found.values() for run in runs)
        seeds = sorted({len(runs) for runs in found.values() if runs})
        lines.append(row([_pairs(pairs), f"{pure:.3f}", *told, " or ".join(map(str, seeds))]))
    by_seed = {run["seed"]: run for runs in cells.values() for run in runs}
    untrained = shown_spread(values(list(by_seed.values()), reading, "untrained"))
    lines.append(row(["untrained network", "", untrained, *[""] * 2 * len(others), str(len(by_seed))]))
    return "\n".join(lines) + "\n"


def _use(cells: Cells) -> str:
    names = ["pairs", "method", *LOGGED.values()]
    lines = [
        "#### Is r used?",
        "",
        "Of the last training steps logged. As good a loss by the prior as by the posterior: r tells nothing of the "
        "partner.",
        "",
        *heading(names),
    ]
    for cell, runs in cells.items():
        if cell.arm != BASE:
            told = [[run["log"][key] for run in runs if key in run["log"]] for key in LOGGED]
            lines.append(row([_pairs(cell.pairs), ARMS[cell.arm], *(_shown(found) for found in told)]))
    return "\n".join(lines) + "\n"


def _pairs(pairs: float | str) -> str:
    return f"neighbours by {pairs}" if isinstance(pairs, str) else f"noise {pairs:g}"


def _shown(numbers: list[float]) -> str:
    return shown_spread(numbers) if numbers else ""


def _signed(numbers: list[float]) -> str:
    return ", ".join(f"{number:+.2f}" for number in numbers)


if __name__ == "__main__":
    run(main, "profile")
