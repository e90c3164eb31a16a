"""The tables of a store of answers, the same in SQLite and PostgreSQL."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Double, ForeignKey, Index, Integer, MetaData, String, Table, Text

FORMAT = 1
"""Version of the tables below; a program refuses a store of another one."""

OPEN, ANSWERED, SKIPPED, UNDONE = "open", "answered", "skipped", "undone"

SEEDS = "seeds"
"""The source, and the annotator, of what was told from the start: it was asked of nobody and cost nothing."""

tables = MetaData()

meta = Table(
    "meta",
    tables,
    Column("format", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),  # one more with every write, which it puts in order
    Column("manifest", Text, nullable=False),  # reference of the data set, as JSON
    Column("secret", String(64), nullable=False),  # key of the ids under which images are shown
)

samples = Table(
    "samples",
    tables,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
)

questions = Table(
    "questions",
    tables,
    Column("id", Integer, primary_key=True),
    Column("uuid", String(36), unique=True),  # of the answer, given when the question is closed
    Column("kind", String(8), nullable=False),
    Column("size", Integer, nullable=False),  # pairs asked about: a recovered question is whole or is not
    Column("annotator", String(64)),
    Column("source", Text, nullable=False),
    Column("state", String(8), nullable=False),
    Column("closed", Integer),  # the revision that closed it: answers are in this order, whatever the clock said
    Column("drawn_at", Double, nullable=False),  # seconds since 1970, UTC
    Column("closed_at", Double),
    Column("seconds", Double, nullable=False),
    Column("clicks", Integer, nullable=False),
    CheckConstraint("kind IN ('pair', 'grid')"),
    CheckConstraint("state IN ('open', 'answered', 'skipped', 'undone')"),
    CheckConstraint("(closed IS NULL) = (state = 'open')"),
)
Index("questions_closed", questions.c.closed)
Index("questions_state", questions.c.state, questions.c.annotator)

candidates = Table(
    "candidates",
    tables,
    Column("question", ForeignKey(questions.c.id), primary_key=True),
    Column("place", Integer, primary_key=True),  # from 0, as they are shown
    Column("i", ForeignKey(samples.c.number), nullable=False),  # of a grid, the anchor
    Column("j", ForeignKey(samples.c.number), nullable=False),
    CheckConstraint("i <> j"),
)

answers = Table(
    "answers",
    tables,
    Column("question", ForeignKey(questions.c.id), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("a", ForeignKey(samples.c.number), nullable=False),
    Column("b", ForeignKey(samples.c.number), nullable=False),
    Column("relation", Integer, nullable=False),
    Column("confidence", Double, nullable=False),
    CheckConstraint("a < b"),
    CheckConstraint("relation IN (-1, 0, 1)"),
    CheckConstraint("confidence > 0 AND confidence <= 1"),
)
