"""The questions of a store in memory: who has which, what each goes back to, what could be asked of a second person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.policies import Answers
from pal_plugin.oracle.questions import Pairs, Question
from pal_plugin.oracle.situation import AskedPairs
from pal_plugin.oracle.store import Entry
from pal_plugin.oracle.store.entries import TAKEN_BACK
from pal_plugin.oracle.store.schema import SEEDS

AGAIN, OVERLAP = "again", "overlap"
"""Sources of questions that no strategy drew."""

_CLOSED = ("answered", "skipped")


class History:
    """Questions by number, kept up as they change."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._open: dict[int, Entry] = {}
        self._by_uuid: dict[str, Entry] = {}
        self._last_seen: dict[str, float] = {}  # of annotators, in seconds since 1970

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, number: int) -> Entry | None:
        """Return a question, or None where there is none of this number."""
        return self._entries.get(number)

    def put(self, entry: Entry) -> None:
        """Take in a new question, or what became of one."""
        self._entries[entry.id] = entry
        self._open.pop(entry.id, None)
        if entry.state == "open":
            self._open[entry.id] = entry
        if entry.uuid is not None:
            self._by_uuid[entry.uuid] = entry
        if entry.annotator is not None:
            self.here(entry.annotator, max(entry.drawn_at, entry.closed_at or 0.0))

    @property
    def states(self) -> dict[int, tuple[str, str | None]]:
        """State and annotator of each question."""
        return {number: (entry.state, entry.annotator) for number, entry in self._entries.items()}

    @property
    def answers(self) -> Answers:
        """The relations of all answered questions, as `RelationStore.answers` gives them."""
        answered = [entry for entry in self._entries.values() if entry.state == "answered"]
        answered.sort(key=closing)
        code = {name: number for number, name in enumerate(sorted(self._last_seen))}
        sizes = [len(entry.question) for entry in answered]
        i = _joined([entry.question.i for entry in answered], np.int64)
        j = _joined([entry.question.j for entry in answered], np.int64)
        return Answers(
            question=np.repeat(np.array([entry.id for entry in answered], dtype=np.int64), sizes),
            a=np.minimum(i, j),
            b=np.maximum(i, j),
            relation=_joined([entry.relations for entry in answered], np.int8),
            confidence=_joined([entry.confidence for entry in answered], np.float64),
            annotator=np.repeat(np.array([code[e.annotator or ""] for e in answered], dtype=np.int64), sizes),
        )

    @property
    def asked(self) -> AskedPairs:
        """The pairs of all questions but those taken back, in the order of the questions."""
        pairs = AskedPairs()
        for entry in self._entries.values():
            if entry.state != "undone":
                pairs.add(entry.question.i, entry.question.j)
        return pairs

    @property
    def num_open(self) -> int:
        """How many questions are open, each pair counted as one."""
        return sum(entry.question.questions for entry in self._open.values())

    @property
    def num_skipped(self) -> int:
        """How many questions were skipped."""
        return sum(entry.state == "skipped" for entry in self._entries.values())

    def unclaimed(self) -> list[Entry]:
        """Return the open questions that nobody has and one person can be shown: one pair, or one grid."""
        return [entry for entry in self.waiting(None) if entry.question.questions == 1]

    def here(self, annotator: str, now: float) -> None:
        """Take note that an annotator is there, at a time in seconds since 1970."""
        self._last_seen[annotator] = max(self._last_seen.get(annotator, 0.0), now)

    def left(self, annotator: str, since: float) -> list[Entry]:
        """Return what others have open who since a time, in seconds since 1970, have not been there."""
        others = [e for e in self._open.values() if e.annotator not in (None, annotator)]
        return sorted((e for e in others if self._last_seen[e.annotator or ""] < since), key=lambda entry: entry.id)

    def waiting(self, annotator: str | None) -> list[Entry]:
        """Return what an annotator has open: what was taken back comes first, the last one before all; then by number.

        Args:
            annotator: None for what nobody has.
        """
        mine = sorted((entry for entry in self._open.values() if entry.annotator == annotator), key=lambda e: e.id)
        back = [entry for entry in mine if entry.source.startswith(TAKEN_BACK)]
        return back[::-1] + [entry for entry in mine if not entry.source.startswith(TAKEN_BACK)]

    def account(self, annotator: str | None = None) -> Account:
        """Return what was asked of an annotator, or of all, and what it cost, as `RelationStore.account` does.

        What was told from the start is left out.
        """
        total = Account()
        for entry in self._entries.values():
            if annotator in (None, entry.annotator) and entry.source != SEEDS:
                total += cost_of(entry)
        return total

    def last(self, annotator: str) -> Entry | None:
        """Return what `RelationStore.take_back` would take back; None where there is nothing."""
        closed = (e for e in self._entries.values() if e.annotator == annotator and e.state in _CLOSED)
        shown = (e for e in closed if e.question.questions == 1 and e.source != SEEDS)
        return max(shown, key=closing, default=None)

    def source(self, entry: Entry) -> str:
        """Return what drew a question in the first place, before it was taken back."""
        while (before := self._before(entry)) is not None:
            entry = before
        return entry.source

    def before(self, entry: Entry) -> npt.NDArray[np.int8] | None:
        """Return the answer (m,) that its annotator gave to a question and took back; None where there is none."""
        before = self._before(entry)
        return before.relations if before is not None and before.annotator == entry.annotator else None

    def to_settle(self, pairs: npt.NDArray[np.int64], annotator: str) -> Iterator[Question]:
        """Yield those of `pairs` (q, 2) to be asked again that nobody has open and this annotator has not skipped."""
        again = [entry for entry in self._entries.values() if self.source(entry) == AGAIN]
        skipped = [entry for entry in again if entry.state == "skipped" and entry.annotator == annotator]
        not_now = {entry.question for entry in again if entry.state == "open"} | {entry.question for entry in skipped}
        for pair in pairs:
            question = Pairs(pair[:1], pair[1:])
            if question not in not_now:
                yield question

    def to_compare(self, annotator: str) -> list[Question]:
        """Return the single pairs and grids that another annotator answered and nobody else was asked."""
        entries = [e for e in self._entries.values() if e.state != "undone" and e.annotator is not None]
        entries = [e for e in entries if e.question.questions == 1 and e.source != SEEDS]
        times = Counter(entry.question for entry in entries)
        answered = [e for e in entries if e.state == "answered" and e.annotator != annotator]
        return [entry.question for entry in answered if times[entry.question] == 1]

    def _before(self, entry: Entry) -> Entry | None:
        """Return the question that was taken back for this one; None where this is no such question."""
        if not entry.source.startswith(TAKEN_BACK):
            return None
        return self._by_uuid.get(entry.source.removeprefix(TAKEN_BACK))


def closing(entry: Entry) -> tuple[int, int]:
    """Return by what closed questions are ordered."""
    return entry.closed or 0, entry.id


def cost_of(entry: Entry) -> Account:
    """Return what a question cost: where it was skipped or taken back, clicks and seconds only."""
    if entry.state == "answered" and entry.relations is not None:
        return Account.of(entry.question, entry.relations, seconds=entry.seconds, clicks=entry.clicks)
    return Account(clicks=entry.clicks, seconds=entry.seconds)


def _joined(parts: list[Any], kind: type[np.generic]) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype=kind)
