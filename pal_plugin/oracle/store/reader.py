"""Reading a store: its history, and what its answers amount to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import TracebackType
from typing import TypeVar

from sqlalchemy import Connection, select

from pal_plugin.errors import OracleError
from pal_plugin.graph.similarity import SimilarityGraph
from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.policies import Answers, resolve
from pal_plugin.oracle.situation import AskedPairs
from pal_plugin.oracle.store import entries, files, queries, schema
from pal_plugin.oracle.store.agreement import Agreement, agreement
from pal_plugin.oracle.store.database import Database
from pal_plugin.oracle.store.entries import Entry
from pal_plugin.oracle.store.schema import OPEN

_MOST_NAMED = 1000  # questions in one condition: databases have a limit
Self = TypeVar("Self", bound="StoreReader")


class StoreReader:
    """What of a store can be read; see `RelationStore`.

    Args:
        where: a path (SQLite) or a PostgreSQL URL.

    Attributes:
        place: where it is, for messages.
        manifest: reference of the data set.
        num_samples: N.
        secret: random key, 64 hexadecimal digits, under which the page hides sample numbers.

    Raises:
        ConfigError, StoreError: as `RelationStore.open`.
    """

    def __init__(self, where: str | os.PathLike[str]) -> None:
        self._database = Database(where)
        self.place = self._database.place
        self.manifest = self._database.manifest
        self.num_samples = int(self.manifest["size"])
        self.secret = self._database.secret

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def last(self, annotator: str | None = None) -> Entry | None:
        """Return what `undo` would take back."""
        with self._database.reading() as connection:
            return self._last(connection, annotator)

    def entry(self, number: int) -> Entry:
        """Return a question by its number.

        Raises:
            OracleError: no such question.
        """
        with self._database.reading() as connection:
            return self._entry(connection, number)

    def questions(self) -> list[Entry]:
        """Return the whole history, in the order of the questions' numbers."""
        with self._database.reading() as connection:
            return list(entries.read(connection))

    def changes(self, seen: Mapping[int, tuple[str, str | None]]) -> tuple[int, list[Entry]]:
        """Return what is not as it was seen, for whoever keeps the history in memory.

        Args:
            seen: state and annotator of each question, by its number.

        Returns:
            The revision, and the questions that are new or changed, in the order of their numbers.
        """
        columns = schema.questions.c
        with self._database.reading() as connection:
            revision = self._revision(connection)
            there = connection.execute(select(columns.id, columns.state, columns.annotator)).all()
            changed = {row.id for row in there if seen.get(row.id) != (row.state, row.annotator)}
            if len(changed) > _MOST_NAMED:
                return revision, [entry for entry in entries.read(connection) if entry.id in changed]
            return revision, list(entries.read(connection, columns.id.in_(changed)))

    def account(self, annotator: str | None = None) -> Account:
        """Return what was asked and what it cost; of one annotator, or of all.

        Questions and relations count where they are answered; clicks and seconds also where the question was skipped
        or undone, since they were spent.
        """
        with self._database.reading() as connection:
            return queries.account(connection, annotator)

    def annotators(self) -> list[str]:
        """Return who has or had a question, in alphabetical order: the numbers in `answers` are places in this list."""
        with self._database.reading() as connection:
            return queries.annotators(connection)

    def answers(self) -> Answers:
        """Return all relations given, in the order in which the store took them in; those undone are left out."""
        with self._database.reading() as connection:
            return queries.answers(connection)

    def asked(self) -> AskedPairs:
        """Return the pairs that were ever asked about: answered, not sure, skipped or open; those undone are not."""
        with self._database.reading() as connection:
            return queries.asked(connection)

    def states(self) -> dict[str, int]:
        """Return how many questions are open, answered, skipped and undone."""
        with self._database.reading() as connection:
            return queries.counts(connection)

    def ids(self) -> list[str]:
        """Return the N ids of the samples, in order."""
        with self._database.reading() as connection:
            ordered = select(schema.samples.c.id).order_by(schema.samples.c.number)
            return list(connection.execute(ordered).scalars())

    def agreement(self) -> Agreement | None:
        """Return how far annotators agree; None while no pair has answers of two."""
        return agreement(self.answers())

    def graph(self, policy: str | None = None) -> SimilarityGraph:
        """Return what is known as a transitive graph; its cost is the clicks that the answers took.

        Args:
            policy: what becomes of contradictions, as in `pal_plugin.oracle.policies.resolve`.

        Raises:
            OracleError: there are contradictions, and the policy is to refuse them.
            ConfigError: no such policy.
        """
        answers, account = self.answers(), self.account()
        resolution = resolve(answers, self.num_samples, policy, ids=self.ids())
        parameters = {
            "policy": policy or "refuse",
            "questions": account.questions,
            "must_link": int((answers.relation == 1).sum()),
            "cannot_link": int((answers.relation == -1).sum()),
            "not_sure": account.unsure,
            "set_aside": len(resolution.aside),
        }
        builder = {"name": "answers", "parameters": parameters, "cost": float(account.clicks)}
        return resolution.known.graph(manifest=self.manifest, builder=builder)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write the answers to a .csv file, a row a pair, or to .json, with what was skipped and undone.

        Returns:
            How many questions were written.

        Raises:
            ConfigError: another suffix.
        """
        with self._database.reading() as connection:
            closed = list(entries.read(connection, schema.questions.c.state != OPEN, by_closing=True))
        return files.write(path, closed, self.ids(), self.manifest)

    @property
    def revision(self) -> int:
        """A number that grows with every write, of this process or of another."""
        with self._database.reading() as connection:
            return self._revision(connection)

    @property
    def told(self) -> bool:
        """Whether what is told from the start is here, and was not undone."""
        with self._database.reading() as connection:
            return queries.told(connection)

    @property
    def drawn(self) -> int:
        """How many questions were ever put, undone ones included."""
        with self._database.reading() as connection:
            return queries.drawn(connection)

    def _revision(self, connection: Connection) -> int:
        return int(connection.execute(select(schema.meta.c.revision)).scalar_one())

    def _entry(self, connection: Connection, number: int) -> Entry:
        found = list(entries.read(connection, schema.questions.c.id == int(number)))
        if not found:
            raise OracleError(f"The store {self.place} has no question {number}", "Take its number from the history")
        return found[0]

    def _last(self, connection: Connection, annotator: str | None, *, single: bool = False) -> Entry | None:
        number = queries.last(connection, annotator, single=single)
        return None if number is None else self._entry(connection, number)
