"""The store of answers: what was asked, who answered what, what it cost."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlalchemy import select

from pal_plugin.errors import ManifestError, OracleError
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.store import entries, files, merge, queries, schema
from pal_plugin.oracle.store.database import MADE_BY, create
from pal_plugin.oracle.store.entries import TAKEN_BACK, Entry, MovedError
from pal_plugin.oracle.store.merge import Merged
from pal_plugin.oracle.store.reader import StoreReader
from pal_plugin.oracle.store.schema import ANSWERED, OPEN, SKIPPED, UNDONE

if TYPE_CHECKING:
    from pal_plugin.data.manifest import Manifest


class RelationStore(StoreReader):
    """Questions about the samples of one data set and the answers to them, in SQLite or PostgreSQL.

    Make one by `create`, `open` or `ensure`; it is a context manager. Every call is one transaction: a process that is
    killed loses at most the call that it is in. Several threads and processes may use one store at once; one database
    schema holds one store. Answers are in the order in which the store took them in, whatever a clock says.

    Attributes:
        place: where it is, for messages.
        manifest: reference of the data set.
        num_samples: N.
        secret: random key, 64 hexadecimal digits, under which the page hides sample numbers.
    """

    @classmethod
    def create(cls, where: str | os.PathLike[str], manifest: Manifest) -> RelationStore:
        """Make a new store.

        Args:
            where: a path, or `postgresql://USER:PASSWORD@HOST/DATABASE`; another schema than the user's own with
                `?options=-csearch_path%3DSCHEMA`.
            manifest: the data set that the samples are of.

        Raises:
            ConfigError: a URL of another kind, or psycopg is not installed.
            StoreError: something is there already, or it cannot be written.
        """
        create(where, manifest.reference(), manifest.ids)
        return cls(where)

    @classmethod
    def open(cls, where: str | os.PathLike[str], manifest: Manifest | None = None) -> RelationStore:
        """Open a store.

        Args:
            where: as in `create`.
            manifest: the data set at hand; None: whatever the store's is.

        Raises:
            ConfigError: as `create`.
            StoreError: there is none, or it is damaged, of another format, locked or out of reach.
            ManifestError: the store is of another data set.
        """
        store = cls(where)
        if manifest is not None:
            from pal_plugin.data.manifest import check_reference  # its room imports torch

            try:
                check_reference(store.manifest, manifest, what="The store", path=store.place, made_by=MADE_BY)
            except BaseException:
                store.close()
                raise
        return store

    @classmethod
    def ensure(cls, where: str | os.PathLike[str], manifest: Manifest) -> RelationStore:
        """Open a store of a data set, and make it first where nothing is.

        Raises:
            ConfigError, StoreError, ManifestError: as `create` and `open`.
        """
        create(where, manifest.reference(), manifest.ids, exist_ok=True)
        return cls.open(where, manifest)

    def ask(self, question: Question, *, annotator: str | None = None, source: str, drawn: int | None = None) -> int:
        """Put a question, which is open then.

        Args:
            question: what to ask.
            annotator: whose it is; None: whoever takes it.
            source: what drew it, such as the name of a strategy.
            drawn: how many questions there were when it was chosen; None: however many.

        Returns:
            Its number.

        Raises:
            OracleError: a sample outside [0, N), or a name that is none.
            MovedError: there are not `drawn` questions any more; nothing was written.
        """
        self._check_question(question)
        if annotator is not None:
            entries.check_name(annotator)
        with self._database.writing() as (connection, _):
            if drawn is not None and queries.drawn(connection) != drawn:
                raise self._moved()
            return entries.write_question(
                connection, question, annotator=annotator, source=source, drawn_at=time.time()
            )

    def take(self, number: int, annotator: str, *, of: str | None = None) -> bool:
        """Take an open question that nobody has; of several who try at once, one gets it.

        Args:
            number: of the question.
            annotator: who takes it.
            of: who has it, and has left it; None: nobody.

        Returns:
            Whether the annotator has it now.

        Raises:
            OracleError: no such question, or a name that is none.
        """
        entries.check_name(annotator)
        with self._database.writing() as (connection, _):
            entry = self._entry(connection, number)
            if entry.state == OPEN and entry.annotator == of:
                entries.update(connection, number, annotator=annotator, drawn_at=time.time())
                return True
            return entry.state == OPEN and entry.annotator == annotator

    def answer(
        self,
        number: int,
        relations: npt.ArrayLike,
        *,
        annotator: str,
        seconds: float = 0.0,
        clicks: int | None = None,
        confidence: npt.ArrayLike = 1.0,
        expected: int | None = None,
    ) -> None:
        """Answer an open question. The same answer by the same annotator once more changes nothing.

        Args:
            number: of the question.
            relations: (m,), +1 related, −1 unrelated, 0 not sure.
            annotator: who answers; a question that nobody had becomes theirs.
            seconds: that it took.
            clicks: that it took; None: as many as a mouse needs.
            confidence: in (0, 1], one for all or (m,).
            expected: the store's revision when the answer was found to fit; None: whichever.

        Raises:
            OracleError: no such question, another's, one that is closed otherwise, or an answer that does not fit.
            MovedError: the store is not at that revision any more; nothing was written.
        """
        entries.check_name(annotator)
        entries.check_cost(seconds, clicks)
        with self._database.writing() as (connection, revision):
            if expected is not None and revision != expected + 1:  # this write is one more
                raise self._moved()
            entry = self._entry(connection, number)
            given = entries.checked_relations(entry.question, relations)
            trust = entries.checked_confidence(entry.question, confidence)
            same = entry.state == ANSWERED and entry.relations is not None and np.array_equal(entry.relations, given)
            if same and entry.annotator == annotator:
                return
            entries.check_open(entry, annotator)
            entries.write_answers(connection, number, entry.question, given, trust)
            needed = entry.question.clicks(given) if clicks is None else clicks
            entries.close(connection, number, revision, ANSWERED, annotator, seconds, needed)

    def skip(self, number: int, annotator: str, seconds: float = 0.0, clicks: int = 1) -> None:
        """Leave an open question unanswered. Skipping it once more changes nothing.

        Args:
            number: of the question.
            annotator: who skips it.
            seconds: that it took.
            clicks: that it took.

        Raises:
            OracleError: no such question, another's, or one that is closed otherwise.
        """
        entries.check_name(annotator)
        entries.check_cost(seconds, clicks)
        with self._database.writing() as (connection, revision):
            entry = self._entry(connection, number)
            if entry.state == SKIPPED and entry.annotator == annotator:
                return
            entries.check_open(entry, annotator)
            entries.close(connection, number, revision, SKIPPED, annotator, seconds, clicks)

    def record(
        self,
        question: Question,
        relations: npt.ArrayLike,
        *,
        annotator: str,
        source: str,
        seconds: float = 0.0,
        clicks: int | None = None,
        confidence: npt.ArrayLike = 1.0,
    ) -> int:
        """Put a question together with its answer.

        Returns:
            The number of the question.

        Raises:
            OracleError: as `ask` and `answer`.
        """
        self._check_question(question)
        entries.check_name(annotator)
        entries.check_cost(seconds, clicks)
        given = entries.checked_relations(question, relations)
        trust = entries.checked_confidence(question, confidence)
        needed = question.clicks(given) if clicks is None else clicks
        with self._database.writing() as (connection, revision):
            number = entries.write_question(
                connection, question, annotator=annotator, source=source, drawn_at=time.time()
            )
            entries.write_answers(connection, number, question, given, trust)
            entries.close(connection, number, revision, ANSWERED, annotator, seconds, needed)
            return number

    def undo(self, annotator: str | None = None) -> Question | None:
        """Take back what was answered or skipped last; it stays in the history, and what it cost in the account.

        Args:
            annotator: whose last; None: anybody's.

        Returns:
            The question; None where there is nothing to take back.
        """
        with self._database.writing() as (connection, _):
            entry = self._last(connection, annotator)
            if entry is None:
                return None
            entries.update(connection, entry.id, state=UNDONE)
            return entry.question

    def take_back(self, annotator: str, number: int | None = None) -> int | None:
        """Undo what an annotator closed last, and ask them once more, all in one.

        Only one pair, or one grid: a page has no way to show several pairs, such as an import may hold.

        Args:
            annotator: who takes it back.
            number: the question that they mean; what was taken back already stays so, so that a request whose reply
                was lost can be made again. None: whichever was the last.

        Returns:
            The number under which it is asked once more; None where there was nothing to take back.

        Raises:
            OracleError: no such question, or it is not what they closed last.
        """
        entries.check_name(annotator)
        with self._database.writing() as (connection, _):
            last = self._last(connection, annotator, single=True)
            if number is not None:
                meant = self._entry(connection, number)
                if meant.state == UNDONE and meant.annotator == annotator:
                    same = schema.questions.c.source == f"{TAKEN_BACK}{meant.uuid}"
                    return connection.execute(select(schema.questions.c.id).where(same)).scalars().first()
                if last is None or last.id != number:
                    raise OracleError(
                        f"Question {number} is not the one that {annotator} answered or skipped last",
                        "Undo the later ones first",
                    )
            if last is None:
                return None
            entries.update(connection, last.id, state=UNDONE)
            source = f"{TAKEN_BACK}{last.uuid}"
            return entries.write_question(
                connection, last.question, annotator=annotator, source=source, drawn_at=time.time()
            )

    def merge(self, other: RelationStore) -> Merged:
        """Take in the closed questions of another store of the same data set, behind those that are here.

        Merging once more changes nothing, but that what was undone there since is undone here.

        Raises:
            ManifestError: the other store is of another data set.
        """
        if other.manifest["digest"] != self.manifest["digest"]:
            raise ManifestError(
                f"The store {other.place} is of another data set than {self.place}: {other.manifest['name']}/"
                f"{other.manifest['split']} with {other.num_samples} samples (digest {other.manifest['digest'][:12]})",
                "Merge stores of one data set, split, subset and seed",
            )
        with other._database.reading() as connection:
            closed = list(entries.read(connection, schema.questions.c.state != OPEN, by_closing=True))
        return self.take_in(closed)

    def import_(self, path: str | os.PathLike[str], *, annotator: str = "imported") -> Merged:
        """Take in the answers of a file that `export` wrote, or of a list of pairs: all of them or none.

        Args:
            path: .csv with at least the columns id_a,id_b,relation, or .json.
            annotator: who answered where the file does not say.

        Raises:
            ConfigError, OracleError, ManifestError: as `pal_plugin.oracle.store.files.read`.
        """
        return self.take_in(files.read(path, self.ids(), annotator=annotator, manifest=self.manifest))

    def take_in(self, closed: Iterable[Entry]) -> Merged:
        """Insert closed questions that are not here yet, by their uuid, in their order, behind all that are here."""
        with self._database.writing() as (connection, revision):
            return merge.take_in(connection, revision, closed)

    def _moved(self) -> MovedError:
        return MovedError(f"Others have written to the store {self.place} meanwhile", "Look at it again, and try anew")

    def _check_question(self, question: Question) -> None:
        highest = max(int(question.i.max()), int(question.j.max()))
        if highest >= self.num_samples:
            raise OracleError(
                f"A question is about sample {highest}, and the store's data set has {self.num_samples}",
                "Ask about samples of that data set",
            )
