"""AdaSSL in the report."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from reproductions.adassl.moving_mnist.cells import Cell as MovingCell
from reproductions.adassl.moving_mnist.cells import folder
from reproductions.adassl.moving_mnist.figure import draw as draw_moving
from reproductions.adassl.moving_mnist.runs import by_seed as moving_by_seed
from reproductions.adassl.moving_mnist.runs import read as read_moving
from reproductions.adassl.moving_mnist.table import load_claims as load_moving_claims
from reproductions.adassl.names import PAPER
from reproductions.adassl.noisy_cells import Cell as NoisyCell
from reproductions.adassl.noisy_figure import draw as draw_noisy
from reproductions.adassl.noisy_table import BASE
from reproductions.adassl.noisy_table import gaps as noisy_gaps
from reproductions.adassl.noisy_table import read as read_noisy
from reproductions.adassl.noisy_table import values as noisy_values
from reproductions.adassl.numerical_cells import Cell
from reproductions.adassl.numerical_confound import draw as draw_confound
from reproductions.adassl.numerical_figure import draw as draw_numerical
from reproductions.adassl.numerical_runs import gaps, read, values
from reproductions.adassl.numerical_table import load_claims
from reproductions.layout import results
from reproductions.reporting.finding import NOT_AVAILABLE, OURS, THEIRS, Figure, Finding, Paper, Reading, judge
from reproductions.spread import shown_spread

# by reading of Moving-MNIST: the claim, what a gap is counted in, and whether low is good
ENERGY = "energy"
MOVING = {
    ENERGY: (
        "AdaSSL-V's futures, drawn from its prior, are nearer to the law than BYOL's one prediction, by energy score "
        "(low is near)",
        "of the score",
        True,
    ),
    "predicted_acceleration": (
        "More of the acceleration can be read from AdaSSL-V's predictions than from BYOL's (R²; AdaSSL-V's are told r "
        "by its posterior, which sees the frames to come, and BYOL's are not: that r carries the change and the "
        "prediction takes it up is shown, and no better forecast)",
        "of R²",
        False,
    ),
}
# by profile: what speaks against it; the note above the profile's tables says more
CHOSEN = {
    "cpu": "The learning rate was chosen for AdaSSL-V, on the test clips, and BYOL was worse at it: the gap is not "
    "AdaSSL's alone."
}
NOISY = "ours, after the authors' recipe for iNat-1M, whose numbers were not to be had"


def findings(profiles: Sequence[str]) -> list[Finding]:
    """Return the orders of the numerical experiment, noisy pairs, and Moving-MNIST."""
    return [*_numerical(profiles), *_noisy(profiles), *_moving(profiles)]


def _numerical(profiles: Sequence[str]) -> list[Finding]:
    cells = {profile: read(results(profile, PAPER) / "numerical") for profile in profiles}
    found = []
    for claim in load_claims()["orders"]:
        ahead, behind = Cell.parse(claim["ahead"]), Cell.parse(claim["behind"])
        ours = {}
        for profile, of_profile in cells.items():
            apart = list(gaps(of_profile, ahead, behind, claim["reading"]).values())
            if apart:
                scores = [shown_spread(values(of_profile[cell], claim["reading"]), 3) for cell in (behind, ahead)]
                ours[profile] = Reading(f"R² {scores[0]} → {scores[1]}", *judge(apart, "of R²", digits=3))
        source = THEIRS if claim["paper"] else OURS
        found.append(Finding(claim["text"], claim["provenance"], source, _theirs(claim), ours))
    return found


def _theirs(order: dict[str, Any]) -> str:
    """Return the paper's numbers of an order, of a generator of its own."""
    paper = next(source for source in load_claims()["numbers"] if source["id"] == "paper")
    if not order["paper"] or order["reading"] not in paper["readings"]:
        return NOT_AVAILABLE
    at = paper["readings"].index(order["reading"])
    return " → ".join(paper["cells"][order[side]][at] for side in ("behind", "ahead")) + " (of a generator of its own)"


def _noisy(profiles: Sequence[str]) -> list[Finding]:
    cells = {profile: read_noisy(results(profile, PAPER) / "noisy") for profile in profiles}
    pairs = list(dict.fromkeys(cell.pairs for of_profile in cells.values() for cell in of_profile))
    found = []
    for kind in pairs:
        base, other = NoisyCell(BASE, kind), NoisyCell("v", kind)
        ours = {}
        for profile, of_profile in cells.items():
            ahead = noisy_gaps(of_profile, other, "linear")
            if ahead:
                scores = [shown_spread(noisy_values(of_profile[cell], "linear")) for cell in (base, other)]
                ours[profile] = Reading(
                    f"linear probe {scores[0]} → {scores[1]}", *judge(ahead, "points of the linear probe")
                )
        said = f"neighbours by {kind}" if isinstance(kind, str) else f"noise {kind:g}"
        if ours:
            claim = f"AdaSSL-V learns more than SimCLR from noisy pairs: {said}"
            found.append(Finding(claim, NOISY, OURS, ours=ours))
    return found


def _moving(profiles: Sequence[str]) -> list[Finding]:
    cells = {profile: read_moving(folder(profile)) for profile in profiles}
    base, other = MovingCell("byol", "A"), MovingCell("v", "A")
    found = []
    for reading, (text, unit, low) in MOVING.items():
        claim = _known(reading, base.name, other.name)
        ours = {}
        for profile, of_profile in cells.items():
            theirs, mine = (moving_by_seed(of_profile.get(cell, []), reading) for cell in (base, other))
            ahead = [(mine[seed] - theirs[seed]) * (-1 if low else 1) for seed in mine if seed in theirs]
            if ahead:
                scores = [shown_spread(list(found.values())) for found in (theirs, mine)]
                outcome, sentence = judge(ahead, unit)
                sentence += f" {CHOSEN[profile]}" if reading == ENERGY and profile in CHOSEN else ""
                ours[profile] = Reading(f"{scores[0]} → {scores[1]}", outcome, sentence)
        told = [claim["cells"][name][reading] for name in (base.name, other.name)]
        claimed = f"Moving-MNIST: {text}"
        source = THEIRS if claim["id"] == "paper" else OURS
        found.append(Finding(claimed, claim["provenance"], source, f"{told[0]} → {told[1]}", ours))
    return found


def _known(reading: str, *cells: str) -> dict[str, Any]:
    """Return the first source that has a reading of all `cells`."""
    sources = load_moving_claims()["numbers"]
    return next(s for s in sources if all(reading in s["cells"].get(cell, {}) for cell in cells))


def figures(profile: str) -> list[Figure]:
    """Return the numerical experiment, who leads it at which temperature, noisy pairs and Moving-MNIST."""
    found = []
    numerical = read(results(profile, PAPER) / "numerical")
    if numerical:
        alt = "R² of content and style against temperature, in and out of distribution"
        found.append(Figure("numerical", alt, partial(draw_numerical, profile=profile, cells=numerical)))
        alt = "R² of content and of style of every method at every temperature, with and without a clamp"
        found.append(Figure("confound", alt, partial(draw_confound, profile=profile, cells=numerical)))
    noisy = read_noisy(results(profile, PAPER) / "noisy")
    if noisy:
        alt = "accuracy against the noise of the pairs"
        found.append(Figure("noisy", alt, partial(draw_noisy, profile=profile, cells=noisy)))
    moving = read_moving(folder(profile))
    if moving:
        alt = "what is read of each method, and futures that it predicts"
        found.append(Figure("moving_mnist", alt, partial(draw_moving, profile=profile, cells=moving)))
    return found


REPORT = Paper(
    name=PAPER,
    title="AdaSSL",
    arxiv="2602.02381",
    idea="A latent variable carries what two views of a pair do not share, so that a representation need not forget "
    "it; a regulariser keeps the latent from carrying everything.",
    findings=findings,
    figures=figures,
    tables=(f"{PAPER}_numerical", f"{PAPER}_noisy", f"{PAPER}_moving_mnist"),
)
