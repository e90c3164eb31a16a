"""What answers cost: questions, clicks and seconds, at prices that the user sets, and the curve of what they bought."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, OracleError
from pal_plugin.io import atomic_path, write_json
from pal_plugin.oracle.questions import Question


@dataclass(frozen=True)
class Account:
    """What has been asked of an oracle. Accounts add up.

    Attributes:
        questions: each pair is one, and each grid.
        grids: grids among them.
        clicks: see `Question.clicks`.
        answers: relations told, +1 or −1: one a pair, one a candidate of a grid.
        unsure: relations asked about that the oracle could not tell.
        seconds: that the oracle took to answer.
    """

    questions: int = 0
    grids: int = 0
    clicks: int = 0
    answers: int = 0
    unsure: int = 0
    seconds: float = 0.0

    @classmethod
    def of(
        cls, question: Question, relations: npt.ArrayLike, *, seconds: float = 0.0, clicks: int | None = None
    ) -> Account:
        """Return what one answer costs.

        Args:
            question: of m pairs.
            relations: (m,) of +1, −1 or 0 (not sure).
            seconds: that it took.
            clicks: that it took; None: as many as a mouse needs.
        """
        unsure = int((np.asarray(relations) == 0).sum())
        return cls(
            questions=question.questions,
            grids=int(question.kind == "grid"),
            clicks=question.clicks(relations) if clicks is None else clicks,
            answers=len(question) - unsure,
            unsure=unsure,
            seconds=seconds,
        )

    def __add__(self, other: Account) -> Account:
        return Account(**{name: value + getattr(other, name) for name, value in asdict(self).items()})


@dataclass(frozen=True)
class Prices:
    """What the user pays for answers.

    Attributes:
        per_click: price of a click.
        per_second: price of a second.
        currency: what prices are in, for display.

    Raises:
        OracleError: a price that is negative or no finite number.
    """

    per_click: float = 0.0
    per_second: float = 0.0
    currency: str = ""

    def __post_init__(self) -> None:
        for name in ("per_click", "per_second"):
            price = getattr(self, name)
            number = isinstance(price, (int, float, np.integer, np.floating)) and not isinstance(price, bool)
            if not (number and math.isfinite(price) and price >= 0):
                raise OracleError(
                    f"{name}={price!r} is no price", f"Pass a number of 0 or more (--{name.replace('_', '-')})"
                )

    def cost(self, account: Account) -> float:
        """Return what an account comes to."""
        return float(self.per_click * account.clicks + self.per_second * account.seconds)


@dataclass(frozen=True)
class Point:
    """What was known when so much had been asked.

    Attributes:
        account: what had been asked.
        related: unordered pairs known to be related, by closure.
        unrelated: unordered pairs known to be unrelated, by closure.
        cost: of the account.
        purity: share of the known pairs that are known rightly, where the truth is at hand.
        accuracy: of a network trained on what was known, in percent, where one was trained.
    """

    account: Account
    related: int
    unrelated: int
    cost: float = 0.0
    purity: float | None = None
    accuracy: float | None = None

    def row(self) -> dict[str, Any]:
        """Return the point as a flat row: the account's numbers, `known` pairs, `known_per_answer`, and its own."""
        known = self.related + self.unrelated
        answers = self.account.answers
        return {
            **asdict(self.account),
            "related": self.related,
            "unrelated": self.unrelated,
            "known": known,
            "known_per_answer": known / answers if answers else None,
            "cost": self.cost,
            "purity": self.purity,
            "accuracy": self.accuracy,
        }


def write_curve(path: str | os.PathLike[str], points: Sequence[Point]) -> None:
    """Write points as rows of a CSV file or a JSON list, by the suffix of `path`, atomically.

    What a point does not have is empty in CSV and null in JSON.

    Raises:
        ConfigError: another suffix.
    """
    target = Path(path)
    rows = [point.row() for point in points]
    if target.suffix == ".json":
        write_json(target, rows)
        return
    if target.suffix != ".csv":
        raise ConfigError(f"A curve cannot be written as {target.name}", "Name a file .csv or .json")
    names = list(rows[0] if rows else Point(Account(), 0, 0).row())  # a point of a subclass may have more
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
