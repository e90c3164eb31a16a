"""Where the stages of every paper read and write, relative to the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path("reproductions")


def results(profile: str, paper: str) -> Path:
    """Return the folder of small results, kept in git."""
    return ROOT / "results" / profile / paper


def artifacts(profile: str, paper: str) -> Path:
    """Return the folder of features, graphs and checkpoints, kept in DVC's cache."""
    return ROOT / "artifacts" / profile / paper


def scratch(profile: str, paper: str) -> Path:
    """Return the folder that DVC does not know: an interrupted stage goes on from what it finds there."""
    return Path("scratch") / profile / paper
