"""Why cells are empty: what a machine lacked to run a kind of stage, kept beside the results for the report to say.

A kind of stage is its module, such as `pal.images`. What a machine lacks, a GPU or a data set, it lacks for all cells
of a kind: so there is one note a kind, no count of cells, and any cell that has run since makes the note untrue.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from pal_plugin.io import write_json
from reproductions.layout import ROOT
from reproductions.reading import read_result

_LONGEST = 120  # characters of a reason: it stands in a table's cell


def file(profile: str) -> Path:
    """Return the file of a profile's kinds of stages that could not run: `{kind: reason}`."""
    return ROOT / "results" / profile / "not_run.json"


def remember(profile: str, kind: str, reason: str) -> None:
    """Note why a kind of stage could not run; of a long reason its first sentence is kept."""
    write_json(file(profile), dict(sorted({**_known(profile), kind: _short(reason)}.items())))


def forget(profile: str, kind: str, *there: str) -> None:
    """Drop the notes that are no longer true; without any the file goes as well.

    Args:
        profile: in which a stage has run by now.
        kind: of that stage; other kinds that lacked the same go with it.
        *there: reasons that the run has shown to be gone, whatever was noted of its kind.
    """
    known = _known(profile)
    gone = {known.get(kind), *map(_short, there)}
    left = {other: reason for other, reason in known.items() if reason not in gone}
    if left == known:
        return
    if left:
        write_json(file(profile), left)
    else:
        file(profile).unlink()


def reasons(profile: str, paper: str) -> list[str]:
    """Return why stages of a paper could not run in a profile, each reason once, to stand within a sentence."""
    found = {reason for kind, reason in _known(profile).items() if kind.startswith(f"{paper}.")}
    return sorted(_within(reason) for reason in found)


def _known(profile: str) -> dict[str, str]:
    return read_result(file(profile)) if file(profile).exists() else {}


def _short(reason: str) -> str:
    first = re.split(r"(?<=[.!?])\s", reason.strip(), maxsplit=1)[0]
    return textwrap.shorten(first.rstrip("."), _LONGEST, placeholder=" …")


def _within(sentence: str) -> str:
    """Return a sentence with its first letter small, unless its first word is a name such as CIFAR-10."""
    first = sentence.split(" ", 1)[0]
    return sentence[:1].lower() + sentence[1:] if first[1:].islower() or len(first) == 1 else sentence
