"""Answers that contradict each other: which they are, and what is known by each way of dealing with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from pal_plugin.errors import ConfigError, GraphError, OracleError
from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.again import Standing
from pal_plugin.oracle.majority import contract
from pal_plugin.registry import near_matches

Longs = npt.NDArray[np.int64]
_SHOWN = 5


class Answers(NamedTuple):
    """Relations that annotators gave, k of them, in the order in which they were given.

    Attributes:
        question: (k,) int64, the question that each is of.
        a: (k,) int64 samples.
        b: (k,) int64 samples, a < b.
        relation: (k,) int8, +1 related, −1 unrelated, 0 not sure.
        confidence: (k,) float64 in (0, 1].
        annotator: (k,) int64, who gave it, as a number.
    """

    question: Longs
    a: Longs
    b: Longs
    relation: npt.NDArray[np.int8]
    confidence: npt.NDArray[np.float64]
    annotator: Longs


class Contradiction(NamedTuple):
    """Two samples that are said to be unrelated, and related through others.

    Attributes:
        a: the lower sample.
        b: the higher one.
        cannot_link: the latest answer, by place, that says they are unrelated.
        chain: answers, by place, that lead from a to b by as few must-links as possible.
    """

    a: int
    b: int
    cannot_link: int
    chain: tuple[int, ...]


class Resolution(NamedTuple):
    """What is known from answers under a policy.

    Attributes:
        known: of all samples.
        aside: (k,) int64, the answers that do not count, by place, sorted.
        again: (q, 2) int64, the pairs to be asked again, the lower sample first.
    """

    known: Partition
    aside: Longs
    again: Longs


def resolve(
    answers: Answers, num_samples: int, policy: str | None = None, *, ids: Sequence[str] | None = None
) -> Resolution:
    """Return what is known from answers, by a policy that says what becomes of contradictions.

    Without contradictions every policy gives the closure of all answers. "Not sure" says nothing, but ends the asking
    of a pair that was to be asked again. The policies:

    - `"refuse"`, or None: an error names the contradictions.
    - `"latest"`: the newest answer counts first; an older one that contradicts newer ones is set aside.
    - `"majority"`: answers are votes of their confidence, for or against; greedy additive edge contraction (Keuper et
      al., "Efficient decomposition of image and mesh graphs by lifted multicuts", ICCV 2015) joins the two components
      with most votes for it while there are some, and components with votes against it are unrelated; a tie is unknown.
      Answers that were outvoted are set aside.
    - `"again"`: a cannot-link and the shortest chain of must-links that contradicts it are set aside and listed to be
      asked again; see `pal_plugin.oracle.again`.

    Args:
        answers: in order, the oldest first.
        num_samples: N.
        policy: one of these names.
        ids: the samples' names, for the error of `"refuse"`; None: their numbers.

    Raises:
        OracleError: there are contradictions, and the policy is to refuse them.
        ConfigError: no such policy.
    """
    name = "refuse" if policy is None else policy
    if name not in POLICIES:
        raise ConfigError(f"There is no policy {name!r}", f"Choose another name: {near_matches(name, list(POLICIES))}")
    if name == "refuse":
        _refuse(answers, contradictions(answers, num_samples), ids)
    return POLICIES[name](answers, num_samples)


def contradictions(answers: Answers, num_samples: int) -> list[Contradiction]:
    """Return the pairs that a cannot-link answer separates and must-link answers join, by the cannot-link's place.

    Args:
        answers: all of them count, whatever a policy would set aside.
        num_samples: N.
    """
    links: dict[tuple[int, int], int] = {}  # the first answer that joins each pair
    pairs = list(zip(answers.a.tolist(), answers.b.tolist(), strict=True))
    for place in np.flatnonzero(answers.relation == 1).tolist():
        links.setdefault(pairs[place], place)
    joined = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    ends = (np.concatenate([joined[:, 0], joined[:, 1]]), np.concatenate([joined[:, 1], joined[:, 0]]))
    graph = csr_array((np.ones(ends[0].size), ends), shape=(num_samples, num_samples))
    _, part = connected_components(graph, directed=False)
    inside = (answers.relation == -1) & (part[answers.a] == part[answers.b])
    latest = {pairs[place]: place for place in np.flatnonzero(inside).tolist()}
    found: list[Contradiction] = []
    before: dict[int, npt.NDArray[np.int32]] = {}
    for (a, b), place in sorted(latest.items()):
        if a not in before:
            before = {a: breadth_first_order(graph, a)[1]}  # who comes before each sample on the way from a
        chain = [links[pair] for pair in _way(before[a], a, b)]
        found.append(Contradiction(a, b, place, tuple(chain)))
    return sorted(found, key=lambda contradiction: contradiction.cannot_link)


def describe(contradiction: Contradiction, answers: Answers, ids: Sequence[str] | None = None) -> str:
    """Return a contradiction as a sentence that names every answer of it by its question."""

    def answer(place: int) -> str:
        return f"{name(int(answers.a[place]))} – {name(int(answers.b[place]))} (question {answers.question[place]})"

    def name(sample: int) -> str:
        return str(sample) if ids is None else repr(ids[sample])

    chain = ", ".join(answer(place) for place in contradiction.chain)
    return (
        f"{name(contradiction.a)} and {name(contradiction.b)} are said to be unrelated "
        f"(question {answers.question[contradiction.cannot_link]}), and to be related by {chain}"
    )


def _refuse(answers: Answers, found: list[Contradiction], ids: Sequence[str] | None) -> None:
    if found:
        shown = "; ".join(describe(contradiction, answers, ids) for contradiction in found[:_SHOWN])
        more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        raise OracleError(
            f"Answers contradict each other: {shown}{more}",
            "Choose what becomes of such answers: --policy (pal train: graph.policy=) latest, majority or again",
        )


def _all(answers: Answers, num_samples: int) -> Resolution:
    return _newest_first(answers, num_samples)  # without contradictions, the order is all the same


def _newest_first(answers: Answers, num_samples: int) -> Resolution:
    known, aside = Partition(num_samples), []
    told = zip(answers.a.tolist(), answers.b.tolist(), answers.relation.tolist(), strict=True)
    for place, (a, b, relation) in reversed(list(enumerate(told))):
        if relation:
            try:
                known.add(a, b, relation)
            except GraphError:
                aside.append(place)
    return Resolution(known, np.array(aside[::-1], dtype=np.int64), _none())


def _majority(answers: Answers, num_samples: int) -> Resolution:
    votes: dict[tuple[int, int], float] = {}
    weights = (answers.relation * answers.confidence).tolist()
    for a, b, weight in zip(answers.a.tolist(), answers.b.tolist(), weights, strict=True):
        if weight:
            votes[a, b] = votes.get((a, b), 0.0) + weight
    known = contract(votes, num_samples)
    outvoted = (answers.relation != 0) & (known.relation(answers.a, answers.b) != answers.relation)
    return Resolution(known, np.flatnonzero(outvoted), _none())


def _again(answers: Answers, num_samples: int) -> Resolution:
    standing = Standing(num_samples)
    standing.take(zip(answers.a.tolist(), answers.b.tolist(), answers.relation.tolist(), strict=True))
    aside = np.setdiff1d(np.flatnonzero(answers.relation), standing.places)
    return Resolution(standing.known, aside, standing.again)


def _way(before: npt.NDArray[np.int32], start: int, end: int) -> list[tuple[int, int]]:
    """Return the pairs from `start` to `end`, the lower sample of each first."""
    way = []
    while end != start:
        previous = int(before[end])
        way.append((min(previous, end), max(previous, end)))
        end = previous
    return way[::-1]


def _none() -> Longs:
    return np.empty((0, 2), dtype=np.int64)


POLICIES: dict[str, Callable[[Answers, int], Resolution]] = {
    "refuse": _all,
    "latest": _newest_first,
    "majority": _majority,
    "again": _again,
}
"""What may become of contradictions, by name."""
