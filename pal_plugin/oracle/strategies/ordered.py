"""An order from elsewhere, such as the picks of a selector, that says which samples are asked about first."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Nodes, distinct, vector
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Strategy

_FIRST = 32


class Ordered(Strategy):
    """Questions of another strategy, about the first samples of an order before the later ones.

    The other strategy is asked for a question about the first 32 samples of the order alone; where it finds none worth
    asking, about the first 64, 128, and so on, and at last about all samples, in the order or not.

    Args:
        order: sample numbers, each once; or the path of a CSV file with the columns `rank` and `index`, as `pal select`
            writes `picks.csv`.
        inner: the strategy that decides what is asked about them.

    Raises:
        OracleError: an order that is empty, names a sample twice or one that is none, or a file without such columns.
    """

    def __init__(self, order: npt.ArrayLike | str | os.PathLike[str], inner: Strategy) -> None:
        super().__init__(inner.seed)
        numbers = read_picks(order) if isinstance(order, (str, os.PathLike)) else vector("order", order)
        self.order = distinct("order", numbers, np.iinfo(np.int64).max)
        if self.order.size < 2:
            raise OracleError(f"An order of {self.order.size} samples has no pairs", "Order two samples or more")
        self.inner = inner

    def next(self, situation: Situation) -> Question | None:
        """Return the inner strategy's question about the first samples that it has one for, or None.

        Raises:
            OracleError: the order names a sample that this data set does not have, or as the inner strategy.
        """
        order = distinct("order", self.order, situation.num_samples)
        if situation.among is not None:
            order = order[np.isin(order, situation.among)]
        size = _FIRST
        while True:
            question = self.inner.next(replace(situation, among=order[:size])) if order.size > 1 else None
            if question is not None:
                return question
            if size >= order.size:
                return self.inner.next(situation)
            size *= 2


def read_picks(path: str | os.PathLike[str]) -> Nodes:
    """Return the sample numbers of a CSV file with the columns `rank` and `index`, by rank, (n,) int64.

    Raises:
        OracleError: no such file, columns that are missing, or values that are no whole numbers.
    """
    source = Path(path)
    try:
        with source.open(newline="", encoding="utf-8") as file:
            rows = sorted((int(row["rank"]), int(row["index"])) for row in csv.DictReader(file))
        return np.array([index for _, index in rows], dtype=np.int64)
    except OSError as error:
        raise OracleError(f"{source} cannot be read: {error.strerror}", "Name a file of picks (--order)") from error
    except (KeyError, TypeError, ValueError, OverflowError, csv.Error) as error:
        raise OracleError(
            f"{source} is no file of picks: {error}", "Give the columns rank and index, whole numbers"
        ) from error
