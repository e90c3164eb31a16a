"""The report in Markdown: what GitHub shows, and what the page is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reproductions.layout import ROOT
from reproductions.markdown import heading, row
from reproductions.not_run import reasons
from reproductions.reporting.cost import BESIDE, COUNTED, Cost, cost, whole_run
from reproductions.reporting.finding import (
    AGREES,
    DIFFERS,
    FAILS,
    HOLDS,
    MIXED,
    NOT_AVAILABLE,
    ONE,
    OURS,
    THEIRS,
    Finding,
    Paper,
)

PROFILES = {
    "debug": "toy data, which shows that everything runs and nothing else",
    "smoke": "the default of `dvc repro`: minutes on two cores; optimiser and stem were picked by test accuracies, so "
    "that a gap has a sign here, and no width; its zero-shot part orders by GPS-SimCLR's features, taken after plain "
    "SimCLR's had been run",
    "cpu": "hours on two cores",
    "paper": "the papers' settings, on one GPU",
}
ALWAYS = ("smoke", "cpu", "paper")
NOT_RUN = "not run"
OUTCOMES = (HOLDS, AGREES, FAILS, DIFFERS, MIXED, ONE)
HEAD = """\
# What was reproduced, and how well

Four papers, each claim beside what came out here. Every number is read from the files below `reproductions/results`
that a command wrote, with its seed, hardware and commit, and stands for the code at that commit; `pal report` writes
this page anew. A claim *holds* where it holds in every seed, of two or more; one seed bears no claim. It *agrees with
theirs* where the authors' own numbers, computed again, come out within a band. Where the paper's number was not to be
had, that is said. What no paper claims, but a replication or we, is counted apart, as ours.
"""


def profiles() -> list[str]:
    """Return the profiles that the report has a column for: `ALWAYS`, and others that were run."""
    return [name for name in PROFILES if name in ALWAYS or (ROOT / "results" / name).is_dir()]


def report(papers: Sequence[Paper], pictures: dict[tuple[str, str], list[tuple[str, str]]]) -> str:
    """Return the whole report.

    Args:
        papers: in their order.
        pictures: by paper and profile, a file relative to the report and what it shows.
    """
    findings = {paper.name: paper.findings(profiles()) for paper in papers}
    parts = [HEAD, _profiles(), _overview(papers, findings)]
    for paper in papers:
        parts += [_paper(paper, findings[paper.name]), _costs(paper)]
        parts += [_details(paper, profile, pictures.get((paper.name, profile), [])) for profile in profiles()]
    return "\n".join(part for part in parts if part)


def _profiles() -> str:
    return "\n".join(f"- **{name}**: {PROFILES[name]}. {whole_run(name)}".rstrip() for name in profiles()) + "\n"


def _overview(papers: Sequence[Paper], findings: dict[str, list[Finding]]) -> str:
    """Return how many claims of each paper, and of ours beside them, came out how, a column a profile."""
    lines = ["## At a glance", "", *heading(["paper", "claims", *profiles()])]
    for paper in papers:
        for source in (THEIRS, OURS):
            asked = [finding for finding in findings[paper.name] if finding.source == source]
            if asked or source == THEIRS:
                title = f"[{paper.title}](#{anchor(paper.title)})"
                lines.append(row([title, source, *(_counts(paper, asked, profile) for profile in profiles())]))
    return "\n".join(lines) + "\n"


def _counts(paper: Paper, findings: Sequence[Finding], profile: str) -> str:
    """Return how many claims came out how in a profile, and how many were not run there."""
    outcomes = Counter(finding.ours[profile].outcome for finding in findings if profile in finding.ours)
    if not outcomes:
        return _empty(profile, paper)
    outcomes[NOT_RUN] = len(findings) - outcomes.total()
    return ", ".join(f"{outcome}: {outcomes[outcome]}" for outcome in (*OUTCOMES, NOT_RUN) if outcomes[outcome])


def _empty(profile: str, paper: Paper) -> str:
    """Return what an empty cell says: not run, and why where the machine that tried lacked something."""
    told = "; ".join(reasons(profile, paper.name))
    return f"{NOT_RUN}: {told}" if told else NOT_RUN


def _missing(profile: str, paper: Paper) -> str:
    """Return what a cell says after its figures where the machine that tried lacked something."""
    return "".join(f"; some stages {NOT_RUN}: {why}" for why in reasons(profile, paper.name))


def anchor(title: str) -> str:
    """Return what a heading's address ends in, as GitHub makes it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _paper(paper: Paper, findings: list[Finding]) -> str:
    about = f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv}). {paper.idea}"
    return "\n".join([f"## {paper.title}", "", about, "", *(line for found in findings for line in _finding(found))])


def _finding(finding: Finding) -> list[str]:
    """Return a claim, where it stands, and a row for each profile that was run."""
    theirs = f" Theirs: {finding.theirs}." if finding.source == THEIRS or finding.theirs != NOT_AVAILABLE else ""
    lines = [f"**{finding.claim.rstrip('.')}.**{theirs} From: {finding.provenance}.", ""]
    if not finding.ours:
        return [*lines, f"Ours: {NOT_RUN}.", ""]
    lines += heading(["profile", "ours", "what that says"])
    for profile, reading in finding.ours.items():
        lines.append(row([profile, reading.shown, f"**{reading.outcome}**: {reading.sentence}"]))
    return [*lines, ""]


def _costs(paper: Paper) -> str:
    """Return what a paper's runs took in each profile, and what that number holds."""
    lines = [f"### What {paper.title} cost", ""]
    lines += heading(["profile", "runs", "runs' time, one after the other", "on, at commit"])
    costs = {profile: cost(profile, paper.name) for profile in profiles()}
    for profile, found in costs.items():
        if found:
            took = f"{_clock(found.seconds)}: {_hours(found)}"
            where = f"{'; '.join(found.hardware)}; at {', '.join(found.commits)}"
            lines.append(row([profile, f"{found.runs}{_missing(profile, paper)}", took, where]))
        else:
            lines.append(row([profile, _empty(profile, paper), "", ""]))
    if any(costs.values()):
        lines += ["", f"{COUNTED} {BESIDE}" if costs.get("cpu") else COUNTED]
    return "\n".join(lines) + "\n"


def _clock(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"


def _hours(found: Cost) -> str:
    told = [
        f"{hours:.2f} {kind}-hours" for kind, hours in (("CPU", found.cpu_hours), ("GPU", found.gpu_hours)) if hours
    ]
    return " and ".join(told)


def _details(paper: Paper, profile: str, pictures: list[tuple[str, str]]) -> str:
    """Return a profile's figures, and its tables folded away."""
    found = [ROOT / "results" / profile / f"{stem}.md" for stem in paper.tables]
    tables = [_deeper(file) for file in found if file.exists()]
    if not pictures and not tables:
        return ""
    lines = [f"### {paper.title}, profile {profile}", ""]
    for file, caption in pictures:
        name = Path(file).stem.removeprefix(f"{paper.name}_{profile}_").replace("_", " ")
        # what the picture shows is in the caption, for every reader: told once
        lines += [f"![{paper.title}, profile {profile}: {name}]({file})", ""]
        lines += [f"*{caption[0].upper()}{caption[1:]}.*", ""]
    for table in tables:
        name = table.splitlines()[0].lstrip("# ").replace("`", "")
        lines += ["<details>", f"<summary>{name}: every number</summary>", "", table, "</details>", ""]
    return "\n".join(lines)


def _deeper(file: Path) -> str:
    """Return a table's Markdown with its headings one level down."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n"
