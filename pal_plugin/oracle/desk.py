"""Who is asked what next: one desk between a store of answers, a strategy and any number of annotators."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.accounting import Prices
from pal_plugin.oracle.checks import check_count, check_seed, check_size
from pal_plugin.oracle.history import AGAIN, OVERLAP, History, closing
from pal_plugin.oracle.knowledge import Knowledge
from pal_plugin.oracle.progress import Ledger, Progress
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.store import Entry, RelationStore
from pal_plugin.oracle.store.entries import MovedError, checked_relations
from pal_plugin.oracle.strategies import Strategy

Relations: TypeAlias = npt.NDArray[np.int8]
AWAY = 24 * 3600.0
"""Seconds after which an annotator who has neither got nor closed a question is taken to have left."""


@dataclass(frozen=True, eq=False)
class Asked:
    """A question that somebody has open.

    Attributes:
        id: its number in the store.
        question: what is asked.
        again: whether it is asked again because answers contradict each other.
        before: (m,) the relations that were given and then undone; None where it was not answered before.
    """

    id: int
    question: Question
    again: bool = False
    before: Relations | None = None


class Desk:
    """Hands out the questions of a store and takes their answers in; safe to use from several threads.

    An annotator is asked, in this order: what they have open; what is open and nobody has, or somebody who has left;
    pairs whose answers contradict each other; now and then a question that another annotator answered; what the
    strategy draws. All of it is a function of what is in the store and of the seed, so that a desk on the store of one
    that was killed goes on where that one was.

    Args:
        store: of questions and answers.
        strategy: what is asked where nothing else is due.
        policy: what becomes of contradictions, as in `resolve`; "refuse" refuses the answer that makes one.
        features: (N, D) float32 that the strategy sees; None: none.
        overlap: share of the questions, in [0, 1], that are another annotator's, to see how far they agree.
        seed: which of them.
        budget: questions in all, of all annotators; None: as many as the strategy has.
        prices: for the cost; None: no cost.

    Raises:
        OracleError: fewer than two samples, or an argument out of range.
        StoreError: the store cannot be read.
    """

    def __init__(
        self,
        store: RelationStore,
        strategy: Strategy,
        *,
        policy: str = "again",
        features: npt.NDArray[np.float32] | None = None,
        overlap: float = 0.0,
        seed: int = 0,
        budget: int | None = None,
        prices: Prices | None = None,
    ) -> None:
        check_size(store.num_samples)
        if not 0 <= overlap <= 1:
            raise OracleError(f"overlap={overlap} is no share of the questions", "Pass a share in [0, 1]")
        self.budget = None if budget is None else check_count("budget", budget)
        self.features = features
        self._store = store
        self._strategy = strategy
        self._overlap = overlap
        self._seed = check_seed(seed)
        self._lock = threading.RLock()
        self._knowledge = Knowledge(store.num_samples, policy)
        self._history = History()
        self._ledger = Ledger(self._history, prices)
        self._asked = self._history.asked
        self._newest = (0, 0)  # of the answers that were taken in
        self._revision = -1
        self._stale = True  # what is known is not what the history says
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes wrote to the store.

        Raises:
            StoreError: it cannot be read.
            PalError: the policy refuses what they wrote.
        """
        with self._lock:
            if self._stale or self._store.revision != self._revision:
                self._revision, changed = self._store.changes(self._history.states)
                self._take_in(changed)

    def next(self, annotator: str) -> Asked | None:
        """Return the question for an annotator, drawn now or before; None where there is nothing to ask.

        Raises:
            OracleError: a name that is none.
        """
        with self._lock:
            self.refresh()
            self._history.here(annotator, time.time())
            return self._at(annotator, 0)

    def ahead(self, annotator: str) -> Asked | None:
        """Return the question that comes after `next`, drawn already, so that nobody has to wait for it.

        Raises:
            OracleError: a name that is none.
        """
        with self._lock:
            return self._at(annotator, 1) if self.next(annotator) is not None else None

    def question(self, number: int) -> Question | None:
        """Return a question by its number, or None where there is none."""
        with self._lock:
            entry = self._history.get(number)
            if entry is None:  # another process may have drawn it
                self.refresh()
                entry = self._history.get(number)
            return None if entry is None else entry.question

    def answer(
        self,
        number: int,
        relations: npt.ArrayLike,
        annotator: str,
        *,
        seconds: float = 0.0,
        clicks: int | None = None,
    ) -> None:
        """Take in an answer; once more the same changes nothing.

        Args:
            number: of the question.
            relations: (m,) of +1, −1 or 0 (not sure).
            annotator: who answers.
            seconds: that it took.
            clicks: that it took; None: as many as a mouse needs.

        Raises:
            OracleError: no such question, another's, one that is closed otherwise, an answer that does not fit, or,
                where the policy is "refuse", one that contradicts any other, or others that contradict each other.
            StoreError: it cannot be written.
        """
        with self._lock:
            while True:
                expected = self._fitting(number, relations) if self._knowledge.policy == "refuse" else None
                before = self._history.get(number)
                try:
                    self._store.answer(
                        number, relations, annotator=annotator, seconds=seconds, clicks=clicks, expected=expected
                    )
                except MovedError:  # another process has answered meanwhile: this answer may not fit any more
                    continue
                break
            entry = self._written(number)
            if before is not None and before.state != "open":
                return  # it was taken in before
            self._ledger.charge(entry)
            if entry.state == "answered":  # another process may have undone it at once
                self._learn([entry])

    def skip(self, number: int, annotator: str, *, seconds: float = 0.0) -> None:
        """Leave a question unanswered; it is not asked again. Once more changes nothing.

        Raises:
            OracleError: no such question, another's, or one that is closed otherwise.
        """
        with self._lock:
            before = self._history.get(number)
            self._store.skip(number, annotator, seconds)
            entry = self._written(number)
            if before is not None and before.state == "open":
                self._ledger.charge(entry)

    def undo(self, annotator: str, number: int | None = None) -> Asked | None:
        """Take back what an annotator answered or skipped last, and ask it once more, next.

        Args:
            annotator: who takes it back.
            number: the question that they mean: to take it back once more changes nothing. None: whichever is the last.

        Returns:
            The question, with the answer that was taken back; None where there is nothing to take back.

        Raises:
            OracleError: a name that is none, no such question, or one that is not the last.
        """
        with self._lock:
            again = self._store.take_back(annotator, number)
            self.refresh()
            entry = None if again is None else self._history.get(again)
            return None if entry is None else self._shown(entry)

    def last(self, annotator: str) -> int | None:
        """Return the question that `undo` would take back; None where there is nothing."""
        with self._lock:
            entry = self._history.last(annotator)
            return None if entry is None else entry.id

    def done(self) -> str:
        """Return why there is nothing to ask."""
        with self._lock:
            if not self._is_spent():
                return "Nothing is left that is worth asking"
            answered = self._ledger.account().questions
            if self.budget is None or answered >= self.budget:
                return f"The budget of {self.budget} questions is used up"
            return (
                f"Of the budget of {self.budget} questions {answered} are answered, and others have the remaining "
                f"{self.budget - answered} before them"
            )

    def progress(self, annotator: str | None = None) -> Progress:
        """Return how far the work has come, and the share of one annotator, or of all."""
        with self._lock:
            return self._ledger.progress(self._knowledge.known, self._knowledge.contradictions, annotator)

    def _at(self, annotator: str, place: int) -> Asked | None:
        """Return the question at a place of what an annotator has open; it is drawn where it is not there yet."""
        if len(self._history.waiting(annotator)) <= place:
            self._draw(annotator)
        waiting = self._history.waiting(annotator)
        return self._shown(waiting[place]) if len(waiting) > place else None

    def _draw(self, annotator: str) -> None:
        """Open one more question for an annotator, where there is one."""
        while True:
            try:
                self._open_one(annotator)
            except MovedError:  # what another process has asked meanwhile may be the same, and is of the same budget
                self.refresh()
                continue
            return

    def _open_one(self, annotator: str) -> None:
        """Open one more question, where there is one.

        Raises:
            MovedError: another process has asked something since the last look at the store.
        """
        for entry in [*self._history.unclaimed(), *self._history.left(annotator, time.time() - AWAY)]:
            taken = self._store.take(entry.id, annotator, of=entry.annotator)
            self._written(entry.id)
            if taken:
                return
        if self._is_spent():
            return
        source, question = self._due(annotator)
        if question is not None:
            number = self._store.ask(question, annotator=annotator, source=source, drawn=len(self._history))
            self._asked.add(question.i, question.j)
            self._written(number)

    def _due(self, annotator: str) -> tuple[str, Question | None]:
        """Return what is to be asked of an annotator, if anything, and what draws it."""
        for question in self._history.to_settle(self._knowledge.again, annotator):
            return AGAIN, question
        round_ = len(self._history)
        chance = np.random.default_rng([self._seed, round_])
        if chance.random() < self._overlap:
            others = self._history.to_compare(annotator)
            if others:
                return OVERLAP, others[chance.integers(len(others))]
        situation = Situation(self._knowledge.known, self._asked, round_, self.features)
        return type(self._strategy).__name__, self._strategy.next(situation)

    def _shown(self, entry: Entry) -> Asked:
        again = self._history.source(entry) == AGAIN
        return Asked(entry.id, entry.question, again, self._history.before(entry))

    def _fitting(self, number: int, relations: npt.ArrayLike) -> int:
        """Return the revision of the store at which an answer contradicts nothing.

        Raises:
            OracleError: it contradicts something, or what is in the store contradicts itself.
        """
        self.refresh()
        entry = self._history.get(number)
        if entry is not None and entry.state == "open":
            given = checked_relations(entry.question, relations)
            if not self._knowledge.fits(entry.question, given):
                raise OracleError(
                    "The answer contradicts what is known, and the policy is to refuse that",
                    "Answer otherwise, undo what was wrong, or choose another policy, such as --policy again "
                    "(`pal oracle run` keeps its policy: give it another --out as well)",
                )
        return self._revision

    def _is_spent(self) -> bool:
        """Return whether what is answered and what is open make up the budget."""
        return self.budget is not None and self._ledger.account().questions + self._history.num_open >= self.budget

    def _written(self, number: int) -> Entry:
        """Take note of what this desk has just written about a question."""
        entry = self._store.entry(number)
        self._history.put(entry)
        if entry.state == "undone":  # by another process, at once
            self._asked = self._history.asked
        self._revision += 1  # a store counts every write: if others wrote too, `refresh` will find another number
        return entry

    def _take_in(self, changed: Sequence[Entry]) -> None:
        """Take in what others did to questions: asked them, took, closed or undid them."""
        before = {entry.id: self._history.get(entry.id) for entry in changed}
        for entry in changed:
            self._history.put(entry)
            if before[entry.id] is None and entry.state != "undone":
                self._asked.add(entry.question.i, entry.question.j)
        self._ledger.start_over()
        undone = [was for entry in changed if entry.state == "undone" and (was := before[entry.id]) is not None]
        if undone:
            self._asked = self._history.asked
        self._stale |= any(was.state == "answered" for was in undone)
        self._learn(sorted((entry for entry in changed if entry.state == "answered"), key=closing))

    def _learn(self, answered: Sequence[Entry]) -> None:
        """Take in answers, the oldest first; all anew where by themselves they would not give the same."""
        self._stale |= any(closing(entry) < self._newest for entry in answered)
        self._newest = max([self._newest, *map(closing, answered)])
        for entry in answered:
            if entry.relations is not None and not self._stale:
                self._stale = not self._knowledge.add(entry.question, entry.relations)
        if self._stale:
            self._knowledge.resolve(self._history.answers)
            self._stale = False
