"""How far the asking has come: what it cost, what is known by it, how far the annotators agree."""

from __future__ import annotations

from dataclasses import dataclass

from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.accounting import Account, Prices
from pal_plugin.oracle.history import History, cost_of
from pal_plugin.oracle.situation import AskedPairs
from pal_plugin.oracle.store import Agreement, Entry
from pal_plugin.oracle.store.agreement import agreement


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


class Ledger:
    """Accounts and agreement of a history, kept up as it grows.

    Args:
        history: which its owner keeps up, and tells this of.
        prices: for the cost; None: no cost.
    """

    def __init__(self, history: History, prices: Prices | None) -> None:
        self._history = history
        self._prices = prices
        self._accounts: dict[str | None, Account] = {}
        self._agreement: Agreement | None = None
        self._answered = AskedPairs()  # whole where `_compare` is False
        self._compare = True

    def start_over(self) -> None:
        """Take note that the history has changed in whatever way."""
        self._accounts.clear()
        self._compare = True

    def charge(self, entry: Entry) -> None:
        """Take note of a question that was open and is closed now."""
        for whose in {None, entry.annotator} & self._accounts.keys():
            self._accounts[whose] += cost_of(entry)
        if entry.state == "answered":
            i, j = entry.question.i, entry.question.j
            self._compare |= bool(self._answered.has(i, j).any())  # nothing else changes how far annotators agree
            self._answered.add(i, j)

    def account(self, annotator: str | None = None) -> Account:
        """Return what was asked of an annotator, or of all."""
        if annotator not in self._accounts:
            self._accounts[annotator] = self._history.account(annotator)
        return self._accounts[annotator]

    def progress(self, known: Partition, contradictions: int, annotator: str | None) -> Progress:
        """Return all figures, with the share of one annotator, or of all."""
        if self._compare:
            self._take_stock()
        account = self.account()
        pairs = known.num_nodes * (known.num_nodes - 1) // 2
        return Progress(
            account=account,
            mine=self.account(annotator),
            skipped=self._history.num_skipped,
            related=known.num_related,
            unrelated=known.num_unrelated,
            known_share=(known.num_related + known.num_unrelated) / pairs,
            components=known.num_components,
            contradictions=contradictions,
            agreement=self._agreement,
            cost=None if self._prices is None else self._prices.cost(account),
        )

    def _take_stock(self) -> None:
        """Compare the annotators anew."""
        answers = self._history.answers
        self._agreement = agreement(answers)
        self._answered = AskedPairs()
        self._answered.add(answers.a, answers.b)
        self._compare = False
