"""The report in Markdown: what GitHub shows, and what the page is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from reproductions.layout import ROOT
from reproductions.markdown import heading, row
from reproductions.not_run import reasons
from reproductions.reporting.cost import Cost, cost
from reproductions.reporting.finding import AGREES, DIFFERS, FAILS, HOLDS, MIXED, ONE, Finding, Paper

PROFILES = {
    "debug": "toy data, which shows that everything runs and nothing else",
    "smoke": "the default of `dvc repro`: minutes on two cores; optimiser and stem were picked by test accuracies, so "
    "that a gap has a sign here, and no width",
    "cpu": "hours on two cores",
    "paper": "the papers' settings, on one GPU",
}
ALWAYS = ("smoke", "cpu", "paper")
NOT_RUN = "not run"
OUTCOMES = (HOLDS, AGREES, FAILS, DIFFERS, MIXED, ONE)
HEAD = """\
# What was reproduced, and how well

Four papers, each claim beside what came out here. Every number is read from the files below `reproductions/results`
that a command wrote, with its seed, hardware and commit; `pal report` writes this page anew. A claim *holds* where it
holds in every seed, of two or more; one seed bears no claim. It *agrees with theirs* where the authors' own numbers,
computed again, come out within a band. Where the paper's number was not to be had, that is said.
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
    return "\n".join(f"- **{name}**: {PROFILES[name]}." for name in profiles()) + "\n"


def _overview(papers: Sequence[Paper], findings: dict[str, list[Finding]]) -> str:
    """Return how many claims of each paper came out how, a column a profile."""
    lines = ["## At a glance", "", *heading(["paper", *profiles()])]
    for paper in papers:
        told = []
        for profile in profiles():
            outcomes = Counter(f.ours[profile].outcome for f in findings[paper.name] if profile in f.ours)
            counts = ", ".join(f"{outcome}: {outcomes[outcome]}" for outcome in OUTCOMES if outcomes[outcome])
            told.append(counts + _missing(profile, paper) if counts else _empty(profile, paper))
        lines.append(row([f"[{paper.title}](#{anchor(paper.title)})", *told]))
    return "\n".join(lines) + "\n"


def _empty(profile: str, paper: Paper) -> str:
    """Return what an empty cell says: not run, and why where the machine that tried lacked something."""
    told = "; ".join(reasons(profile, paper.name))
    return f"{NOT_RUN}: {told}" if told else NOT_RUN


def _missing(profile: str, paper: Paper) -> str:
    """Return what a cell says after its figures: how many stages the machine that tried could not run, and why."""
    found = reasons(profile, paper.name)
    return "".join(f"; {number} stage{'s' * (number > 1)} {NOT_RUN}: {why}" for why, number in found.items())


def anchor(title: str) -> str:
    """Return what a heading's address ends in, as GitHub makes it."""
    kept = "".join(letter for letter in title.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _paper(paper: Paper, findings: list[Finding]) -> str:
    about = f"[arXiv {paper.arxiv}](https://arxiv.org/abs/{paper.arxiv}). {paper.idea}"
    return "\n".join([f"## {paper.title}", "", about, "", *(line for found in findings for line in _finding(found))])


def _finding(finding: Finding) -> list[str]:
    """Return a claim, where it stands, and a row for each profile that was run."""
    lines = [f"**{finding.claim.rstrip('.')}.** Theirs: {finding.theirs}. From: {finding.provenance}.", ""]
    if not finding.ours:
        return [*lines, f"Ours: {NOT_RUN}.", ""]
    lines += heading(["profile", "ours", "what that says"])
    for profile, reading in finding.ours.items():
        lines.append(row([profile, reading.shown, f"**{reading.outcome}**: {reading.sentence}"]))
    return [*lines, ""]


def _costs(paper: Paper) -> str:
    lines = [f"### What {paper.title} cost", "", *heading(["profile", "runs", "took", "on, at commit"])]
    for profile in profiles():
        found = cost(profile, paper.name)
        if found:
            took = f"{_clock(found.wall_s)}: {_hours(found)}"
            where = f"{'; '.join(found.hardware)}; at {', '.join(found.commits)}"
            lines.append(row([profile, f"{found.runs}{_missing(profile, paper)}", took, where]))
        else:
            lines.append(row([profile, _empty(profile, paper), "", ""]))
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
    for file, alt in pictures:
        lines += [f"![{alt}]({file})", "", f"*{alt[0].upper()}{alt[1:]}.*", ""]
    for table in tables:
        name = table.splitlines()[0].lstrip("# ").replace("`", "")
        lines += ["<details>", f"<summary>{name}: every number</summary>", "", table, "</details>", ""]
    return "\n".join(lines)


def _deeper(file: Path) -> str:
    """Return a table's Markdown with its headings one level down."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines) + "\n"
