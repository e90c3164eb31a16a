"""Stage `gps_table`: one table, one small metrics file and one figure from the result files of a profile."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import yaml

from pal_plugin.io import atomic_path, write_json
from reproductions.curves import join_curves
from reproductions.gps_ssl.figure import draw
from reproductions.gps_ssl.names import BASELINE, GPS, PAPER
from reproductions.layout import ROOT, results
from reproductions.stage import run

Result = dict[str, Any]
READINGS = ("knn", "linear")
ARMS = ("untrained", BASELINE, GPS)


def main(profile: str) -> None:
    """Summarise the runs of a profile, print the table, and write it beside them."""
    runs = read(results(profile, PAPER))
    claims = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
    groups = {group: select(runs, group) for group in sorted({(r["base"], r["augmentation"]) for r in runs})}
    summary = {"_".join(group): summarise(chosen) for group, chosen in groups.items()}
    text = "\n\n".join(table(profile, *group, chosen, claims) for group, chosen in groups.items()) + "\n"
    folder = ROOT / "results" / profile
    write_json(folder / f"{PAPER}.json", summary)
    with atomic_path(folder / f"{PAPER}.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    join_curves(folder / f"{PAPER}_curves.csv", [results(profile, PAPER) / f"{run['run']}.csv" for run in runs])
    draw(folder / f"{PAPER}.png", profile, groups)
    print(f"\n{text}\nwritten to {folder / PAPER}.md, .json, .png")


def read(folder: Path) -> list[Result]:
    """Return the result files of a folder, each with its host method as `base`."""
    files = sorted(folder.glob("*-*.json"))
    runs = [json.loads(file.read_text(encoding="utf-8")) | {"run": file.stem} for file in files]
    return [run | {"base": run["method"].removeprefix("gps_")} for run in runs]


def select(runs: Iterable[Result], group: tuple[str, str]) -> list[Result]:
    """Return the runs of a (method, augmentation)."""
    return [run for run in runs if (run["base"], run["augmentation"]) == group]


def values(runs: Iterable[Result], arm: str, reading: str) -> list[float]:
    """Return an arm's top-1 accuracies, one a seed; `untrained` is read from the baseline's result files."""
    if arm == "untrained":
        return [run["untrained"][reading]["top1"] for run in runs if run["arm"] == BASELINE]
    return [run["metrics"][reading]["top1"] for run in runs if run["arm"] == arm]


def gaps(runs: list[Result], reading: str) -> list[float]:
    """Return GPS minus baseline of each seed that has both, in points."""
    by_arm = {(r["arm"], r["seed"]): r["metrics"][reading]["top1"] for r in runs}
    seeds = sorted({seed for _, seed in by_arm})
    both = [s for s in seeds if (BASELINE, s) in by_arm and (GPS, s) in by_arm]
    return [by_arm[GPS, seed] - by_arm[BASELINE, seed] for seed in both]


def summarise(runs: list[Result]) -> dict[str, Any]:
    """Return mean, standard deviation and count of every arm, and the gap's mean and least value over seeds."""
    summary: dict[str, Any] = {}
    for reading in READINGS:
        scores = {arm: values(runs, arm, reading) for arm in ARMS}
        summary[reading] = {arm: spread(of_arm) for arm, of_arm in scores.items() if of_arm}
        differences = gaps(runs, reading)
        if differences:
            summary[reading]["gap"] = {"mean": round(mean(differences), 2), "least": round(min(differences), 2)}
    return summary


def spread(numbers: list[float]) -> dict[str, float | int]:
    """Return mean, sample standard deviation (0 for one number) and count."""
    deviation = stdev(numbers) if len(numbers) > 1 else 0.0
    return {"mean": round(mean(numbers), 2), "std": round(deviation, 2), "seeds": len(numbers)}


def table(profile: str, method: str, augmentation: str, runs: list[Result], claims: list[dict[str, Any]]) -> str:
    """Return the Markdown table of a (method, augmentation), the paper's numbers beside ours."""
    claim = next((c for c in claims if (c["method"], c["augmentation"]) == (method, augmentation)), None)
    paper = {arm: "not available" if claim is None or arm not in claim else f"{claim[arm]['value']}" for arm in ARMS}
    shown = runs[0]
    head = [
        f"### {method} on {shown['data']}, {augmentation}, profile `{profile}`",
        "",
        f"{shown['images']['train']} training images, {shown['images']['test']} test images, top-1 in percent, "
        f"mean ± standard deviation over seeds; {shown['hardware']}; commit {shown['commit']}.",
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
        ours = [f"{mean(d):+.2f} (least {min(d):+.2f})" for d in differences]
        far = "not available" if claim is None else f"{claim['gps']['value'] - claim['baseline']['value']:+.2f}"
        body.append(f"| gap | {ours[0]} | {ours[1]} | {len(differences[0])} | {far} |")
    source = [] if claim is None else ["", f"Paper: {claim['setting']}; {claim['gps']['provenance']}."]
    return "\n".join([*head, *body, *source])


def shown_spread(numbers: list[float]) -> str:
    """Return `mean ± standard deviation`, or that there is nothing."""
    if not numbers:
        return "not run"
    summary = spread(numbers)
    return f"{summary['mean']:.2f} ± {summary['std']:.2f}"


def label(arm: str, method: str) -> str:
    """Return what a reader calls an arm."""
    return {"untrained": "untrained network", BASELINE: method, GPS: f"gps_{method}"}[arm]


if __name__ == "__main__":
    run(main, "profile")
