"""How far annotators agree on the pairs that two or more of them answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.policies import Answers


@dataclass(frozen=True)
class Agreement:
    """Agreement of annotators. "Not sure" is no answer here; where one answered a pair several times, the last counts.

    Attributes:
        pairs: pairs that two annotators or more answered.
        agree: share of them on which all who answered say the same.
        kappa: agreement beyond chance: 1 all, 0 what chance would give; None where all of these answers are the same.
        measure: "Cohen's kappa" for two annotators, "Krippendorff's alpha" for more, who need not all have answered
            the same pairs (Krippendorff, Content Analysis, 2004, chapter 11; nominal data).
        annotators: who answered such a pair, how many.
    """

    pairs: int
    agree: float
    kappa: float | None
    measure: str
    annotators: int


def agreement(answers: Answers) -> Agreement | None:
    """Return how far annotators agree; None where no pair has answers of two."""
    keys = answers.a << 32 | answers.b
    _, pair, times = np.unique(keys, return_inverse=True, return_counts=True)
    last: dict[int, dict[int, int]] = {}  # of pairs with several answers: most have one
    for place in np.flatnonzero((answers.relation != 0) & (times[pair] > 1)).tolist():
        last.setdefault(int(keys[place]), {})[int(answers.annotator[place])] = int(answers.relation[place])
    shared = [by for by in last.values() if len(by) > 1]
    if not shared:
        return None
    who = sorted({annotator for by in shared for annotator in by})
    agree = sum(len(set(by.values())) == 1 for by in shared) / len(shared)
    if len(who) == 2:
        kappa, measure = _cohen(np.array([[by[who[0]], by[who[1]]] for by in shared])), "Cohen's kappa"
    else:
        kappa, measure = _krippendorff(shared), "Krippendorff's alpha"
    return Agreement(len(shared), agree, kappa, measure, len(who))


def _cohen(given: npt.NDArray[np.int64]) -> float | None:
    """Return Cohen's kappa of two annotators' relations (pairs, 2)."""
    observed = float((given[:, 0] == given[:, 1]).mean())
    related = (given == 1).mean(axis=0)
    chance = float(related.prod() + (1 - related).prod())
    return None if chance == 1 else (observed - chance) / (1 - chance)


def _krippendorff(shared: list[dict[int, int]]) -> float | None:
    """Return Krippendorff's alpha for nominal data, with any number of answers a pair."""
    disagreeing = 0.0  # ordered pairs of different answers to one pair, weighted by 1 / (answers to it - 1)
    related, total = 0, 0
    for by in shared:
        count, yes = len(by), sum(relation == 1 for relation in by.values())
        disagreeing += 2 * yes * (count - yes) / (count - 1)
        related, total = related + yes, total + count
    expected = 2 * related * (total - related) / (total - 1)
    return None if expected == 0 else 1 - disagreeing / expected
