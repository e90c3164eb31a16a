"""The points of a run's curve, and what a round leaves of them in its folder: read with all that may be wrong there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from pal_plugin.arrays import read_json
from pal_plugin.errors import OracleError
from pal_plugin.oracle import Account, Point

_MOST = 1 << 63  # no number that is counted or measured here comes near it


@dataclass(frozen=True)
class RoundPoint(Point):
    """A point of the curve.

    Attributes:
        round: which one; 0 is the control.
        related_purity: of the pairs known to be related, the share that is known rightly, where the truth is at hand.
    """

    round: int = 0
    related_purity: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the point as a flat row."""
        return {"round": self.round, **super().row(), "related_purity": self.related_purity}


@dataclass(frozen=True)
class Asked:
    """That the questions of a round are answered.

    Attributes:
        drawn: questions that the store held then.
        exhausted: whether nothing was left to ask.
        point: what was known, before any training.
    """

    drawn: int
    exhausted: bool
    point: RoundPoint


def read_point(path: Path) -> RoundPoint:
    """Return the point that a round left.

    Raises:
        OracleError: the file is missing, no JSON, or holds something else.
    """
    return _point(_read(path), path)


def read_asked(path: Path) -> Asked:
    """Return what a round left of its questions; errors as `read_point`."""
    content = _read(path)
    drawn, exhausted = content.get("drawn"), content.get("exhausted")
    if not (isinstance(drawn, int) and _is_count(drawn) and isinstance(exhausted, bool)):
        raise _damaged(path, f"drawn={drawn!r} and exhausted={exhausted!r} are no count, or neither true nor false")
    return Asked(drawn, exhausted, _point(content.get("point"), path))


def questions_at_begin(begun: object, path: Path) -> int:
    """Return how many questions were answered before the first round.

    Raises:
        OracleError: the run's record does not say it.
    """
    questions = begun.get("questions") if isinstance(begun, Mapping) else None
    if isinstance(questions, int) and _is_count(questions):
        return questions
    raise _damaged(path, "it does not say how many questions there were")


def _point(content: object, path: Path) -> RoundPoint:
    point = _checked(RoundPoint, content, path)
    return RoundPoint(**{**point, "account": Account(**_checked(Account, point["account"], path))})


def _checked(kind: type[Account] | type[RoundPoint], content: object, path: Path) -> dict[str, Any]:
    """Return the fields of a dataclass, each of its type."""
    if not isinstance(content, dict):
        raise _damaged(path, f"a JSON object is wanted, and {content!r:.40} is there")
    known = {item.name: item for item in fields(kind)}
    other = sorted(content.keys() - known.keys())
    missing = sorted(name for name, item in known.items() if item.default is MISSING and name not in content)
    if other or missing:
        raise _damaged(path, f"{other[0]!r:.40} is there" if other else f"{missing[0]} is missing")
    for name, value in content.items():
        if not _FITS[str(known[name].type)](value):
            raise _damaged(path, f"{name}={value!r:.40} is there, and {known[name].type} is wanted")
    return dict(content)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


_FITS: dict[str, Callable[[object], bool]] = {
    "int": _is_count,
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "Account": lambda value: True,  # read by itself
}


def _read(path: Path) -> dict[str, Any]:
    return read_json(path, OracleError, _again(path))


def _damaged(path: Path, why: str) -> OracleError:
    return OracleError(f"{path} is not as a round leaves it: {why}", _again(path))


def _again(path: Path) -> str:
    return f"Delete the folder {path.parent}, and give the same command again"
