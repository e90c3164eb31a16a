"""Stage `zero_shot_table`: one table, one small metrics file and one figure from the runs of a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pal_plugin.io import atomic_path, write_json
from reproductions.layout import results
from reproductions.markdown import heading, row
from reproductions.reading import read_result
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run
from reproductions.zero_shot_al.figure import draw
from reproductions.zero_shot_al.names import ARMS, NONE, PAPER, RANDOM, Cell, self_supervised, table
from reproductions.zero_shot_al.runs import Cells, budgets, gaps, random_runs, read, side, values

CLAIMS = Path(__file__).parent / "claims.yaml"


def main(profile: str) -> None:
    """Summarise the runs of a profile, print the tables, and write them."""
    cells = read(results(profile, PAPER) / "runs")
    files = sorted(results(profile, PAPER).glob("features/*.json"))
    features = [
        read_result(file, lambda one: (one["features"], one["dimensions"], float(one["purity"]))) for file in files
    ]
    text = markdown(profile, cells, features, yaml.safe_load(CLAIMS.read_text(encoding="utf-8")))
    write_json(table(profile, ".json"), summarise(cells))
    with atomic_path(table(profile, ".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(table(profile, ".png"), profile, cells)
    print(f"\n{text}\nwritten to {table(profile, '.md')}, .json, .png")


def summarise(cells: Cells) -> dict[str, Any]:
    """Return mean, deviation and count of every cell's top-1 at every budget, and its gaps to random seed by seed."""
    summary: dict[str, Any] = {}
    for cell, runs in cells.items():
        of_cell = summary.setdefault(cell.name, {})
        for budget in budgets(cells):
            found = values(runs, budget, "top1")
            if found:
                ahead = list(gaps(runs, random_runs(cells), budget).values())
                of_cell[f"b{budget}"] = {
                    **spread(found),
                    **({} if cell.arm == RANDOM else {"gaps_to_random": ahead}),
                    "kl_to_uniform": spread(values(runs, budget, "kl_to_uniform"))["mean"],
                }
    return summary


def markdown(profile: str, cells: Cells, features: list[dict[str, Any]], claims: dict[str, Any]) -> str:
    """Return all tables in Markdown."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    one = runs[0]
    steps = {run["metrics"][f"b{budget}"]["steps"] for run in runs for budget in budgets({Cell(NONE, RANDOM): [run]})}
    about = f"{min(steps)} to {max(steps)}" if len(steps) > 1 else f"{min(steps)}"
    head = (
        f"### Which images to label: {one['data']}, profile `{profile}`\n\n"
        f"All {one['images']['pool']} images are ordered once; a {one['network']} is trained from nothing on the first "
        f"ones ({one['augmentation']}; {about} steps) and read on {one['images']['test']} test images. Top-1 in "
        "percent, mean ± standard deviation over seeds; *gap*: to as many images at random, seed by seed. Features are "
        "runs of GPS-SSL's stages (METHOD-AUGMENTATION-ARM-SEED), priors, or the network before training. "
        f"{said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.\n"
    )
    parts = [head, _accuracies(cells), _choices(cells), _orders(cells, claims)]
    return "\n".join([*parts, *([_spaces(features)] if features else [])])


def _accuracies(cells: Cells) -> str:
    wanted = budgets(cells)
    lines = ["#### Accuracy", "", *heading(["features", "chosen by", *_columns(wanted, "labels", "gap"), "seeds"])]
    for cell, runs in cells.items():
        told = []
        for budget in wanted:
            ahead = gaps(runs, random_runs(cells), budget).values()
            told += [_shown(values(runs, budget, "top1"))]
            told += ["" if cell.arm == RANDOM else ", ".join(f"{gap:+.2f}" for gap in ahead)]
        lines.append(row([*_named(cell), *told, str(len(runs))]))
    return "\n".join(lines) + "\n"


def _choices(cells: Cells) -> str:
    wanted = budgets(cells)
    lines = [
        "#### What was chosen",
        "",
        "*KL*: divergence of class frequencies from equal ones, in nats. *s*: seconds to choose so many, features at "
        "hand; of Core-Set with its trainings.",
        "",
        *heading(["features", "chosen by", *_columns(wanted, "labels: KL", "s")]),
    ]
    for cell, runs in cells.items():
        told = []
        for budget in wanted:
            told += [_shown(values(runs, budget, "kl_to_uniform")), _shown(values(runs, budget, "select_s")[:1])]
        lines.append(row([*_named(cell), *told]))
    return "\n".join(lines) + "\n"


def claimed_by(claim: dict[str, Any], features: str) -> tuple[str, bool]:
    """Return where a claim about features is from, and whether it is the paper's: its are of self-supervised ones."""
    if claim["paper"] and not self_supervised(features):
        return "ours: the paper's claim is of self-supervised features", False
    return claim["provenance"], claim["paper"]


def _orders(cells: Cells, claims: dict[str, Any]) -> str:
    wanted = budgets(cells)
    lines = [
        "#### Orders",
        "",
        f"The paper's are from {claims['source']}. Its accuracies: {claims['accuracies']}.",
        "",
        *heading(["claim", "from", "features", *(f"{budget} labels" for budget in wanted)]),
    ]
    for claim in claims["orders"]:
        for features in dict.fromkeys(cell.features for cell in cells if cell.features != NONE):
            ahead, behind = (side(cells, features, claim[which]) for which in ("ahead", "behind"))
            told = [", ".join(f"{gap:+.2f}" for gap in gaps(ahead, behind, budget).values()) for budget in wanted]
            if any(told):
                lines.append(row([claim["text"], claimed_by(claim, features)[0], features, *told]))
    return "\n".join(lines) + "\n"


def _spaces(features: list[dict[str, Any]]) -> str:
    lines = [
        "#### Features",
        "",
        "*Purity*: share of an image's 4 nearest that are of its class.",
        "",
        *heading(["features", "dimensions", "purity"]),
    ]
    lines += [row([one["features"], str(one["dimensions"]), f"{one['purity']:.3f}"]) for one in features]
    return "\n".join(lines) + "\n"


def _columns(wanted: list[int], first: str, second: str) -> list[str]:
    return [name for budget in wanted for name in (f"{budget} {first}", second)]


def _named(cell: Cell) -> list[str]:
    return ["" if cell.features == NONE else cell.features, ARMS[cell.arm].label]


def _shown(numbers: list[float]) -> str:
    return shown_spread(numbers) if numbers else ""


if __name__ == "__main__":
    run(main, "profile")
