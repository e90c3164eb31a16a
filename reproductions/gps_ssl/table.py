"""Stage `gps_table`: one table, one small metrics file and one figure from the result files of a profile."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import yaml

from pal_plugin.io import atomic_path, write_json
from reproductions.curves import join_curves
from reproductions.gps_ssl.figure import draw
from reproductions.gps_ssl.graphs import graph_table, other_graphs
from reproductions.gps_ssl.names import ARMS, BASELINE, GPS, PAPER, READINGS
from reproductions.gps_ssl.numbers import asked, gaps, summarise, values
from reproductions.layout import ROOT, results
from reproductions.reading import Run, read_result, top1
from reproductions.spread import said_by, shown_spread
from reproductions.stage import run


def main(profile: str) -> None:
    """Summarise the runs of a profile, print the table, and write it beside them."""
    runs = read(results(profile, PAPER))
    of_prior = results(profile, PAPER) / "prior.json"
    prior = read_result(of_prior, top1(*READINGS)) if of_prior.exists() else None
    claims = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
    groups = {group: select(runs, group) for group in sorted({(r["base"], r["augmentation"]) for r in runs})}
    graphs = other_graphs(results(profile, PAPER), runs)
    summary = {"_".join(group): summarise(chosen) for group, chosen in groups.items()}
    summary |= {"graphs": {graph: summarise(chosen) for graph, chosen in graphs.items()}} if graphs else {}
    parts = [table(profile, *group, chosen, claims, prior) for group, chosen in groups.items()]
    text = "\n\n".join([*parts, *([graph_table(profile, graphs)] if graphs else [])]) + "\n"
    folder = ROOT / "results" / profile
    write_json(folder / f"{PAPER}.json", summary)
    with atomic_path(folder / f"{PAPER}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    join_curves(folder / f"{PAPER}_curves.csv", [results(profile, PAPER) / f"{run['run']}.csv" for run in runs])
    draw(folder / f"{PAPER}.png", profile, groups, graphs)
    print(f"\n{text}\nwritten to {folder / PAPER}.md, .json, .png")


def read(folder: Path) -> list[Run]:
    """Return the result files of a folder, each with its host method as `base`."""
    files = sorted(folder.glob("*-*.json"))
    needed = ("method", "augmentation", "images")
    runs = [read_result(file, lambda run: (asked(run), [run[key] for key in needed])) for file in files]
    runs = [run | {"run": file.stem} for file, run in zip(files, runs, strict=True)]
    return [run | {"base": run["method"].removeprefix("gps_")} for run in runs]


def select(runs: Iterable[Run], group: tuple[str, str]) -> list[Run]:
    """Return the runs of a (method, augmentation)."""
    return [run for run in runs if (run["base"], run["augmentation"]) == group]


def table(
    profile: str,
    method: str,
    augmentation: str,
    runs: list[Run],
    claims: list[dict[str, Any]],
    prior: Run | None = None,
) -> str:
    """Return the Markdown table of a (method, augmentation), the paper's numbers beside ours.

    Args:
        profile: for the heading.
        method: a host method.
        augmentation: as in the runs.
        runs: of this group.
        claims: of the paper.
        prior: the probe of the prior that the graph was made with.
    """
    claim = next((c for c in claims if (c["method"], c["augmentation"]) == (method, augmentation)), None)
    paper = {arm: "not available" if claim is None or arm not in claim else f"{claim[arm]['value']}" for arm in ARMS}
    shown = runs[0]
    head = [
        f"### {method} on {shown['data']}, {augmentation}, profile `{profile}`",
        "",
        f"{shown['images']['train']} training images, {shown['images']['test']} test images, top-1 in percent, "
        f"mean ± standard deviation over seeds; {said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.",
        "",
        "| | k-NN | linear probe | seeds | paper, linear probe |",
        "|---|---|---|---|---|",
    ]
    body = []
    for arm in ARMS:
        scores = [values(runs, arm, reading) for reading in READINGS]
        cells = [shown_spread(numbers) for numbers in scores]
        body.append(f"| {label(arm, method)} | {cells[0]} | {cells[1]} | {len(scores[0])} | {paper[arm]} |")
    differences = [gaps(runs, reading) for reading in READINGS]
    if all(differences):
        ours = [f"{mean(d):+.2f}" + (f" (least {min(d):+.2f})" if len(d) > 1 else "") for d in differences]
        far = "not available" if claim is None else f"{claim['gps']['value'] - claim['baseline']['value']:+.2f}"
        body.append(f"| gap | {ours[0]} | {ours[1]} | {len(differences[0])} | {far} |")
    if prior is not None:
        itself = [f"{prior['metrics'][reading]['top1']:.2f}" for reading in READINGS]
        note = f"{prior['images']['test']} test images"
        body.append(f"| the prior itself, {prior['prior']} | {itself[0]} | {itself[1]} | {note} | not available |")
    source = [] if claim is None else ["", f"Paper: {claim['setting']}; {claim['gps']['provenance']}."]
    return "\n".join([*head, *body, *source])


def label(arm: str, method: str) -> str:
    """Return what a reader calls an arm."""
    return {"untrained": "untrained network", BASELINE: method, GPS: f"gps_{method}"}[arm]


if __name__ == "__main__":
    run(main, "profile")
