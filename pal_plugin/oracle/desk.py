"""Who is asked what next: one desk between a store of answers, a strategy and any number of annotators."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import OracleError
from pal_plugin.oracle.accounting import Account, Prices
from pal_plugin.oracle.checks import check_count, check_seed, check_size
from pal_plugin.oracle.history import AGAIN, OVERLAP, TAKEN_BACK, History, cost_of
from pal_plugin.oracle.knowledge import Knowledge
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.store import Entry, RelationStore
from pal_plugin.oracle.store.entries import checked_relations
from pal_plugin.oracle.strategies import Strategy

if TYPE_CHECKING:
    from pal_plugin.oracle.store import Agreement

Relations: TypeAlias = npt.NDArray[np.int8]


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


@dataclass(frozen=True)
class Progress:
    """How far the work has come.

    Attributes:
        account: what was asked of everybody.
        mine: what was asked of one annotator.
        skipped: questions skipped by anybody.
        related: unordered pairs known to be related, by closure.
        unrelated: unordered pairs known to be unrelated, by closure.
        known_share: both as a share of all pairs.
        components: sets of samples known to be related, single ones included.
        contradictions: see `Knowledge.contradictions`.
        agreement: of the annotators; None while no pair has answers of two.
        cost: None where no price was given.
    """

    account: Account
    mine: Account
    skipped: int
    related: int
    unrelated: int
    known_share: float
    components: int
    contradictions: int
    agreement: Agreement | None
    cost: float | None


class Desk:
    """Hands out the questions of a store and takes their answers in; safe to use from several threads.

    An annotator is asked, in this order: what they have open; what is open and nobody has; pairs whose answers
    contradict each other; now and then a question that another annotator answered; what the strategy draws. All of it
    is a function of what is in the store and of the seed, so that a desk on the store of one that was killed goes on
    where that one was.

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
        self._prices = prices
        self._lock = threading.RLock()
        self._knowledge = Knowledge(store.num_samples, policy)
        self._history = History()
        self._asked = self._history.asked
        self._accounts: dict[str | None, Account] = {}
        self._agreement: Agreement | None = None
        self._compare_again = True
        self._revision = -1
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes wrote to the store.

        Raises:
            StoreError: it cannot be read.
            PalError: the policy refuses what they wrote.
        """
        with self._lock:
            revision = self._store.revision
            if revision != self._revision:
                self._reload()
                self._revision = revision  # read before the rest: what came in between is read again next time

    def next(self, annotator: str) -> Asked | None:
        """Return the question for an annotator, drawn now or before; None where there is nothing to ask.

        Raises:
            OracleError: a name that is none.
        """
        with self._lock:
            self.refresh()
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
            OracleError: no such question, another's, one that is closed otherwise, an answer that does not fit, or one
                that contradicts what is known where the policy is "refuse".
        """
        with self._lock:
            before = self._history.get(number)
            if before is not None and before.state == "open" and self._knowledge.policy == "refuse":
                self._check_fits(before.question, checked_relations(before.question, relations))
            self._store.answer(number, relations, annotator=annotator, seconds=seconds, clicks=clicks)
            entry = self._written(number)
            if entry.relations is None or (before is not None and before.state != "open"):
                return  # it was taken in before
            self._charge(entry)
            self._compare_again |= self._history.source(entry) in (AGAIN, OVERLAP)
            if not self._knowledge.add(entry.question, entry.relations):
                self._resolve()

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
                self._charge(entry)

    def undo(self, annotator: str) -> Asked | None:
        """Take back what an annotator answered or skipped last, and ask it once more, next.

        Returns:
            The question, with the answer that was taken back; None where there is nothing to take back.

        Raises:
            OracleError: a name that is none.
        """
        with self._lock:
            last = self._store.last(annotator)
            question = self._store.undo(annotator)
            if last is None or question is None:
                return None
            number = self._store.ask(question, annotator=annotator, source=f"{TAKEN_BACK}{last.uuid}")
            self._written(last.id)
            entry = self._written(number)
            self._asked = self._history.asked
            self._accounts.clear()
            if last.relations is not None:
                self._compare_again = True
                self._resolve()
            return self._shown(entry)

    def can_undo(self, annotator: str) -> bool:
        """Return whether there is anything that an annotator could take back."""
        with self._lock:
            return self._history.can_undo(annotator)

    def done(self) -> str:
        """Return why there is nothing to ask."""
        with self._lock:
            if self._is_spent():
                return f"The budget of {self.budget} questions is used up"
            return "Nothing is left that is worth asking"

    def progress(self, annotator: str | None = None) -> Progress:
        """Return how far the work has come, and the share of one annotator, or of all."""
        with self._lock:
            known = self._knowledge.known
            account = self._account(None)
            pairs = known.num_nodes * (known.num_nodes - 1) // 2
            return Progress(
                account=account,
                mine=self._account(annotator),
                skipped=self._history.num_skipped,
                related=known.num_related,
                unrelated=known.num_unrelated,
                known_share=(known.num_related + known.num_unrelated) / pairs,
                components=known.num_components,
                contradictions=self._knowledge.contradictions,
                agreement=self._agreed(),
                cost=None if self._prices is None else self._prices.cost(account),
            )

    def _at(self, annotator: str, place: int) -> Asked | None:
        """Return the question at a place of what an annotator has open; it is drawn where it is not there yet."""
        if len(self._history.waiting(annotator)) <= place:
            self._draw(annotator)
        waiting = self._history.waiting(annotator)
        return self._shown(waiting[place]) if len(waiting) > place else None

    def _draw(self, annotator: str) -> None:
        """Open one more question for an annotator, where there is one."""
        for entry in self._history.unclaimed():
            taken = self._store.take(entry.id, annotator)
            self._written(entry.id)
            if taken:
                return
        if self._is_spent():
            return
        source, question = self._due(annotator)
        if question is not None:
            number = self._store.ask(question, annotator=annotator, source=source)
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

    def _check_fits(self, question: Question, relations: Relations) -> None:
        if not self._knowledge.fits(question, relations):
            raise OracleError(
                "The answer contradicts what is known, and the policy is to refuse that",
                "Answer otherwise, undo what was wrong, or choose another policy: --policy again",
            )

    def _is_spent(self) -> bool:
        """Return whether what is answered and what is open make up the budget."""
        return self.budget is not None and self._account(None).questions + self._history.num_open >= self.budget

    def _account(self, annotator: str | None) -> Account:
        if annotator not in self._accounts:
            self._accounts[annotator] = self._history.account(annotator)
        return self._accounts[annotator]

    def _charge(self, entry: Entry) -> None:
        for whose in {None, entry.annotator} & self._accounts.keys():
            self._accounts[whose] += cost_of(entry)

    def _agreed(self) -> Agreement | None:
        if self._compare_again:
            self._agreement = self._store.agreement() if len(self._store.annotators()) > 1 else None
            self._compare_again = False
        return self._agreement

    def _written(self, number: int) -> Entry:
        """Take note of what this desk has just written about a question."""
        entry = self._store.entry(number)
        self._history.put(entry)
        self._revision += 1  # a store counts every write: if others wrote too, `refresh` will find another number
        return entry

    def _resolve(self) -> None:
        revision, self._revision = self._revision, -1  # until this is done: where it fails, `refresh` starts over
        self._knowledge.resolve(self._store.answers())
        self._revision = revision

    def _reload(self) -> None:
        self._history = History(self._store.questions())
        self._asked = self._history.asked
        self._accounts.clear()
        self._compare_again = True
        self._knowledge.resolve(self._store.answers())
