"""Why cells are empty: what a machine lacked to run a stage, kept beside the results for the report to say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pal_plugin.io import write_json
from reproductions.layout import ROOT
from reproductions.reading import read_result


def file(profile: str) -> Path:
    """Return the file of a profile's stages that could not run: `{command: reason}`."""
    return ROOT / "results" / profile / "not_run.json"


def remember(profile: str, command: str, reason: str) -> None:
    """Note why a stage could not run."""
    write_json(file(profile), dict(sorted({**_known(profile), command: reason}.items())))


def forget(profile: str, command: str) -> None:
    """Drop the note of a stage, which has run by now; without any the file goes as well."""
    known = _known(profile)
    if known.pop(command, None) is None:
        return
    if known:
        write_json(file(profile), known)
    else:
        file(profile).unlink()


def reasons(profile: str, paper: str) -> Counter[str]:
    """Return why stages of a paper could not run in a profile, and how many for each reason."""
    stage = f"python -m reproductions.{paper}."
    return Counter(reason for command, reason in _known(profile).items() if command.startswith(stage))


def _known(profile: str) -> dict[str, str]:
    return read_result(file(profile)) if file(profile).exists() else {}
