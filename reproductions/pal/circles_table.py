"""Our means on the circles against the authors' numbers: how far apart, and whether within the band."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from reproductions.pal.circles_names import COMPONENTS, result
from reproductions.reading import Run, read_result
from reproductions.spread import said_by

Claim: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

YES, NO = "yes", "no"


def load_claims() -> dict[str, Claim]:
    """Return the authors' experiments by id."""
    claims: list[Claim] = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
    return {claim["id"]: claim for claim in claims}


def read(profile: str, name: str, claim: Claim) -> Run:
    """Return the result of an experiment, in which all that the authors' numbers are compared with is there."""
    return read_result(result(profile, name), lambda content: (compare(content, claim), _told(content)))


def compare(content: dict[str, Any], claim: Claim) -> dict[str, dict[str, Row]]:
    """Return a row for each number of the authors, by curve and by x.

    `ours` and `theirs` are means under the authors' protocol, `clean` ours under the clean one, `std` and `error` the
    standard deviation of `ours` over runs and its standard error over trials. `within` says whether the two differ by
    no more than the band.

    Args:
        content: the result of one experiment.
        claim: of the authors.
    """
    return {
        curve: {f"{x:g}": _row(content, claim, curve, x, number) for x, number in numbers.items()}
        for curve, numbers in claim["curves"].items()
    }


def ordered(content: dict[str, Any], claim: Claim, protocol: str) -> dict[float, bool]:
    """Return at which x the claimed order is there: the first curve's mean error is below all others'.

    Args:
        content: the result of one experiment.
        claim: of the authors; its `order` names `curves`, the least first, and between which x it is claimed. With one
            curve alone the claim is that it rises: each mean is above the one before. Without an order, none.
        protocol: `authors` or `clean`.
    """
    if "order" not in claim:
        return {}
    curves, (first, last) = claim["order"]["curves"], claim["order"]["between"]
    at = [n for n, x in enumerate(content["x"]) if first <= x <= last and x in claim["curves"][curves[0]]]
    means = [content["protocols"][protocol][curve]["mean"] for curve in curves]
    if len(curves) == 1:
        return {content["x"][n]: means[0][before] < means[0][n] for before, n in pairwise(at)}
    return {content["x"][n]: all(means[0][n] < other[n] for other in means[1:]) for n in at}


def _told(content: Run) -> object:
    return content["trials"], content["runs"], float(content["wall_s"]), content["hardware"], content["commit"]


def _row(content: dict[str, Any], claim: Claim, curve: str, x: float, theirs: float) -> Row:
    at = content["x"].index(x)
    ours = content["protocols"]["authors"][curve]
    mean, std = ours["mean"][at], ours["std"][at]
    band = claim["component_band"] * theirs if curve == COMPONENTS else claim["band"]
    error = std / sqrt(content["trials"])
    apart = abs(mean - theirs)
    within = YES if apart <= band else NO
    return {
        "ours": round(mean, 4),
        "std": round(std, 4),
        "error": round(error, 4),
        "theirs": theirs,
        "difference": round(mean - theirs, 4),
        "band": round(band, 3),
        "within": within,
        "clean": round(content["protocols"]["clean"][curve]["mean"][at], 4),
    }


def markdown(
    profile: str,
    results: dict[str, dict[str, Any]],
    rows: dict[str, dict[str, dict[str, Row]]],
    claims: dict[str, Claim],
) -> str:
    """Return the tables in Markdown, one an experiment.

    Args:
        profile: for the heading.
        results: the results of the experiments.
        rows: what `compare` returned for each.
        claims: of the authors.
    """
    contents = list(results.values())
    every = [row["within"] for curves in rows.values() for of_curve in curves.values() for row in of_curve.values()]
    head = [
        f"### Five experiments on four circles, profile `{profile}`",
        "",
        f"Mean test error ± standard deviation over runs. {every.count(YES)} of {len(every)} means are within the band "
        f"of the authors' numbers. {said_by(contents, 'hardware')}; commit {said_by(contents, 'commit')}.",
        "",
        "Under the authors' protocol the probe is fitted on the test labels that it is scored on; a grid may show a "
        "point twice; a point that is not of a class is unrelated only to the members known by then; a label goes into "
        "one view of its sample. Under the clean one the probe is fitted on the training labels (the true ones where "
        "the graph has mistakes); a grid shows different points; all that follows from the answers is filled in; a "
        "label goes into all views.",
    ]
    parts = [_experiment(results[name], rows[name], claims[name]) for name in results]
    return "\n".join([*head, *(line for part in parts for line in part)]) + "\n"


def _experiment(content: dict[str, Any], rows: dict[str, dict[str, Row]], claim: Claim) -> list[str]:
    note = f" {claim['note']}" if "note" in claim else ""
    trials = f"{content['trials']} trials, {content['runs']} runs, {content['wall_s']:.0f} s"
    lines = [
        "",
        f"#### {claim['id']}: {claim['text']}",
        "",
        f"{claim['setting']}. Ours: {trials}. Theirs: {claim['provenance']}.{note}",
        "",
        f"| {claim['x']} | curve | ours | theirs | difference | band | within | ours, clean protocol |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for curve, of_curve in rows.items():
        digits = 1 if curve == COMPONENTS else 3
        for x, row in of_curve.items():
            numbers = {key: f"{row[key]:.{digits}f}" for key in ("ours", "std", "theirs", "band", "clean")}
            lines.append(
                f"| {x} | {curve} | {numbers['ours']} ± {numbers['std']} | {numbers['theirs']} | "
                f"{row['difference']:+.{digits}f} | {numbers['band']} | {row['within']} | {numbers['clean']} |"
            )
    return lines
