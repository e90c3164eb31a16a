"""A claim, what came out here in each profile, and one honest sentence on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

HOLDS, FAILS, MIXED, ONE = "holds", "does not hold", "undecided", "one seed"
AGREES, DIFFERS = "agrees with theirs", "differs from theirs"
THEIRS, OURS = "the paper's", "ours"  # whose a claim is
NOT_AVAILABLE = "not available"


@dataclass(frozen=True)
class Reading:
    """What came out in one profile.

    Attributes:
        shown: our numbers.
        outcome: `HOLDS`, `FAILS`, `MIXED`, or `ONE` where a single seed bears no claim; `AGREES` or `DIFFERS` where
            the authors' own numbers were computed again.
        sentence: what they say on the claim.
    """

    shown: str
    outcome: str
    sentence: str


@dataclass(frozen=True)
class Finding:
    """A claim and ours beside it.

    Attributes:
        claim: what is claimed.
        provenance: where that was read.
        source: `THEIRS` where the paper or its code claims it, `OURS` where we ask it beside.
        theirs: the claim's numbers.
        ours: by profile; a profile that is absent was not run.
    """

    claim: str
    provenance: str
    source: str
    theirs: str = NOT_AVAILABLE
    ours: dict[str, Reading] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A picture of the report.

    Attributes:
        name: of its file, without suffix.
        alt: what it shows, in words: its caption.
        draw: writes it to a path that ends in `.svg`; None where `source` is the picture.
        source: a PNG to take as it is.
    """

    name: str
    alt: str
    draw: Callable[[Path], None] | None = None
    source: Path | None = None


@dataclass(frozen=True)
class Paper:
    """A paper of the report.

    Attributes:
        name: its folder below `reproductions/results/PROFILE`.
        title: what it is called here.
        arxiv: its number.
        idea: what it does, in a sentence or two.
        findings: returns what came out, of the profiles it is given.
        figures: returns the figures of a profile.
        tables: the files `STEM.md` of a profile that say everything, by their stems.
    """

    name: str
    title: str
    arxiv: str
    idea: str
    findings: Callable[[Sequence[str]], list[Finding]]
    figures: Callable[[str], list[Figure]]
    tables: tuple[str, ...]


def judge(gaps: Sequence[float], unit: str, *, digits: int = 2) -> tuple[str, str]:
    """Return the outcome of a claim that one side is ahead, and the sentence that says so.

    Args:
        gaps: by how much it was ahead, one a seed; at least one.
        unit: of the gaps, for the sentence.
        digits: of the gaps that are shown.
    """
    if len(gaps) == 1:
        way = "Ahead" if gaps[0] > 0 else "Behind" if gaps[0] < 0 else "Equal"
        by = f" by {abs(gaps[0]):.{digits}f} {unit}" if gaps[0] else ""
        return ONE, f"{way}{by} in the one seed that was run: no claim."
    count = sum(gap > 0 for gap in gaps)
    told = f"{mean(gaps):+.{digits}f} {unit} on average"
    if count == len(gaps):
        return HOLDS, f"Ahead in all {count} seeds, {told}, at least {min(gaps):+.{digits}f}."
    if count == 0:
        return FAILS, f"Ahead in none of {len(gaps)} seeds, {told}, at best {max(gaps):+.{digits}f}."
    return MIXED, f"Ahead in {count} of {len(gaps)} seeds, {told}: undecided."


def judge_each(gaps: dict[str, list[float]], unit: str) -> tuple[str, str]:
    """Return the outcome of a claim that was read in several places, and the sentence that says so.

    Args:
        gaps: by place, as "250 labels": by how much one side was ahead, one a seed; at least one place.
        unit: of the gaps, for the sentence.
    """
    told = {place: judge(of_place, unit) for place, of_place in gaps.items()}
    if all(len(of_place) == 1 for of_place in gaps.values()):
        by = ", ".join(f"{of_place[0]:+.2f} at {place}" for place, of_place in gaps.items())
        return ONE, f"The one seed that was run bears no claim; it is apart by, in {unit}: {by}."
    sentence = " ".join(f"{place}: {said[0].lower()}{said[1:]}" for place, (_, said) in told.items())
    return overall([outcome for outcome, _ in told.values()]), sentence


def overall(outcomes: Sequence[str]) -> str:
    """Return the outcome of a claim that was read in several places, as of several budgets."""
    found = set(outcomes)
    return found.pop() if len(found) == 1 else MIXED
