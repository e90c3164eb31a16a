"""Zero-shot selection in the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import yaml

from reproductions.layout import results
from reproductions.reporting.finding import OURS, THEIRS, Figure, Finding, Paper, Reading, judge_each
from reproductions.spread import shown_spread
from reproductions.zero_shot_al.figure import draw
from reproductions.zero_shot_al.names import NONE, PAPER
from reproductions.zero_shot_al.runs import Cells, budgets, gaps, read, side, values
from reproductions.zero_shot_al.table import CLAIMS, claimed_by


def findings(profiles: Sequence[str]) -> list[Finding]:
    """Return each claimed order, for each kind of features, at every budget."""
    claims = yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))
    cells = {profile: read(results(profile, PAPER) / "runs") for profile in profiles}
    kinds = list(dict.fromkeys(c.features for of_profile in cells.values() for c in of_profile if c.features != NONE))
    found = []
    for claim in claims["orders"]:
        for kind in kinds:
            ours = {p: reading for p, of_profile in cells.items() if (reading := _reading(of_profile, claim, kind))}
            provenance, theirs = claimed_by(claim, kind)
            if ours:
                source = THEIRS if theirs else OURS
                found.append(Finding(f"{claim['text']}: features {kind}", provenance, source, ours=ours))
    return sorted(found, key=lambda finding: finding.source == OURS)


def _reading(cells: Cells, claim: dict[str, Any], kind: str) -> Reading | None:
    ahead, behind = (side(cells, kind, claim[key]) for key in ("ahead", "behind"))
    shown, apart_at = [], {}
    for budget in budgets(cells):
        apart = list(gaps(ahead, behind, budget).values())
        if apart:
            scores = [shown_spread(values(runs, budget, "top1")) for runs in (behind, ahead)]
            shown.append(f"{budget} labels: {scores[0]} → {scores[1]}")
            apart_at[f"{budget} labels"] = apart
    return Reading("; ".join(shown), *judge_each(apart_at, "points")) if apart_at else None


def figures(profile: str) -> list[Figure]:
    """Return accuracy, class frequencies and time against budget."""
    cells = read(results(profile, PAPER) / "runs")
    alt = "accuracy, divergence of classes and seconds to choose, against the number of labels"
    return [Figure("budget", alt, partial(draw, profile=profile, cells=cells))] if cells else []


REPORT = Paper(
    name=PAPER,
    title="Zero-shot active learning",
    arxiv="2401.01690",
    idea="k-centre greedy on frozen self-supervised features decides once, before any label, in which order a pool is "
    "to be labelled.",
    findings=findings,
    figures=figures,
    tables=(PAPER,),
)
