"""GPS-SSL in the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from reproductions.curves_figure import draw as draw_curves
from reproductions.curves_figure import read as read_curves
from reproductions.gps_ssl.figure import draw
from reproductions.gps_ssl.graphs import other_graphs
from reproductions.gps_ssl.names import BASELINE, GPS, PAPER
from reproductions.gps_ssl.numbers import gaps, values
from reproductions.gps_ssl.table import read, select
from reproductions.layout import ROOT, results
from reproductions.reading import Run
from reproductions.reporting.finding import NOT_AVAILABLE, OURS, THEIRS, Figure, Finding, Paper, Reading, judge
from reproductions.spread import shown_spread

READINGS = {"linear": "linear probe", "knn": "k-NN"}
WEAK = "flip_only"
STRONG = (
    "ours: the paper's claim is of weak augmentation; under a strong one GPS-SSL can be behind, most of all on "
    "CIFAR-10 (second-hand)"
)


def findings(profiles: Sequence[str]) -> list[Finding]:
    """Return whether GPS is ahead of the method without the graph, where that was run, and what no stage tries."""
    claims, untried = (
        yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
        for name in ("claims.yaml", "untried.yaml")
    )
    by_profile = {profile: read(results(profile, PAPER)) for profile in profiles}
    groups = sorted({(run["base"], run["augmentation"]) for runs in by_profile.values() for run in runs})
    found = [_finding(group, by_profile, claims) for group in groups]
    not_run = [Finding(claim["text"], claim["provenance"], THEIRS, claim["theirs"]) for claim in untried]
    return sorted([*found, *not_run], key=lambda finding: finding.source == OURS)


def _finding(group: tuple[str, str], runs: dict[str, list[Run]], claims: list[dict[str, Any]]) -> Finding:
    method, augmentation = group
    claim = next((c for c in claims if (c["method"], c["augmentation"]) == group), None)
    found = {profile: _reading(select(of_profile, group), claim) for profile, of_profile in runs.items()}
    weak = "the paper claims it of weak augmentation; its number for this method was not to be had"
    return Finding(
        claim=f"gps_{method} is ahead of {method}, augmentation {augmentation}",
        provenance=claim["gps"]["provenance"] if claim else weak if augmentation == WEAK else STRONG,
        source=THEIRS if augmentation == WEAK else OURS,
        theirs=_theirs(claim) if claim else NOT_AVAILABLE,
        ours={profile: reading for profile, reading in found.items() if reading},
    )


def _theirs(claim: dict[str, Any]) -> str:
    return f"{claim['baseline']['value']} → {claim['gps']['value']} ({claim['setting']})"


def _reading(runs: list[Run], claim: dict[str, Any] | None) -> Reading | None:
    ahead = gaps(runs, "linear")
    if not ahead:
        return None
    told = [
        f"{name} {shown_spread(values(runs, BASELINE, key))} → {shown_spread(values(runs, GPS, key))}, untrained "
        f"{shown_spread(values(runs, 'untrained', key))}"
        for key, name in READINGS.items()
    ]
    images = f"{runs[0]['images']['train']} images, {len(ahead)} seed{'s' * (len(ahead) > 1)}"
    outcome, sentence = judge(ahead, "points of the linear probe")
    if claim:
        far = claim["gps"]["value"] - claim["baseline"]["value"]
        sentence += f" The paper's gap is {far:+.2f}, after a far longer training."
    return Reading(f"{'; '.join(told)} ({images})", outcome, sentence)


def figures(profile: str) -> list[Figure]:
    """Return accuracies, training curves, and a look at the neighbours."""
    runs = read(results(profile, PAPER))
    if not runs:
        return []
    groups = {group: select(runs, group) for group in sorted({(run["base"], run["augmentation"]) for run in runs})}
    graphs = other_graphs(results(profile, PAPER), runs)
    accuracy = partial(draw, profile=profile, groups=groups, graphs=graphs)
    folder = ROOT / "results" / profile
    alt = "k-NN and linear accuracy without the graph and with it, a dot a seed"
    alt += "; accuracy against the purity of other priors' graphs, and against their k" if graphs else ""
    found = [Figure("accuracy", alt, accuracy)]
    curves = read_curves(folder / f"{PAPER}_curves.csv")
    if curves:  # the runs of the profile debug are too short to log a loss
        alt = "the loss of each run against its steps"
        found.append(Figure("curves", alt, partial(draw_curves, profile=profile, curves=curves)))
    alt = "images and their neighbours by the prior"
    return [*found, Figure("neighbours", alt, source=folder / f"{PAPER}_neighbours.png")]


REPORT = Paper(
    name=PAPER,
    title="GPS-SSL",
    arxiv="2401.01990",
    idea="Positives are nearest neighbours in a metric space that carries prior knowledge, in place of, or beside, "
    "augmented views of one image.",
    findings=findings,
    figures=figures,
    tables=(PAPER,),
)
