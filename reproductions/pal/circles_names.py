"""What the experiments on circles and their files are called. Light: table and figures need no torch."""

from __future__ import annotations

from pathlib import Path

from reproductions.layout import ROOT, results
from reproductions.pal.names import PAPER

EXPERIMENTS = ("active", "contrastive", "interpolation", "missing", "noise")
COMPONENTS = "components"  # the one curve that is no error


def result(profile: str, experiment: str) -> Path:
    """Return where the curves of an experiment are."""
    return results(profile, PAPER) / "circles" / f"{experiment}.json"


def picture(profile: str, experiment: str) -> Path:
    """Return where the figure of an experiment is."""
    return ROOT / "results" / profile / f"{PAPER}_{experiment}.png"


def table(profile: str, suffix: str) -> Path:
    """Return where the table of all experiments is, as `.md` or `.json`."""
    return ROOT / "results" / profile / f"{PAPER}_circles{suffix}"
