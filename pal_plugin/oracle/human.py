"""An oracle that is whoever is at the page of `pal oracle serve`."""

from __future__ import annotations

import time

import numpy as np

from pal_plugin.errors import OracleError
from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.answers import Oracle
from pal_plugin.oracle.checks import Signs
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.store import Entry, RelationStore
from pal_plugin.oracle.store.entries import TAKEN_BACK
from pal_plugin.oracle.store.schema import ANSWERED, OPEN, SKIPPED, UNDONE

_SOURCE = "waiting"  # of a question that a program put and waits for


class HumanOracle(Oracle):
    """Puts questions into a store and waits until somebody has answered them, which also keeps the answers there.

    A question that nobody has is what a page asks first. One that is skipped is one that nobody is sure of. One that is
    undone is asked once more, and waited for.

    Args:
        store: of questions and answers.
        poll: seconds between two looks at the store.
        timeout: seconds to wait for an answer; None: for ever.

    Raises:
        OracleError: `poll` or `timeout` is not above 0.
    """

    def __init__(self, store: RelationStore, *, poll: float = 0.2, timeout: float | None = None) -> None:
        super().__init__(store.num_samples)
        for name, seconds in (("poll", poll), ("timeout", timeout)):
            if seconds is not None and not seconds > 0:
                raise OracleError(f"{name}={seconds} is no time", "Pass a number of seconds above 0")
        self.store = store
        self.poll = poll
        self.timeout = timeout
        self._closed: Entry | None = None

    def _answer(self, question: Question) -> Signs:
        if question.questions > 1:
            raise OracleError(
                f"The page shows one pair or one grid at a time, and this is {question.questions} questions",
                "Ask about one pair after another",
            )
        entry = self._put(question)
        end = None if self.timeout is None else time.monotonic() + self.timeout
        while entry.state in (OPEN, UNDONE):
            if end is not None and time.monotonic() > end:
                raise OracleError(
                    f"Nobody has answered question {entry.id} of {self.store.place} within {self.timeout:g} s",
                    f"Answer it: pal oracle serve --store {self.store.place} … It stays open and is found again",
                )
            time.sleep(self.poll)
            entry = self._after(self.store.entry(entry.id))
        self._closed = entry
        if entry.state == SKIPPED or entry.relations is None:
            return np.zeros(len(question), dtype=np.int8)
        return entry.relations

    def _cost(self, question: Question, relations: Signs) -> Account:
        closed = self._closed
        if closed is None or closed.state != ANSWERED:
            return Account()
        return Account.of(question, relations, seconds=closed.seconds, clicks=closed.clicks)

    def _put(self, question: Question) -> Entry:
        """Open a question, or find it open: a program that was stopped has left it so."""
        for entry in self.store.questions():
            if entry.state == OPEN and entry.source == _SOURCE and entry.question == question:
                return entry
        return self.store.entry(self.store.ask(question, source=_SOURCE))

    def _after(self, entry: Entry) -> Entry:
        """Return what an undone question is asked again by, as far as it is."""
        if entry.state != UNDONE:
            return entry
        again = [other for other in self.store.questions() if other.source == f"{TAKEN_BACK}{entry.uuid}"]
        return self._after(again[-1]) if again else entry
