"""The questions of a store in memory: who has which, what each goes back to, what could be asked of a second person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.questions import Pairs, Question
from pal_plugin.oracle.situation import AskedPairs
from pal_plugin.oracle.store import Entry

AGAIN, OVERLAP, TAKEN_BACK, SEEDS = "again", "overlap", "undone:", "seeds"
"""Sources of questions that no strategy drew.

`TAKEN_BACK` is followed by the uuid of what was taken back: it stays the same where stores are merged, and numbers do
not. `SEEDS` is what was told from the start, and asked of nobody.
"""


class History:
    """Questions by number, kept up as they change.

    Args:
        entries: in the order of their numbers.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._open = {number: entry for number, entry in self._entries.items() if entry.state == "open"}
        self._by_uuid = {entry.uuid: entry for entry in self._entries.values()}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, number: int) -> Entry | None:
        """Return a question, or None where there is none of this number."""
        return self._entries.get(number)

    def put(self, entry: Entry) -> None:
        """Take in a new question, or what became of one."""
        self._entries[entry.id] = self._by_uuid[entry.uuid] = entry
        self._open.pop(entry.id, None)
        if entry.state == "open":
            self._open[entry.id] = entry

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
        """Return the open questions that nobody has."""
        return self.waiting(None)

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

    def can_undo(self, annotator: str) -> bool:
        """Return whether an annotator closed a question that still counts."""
        closed = ("answered", "skipped")
        return any(e.annotator == annotator and e.state in closed for e in reversed(self._entries.values()))

    def source(self, entry: Entry) -> str:
        """Return what drew a question in the first place, before it was taken back."""
        while (before := self._before(entry)) is not None:
            entry = before
        return entry.source

    def before(self, entry: Entry) -> npt.NDArray[np.int8] | None:
        """Return the answer (m,) that a question had before it was taken back; None where it had none."""
        before = self._before(entry)
        return None if before is None else before.relations

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
        """Return what another annotator answered and nobody else was asked."""
        entries = [e for e in self._entries.values() if e.state != "undone" and e.annotator is not None]
        times = Counter(entry.question for entry in entries)
        answered = [e for e in entries if e.state == "answered" and e.annotator != annotator]
        return [entry.question for entry in answered if times[entry.question] == 1]

    def _before(self, entry: Entry) -> Entry | None:
        """Return the question that was taken back for this one; None where this is no such question."""
        if not entry.source.startswith(TAKEN_BACK):
            return None
        return self._by_uuid.get(entry.source.removeprefix(TAKEN_BACK))


def cost_of(entry: Entry) -> Account:
    """Return what a question cost: where it was skipped or taken back, clicks and seconds only."""
    if entry.state == "answered" and entry.relations is not None:
        return Account.of(entry.question, entry.relations, seconds=entry.seconds, clicks=entry.clicks)
    return Account(clicks=entry.clicks, seconds=entry.seconds)
