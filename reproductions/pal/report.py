"""PAL in the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from reproductions.layout import results
from reproductions.pal.circles_names import EXPERIMENTS, result
from reproductions.pal.circles_table import YES, Claim, compare, load_claims, ordered
from reproductions.pal.circles_table import read as read_circles
from reproductions.pal.figures import draw as draw_circles
from reproductions.pal.images_cells import Cell
from reproductions.pal.images_figure import draw as draw_images
from reproductions.pal.images_figure import untrained, varied
from reproductions.pal.images_table import gaps, values
from reproductions.pal.images_table import read as read_images
from reproductions.pal.names import PAPER
from reproductions.pal.oracle_cells import OracleCell
from reproductions.pal.oracle_figure import draw as draw_oracle
from reproductions.pal.oracle_table import Cells as OracleCells
from reproductions.pal.oracle_table import column, control, last_round
from reproductions.pal.oracle_table import read as read_oracle
from reproductions.reporting.finding import AGREES, DIFFERS, OURS, THEIRS, Figure, Finding, Paper, Reading, judge
from reproductions.spread import shown_spread

IMAGES = "ours: the paper's tables of images were not to be had"
RELATIONS, ALPHA = 0.01, 0.9
POINTS = "points of k-NN"


def findings(profiles: Sequence[str]) -> list[Finding]:
    """Return the experiments on circles, learning from relations, and asking for them."""
    return [*_circles(profiles), *_images(profiles), *_oracle(profiles)]


def _circles(profiles: Sequence[str]) -> list[Finding]:
    return [
        Finding(
            claim=claim["text"],
            provenance=claim["provenance"],
            source=THEIRS,
            theirs=f"{sum(map(len, claim['curves'].values()))} means ({claim['setting']})",
            ours={profile: _agreement(name, claim, profile) for profile in profiles if result(profile, name).exists()},
        )
        for name, claim in load_claims().items()
    ]


def _agreement(name: str, claim: Claim, profile: str) -> Reading:
    content = read_circles(profile, name, claim)
    rows = [row for of_curve in compare(content, claim).values() for row in of_curve.values()]
    within = sum(row["within"] == YES for row in rows)
    errors = [row for row in rows if row["band"] == claim["band"]]  # and no counts of components
    farthest = max(errors, key=lambda row: abs(row["difference"]))
    apart = f"apart by at most {abs(farthest['difference']):.3f} of error"
    shown = f"{within} of {len(rows)} means within {claim['band']} of theirs, {apart} ({content['trials']} trials)"
    agreed = AGREES if within == len(rows) else DIFFERS
    told = "Every mean is" if agreed == AGREES else f"{len(rows) - within} of {len(rows)} means are not"
    return Reading(shown, agreed, " ".join([f"{told} within the band.", *_orders(content, claim)]))


def _orders(content: dict[str, Any], claim: Claim) -> list[str]:
    """Return whether the claimed order of curves is there, by the authors' protocol and by the clean one."""
    told = []
    for protocol, name in (("authors", "by their protocol"), ("clean", "by the clean one")):
        found = ordered(content, claim, protocol)
        if found:
            missed = ", ".join(f"{x:g}" for x, holds in found.items() if not holds)
            where = f"all but {missed} {claim['x']}" if missed else f"all {len(found)} points"
            told.append(f"{where} {name}")
    return [f"The claimed order is there at {'; at '.join(told)}."] if told else []


def _images(profiles: Sequence[str]) -> list[Finding]:
    cells = {profile: read_images(results(profile, PAPER) / "images") for profile in profiles}
    methods = sorted({cell.method for of_profile in cells.values() for cell in of_profile})
    found = []
    for method in methods:
        cell = Cell(method, RELATIONS, ALPHA, 0.0)
        ours = {}
        for profile, of_profile in cells.items():
            ahead = gaps(of_profile, cell, "knn") if cell in of_profile else []
            if ahead:
                scores = [shown_spread(values(of_profile[c], "knn")) for c in (cell._replace(alpha=0.0), cell)]
                before = shown_spread(untrained(of_profile, "knn")[method])
                shown = f"k-NN {scores[0]} → {scores[1]}, untrained {before}"
                ours[profile] = Reading(shown, *judge(ahead, POINTS))
        claim = f"pal_{method} with {RELATIONS:.0%} of the relations at α {ALPHA} is ahead of the same at α 0"
        if ours:
            found.append(Finding(claim, IMAGES, OURS, ours=ours))
    return found


def _oracle(profiles: Sequence[str]) -> list[Finding]:
    cells = {profile: read_oracle(results(profile, PAPER) / "oracle") for profile in profiles}
    found = []
    for strategy in ("active", "merging"):
        ours = {p: reading for p, of_profile in cells.items() if (reading := _asked(of_profile, strategy))}
        claim = f"Questions chosen by {strategy} teach more than random pairs for no fewer clicks"
        found.append(Finding(claim, IMAGES, OURS, ours=ours))
    ours = {p: reading for p, of_profile in cells.items() if (reading := _taught(of_profile, p))}
    found.append(Finding("An oracle's answers teach more than none", IMAGES, OURS, ours=ours))
    return [finding for finding in found if finding.ours]


def _asked(cells: OracleCells, strategy: str) -> Reading | None:
    """Return how far a strategy is ahead of random pairs, after its last round that cost no more clicks than theirs."""
    ours, theirs = (cells.get(OracleCell(name, 0.0), []) for name in (strategy, "random"))
    if not ours or not theirs:
        return None
    end = last_round(theirs)
    most = min(column(theirs, end, "clicks"))
    within = [n for n in range(1, last_round(ours) + 1) if max(column(ours, n, "clicks")) <= most]
    if not within:
        return None
    rounds = ((theirs, end), (ours, within[-1]))
    base = {run["seed"]: run["curve"][end]["accuracy"] for run in theirs}
    ahead = [run["curve"][within[-1]]["accuracy"] - base[run["seed"]] for run in ours if run["seed"] in base]
    scores = [shown_spread(column(runs, number, "accuracy")) for runs, number in rounds]
    clicks = [f"{sum(column(runs, number, 'clicks')) / len(runs):.0f}" for runs, number in rounds]
    shown = f"k-NN {scores[0]} ({clicks[0]} clicks) → {scores[1]} ({clicks[1]} clicks)"
    return Reading(shown, *judge(ahead, POINTS)) if ahead else None


def _taught(cells: OracleCells, profile: str) -> Reading | None:
    """Return how far `active` is ahead of the best run that learnt from no relation."""
    runs = cells.get(OracleCell("active", 0.0), [])
    name, without = control(results(profile, PAPER) / "images")
    if not runs or not without:
        return None
    scores = column(runs, last_round(runs), "accuracy")
    which = f"the best of {len(without)} seeds" if len(without) > 1 else "one seed"
    shown = f"k-NN {max(without):.2f} ({name}, {which}) → {shown_spread(scores)}"
    return Reading(shown, *judge([score - max(without) for score in scores], POINTS))


def figures(profile: str) -> list[Figure]:
    """Return the circles, accuracy against relations, and accuracy against clicks."""
    claims, found = load_claims(), []
    for name in EXPERIMENTS:
        if result(profile, name).exists():
            content = read_circles(profile, name, claims[name])
            alt = f"circles, {name}: our curves and the authors' numbers"
            found.append(Figure(f"circles_{name}", alt, partial(draw_circles, content=content, claim=claims[name])))
    images = read_images(results(profile, PAPER) / "images")
    if images:
        alt = f"accuracy against {' and '.join(varied(images))}, with the untrained network of each method"
        found.append(Figure("images", alt, partial(draw_images, profile=profile, cells=images)))
    oracle = read_oracle(results(profile, PAPER) / "oracle")
    if oracle:
        _, without = control(results(profile, PAPER) / "images")
        drawn = partial(draw_oracle, profile=profile, cells=oracle, without=without)
        found.append(Figure("oracle", "known pairs, how many are right, and accuracy, against clicks", drawn))
    return found


REPORT = Paper(
    name=PAPER,
    title="PAL",
    arxiv="2303.15256",
    idea="A similarity graph is filled in by a few cheap questions to an oracle, and losses take the graph: known "
    "relations are mixed into the graph of augmentations with weight α.",
    findings=findings,
    figures=figures,
    tables=(f"{PAPER}_circles", f"{PAPER}_images", f"{PAPER}_oracle"),
)
