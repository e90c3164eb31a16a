"""What a store is asked for as a whole: all answers, all pairs asked about, what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, case, func, literal, select, true

from pal_plugin.oracle.accounting import Account
from pal_plugin.oracle.policies import Answers
from pal_plugin.oracle.situation import AskedPairs
from pal_plugin.oracle.store.schema import ANSWERED, OPEN, SEEDS, SKIPPED, UNDONE, candidates, questions
from pal_plugin.oracle.store.schema import answers as given


def account(connection: Connection, annotator: str | None) -> Account:
    """Return what was asked of an annotator, or of all, and what it cost; what was told from the start is no answer."""
    whose = questions.c.source != SEEDS
    if annotator is not None:
        whose &= questions.c.annotator == annotator
    answered, grid = questions.c.state == ANSWERED, questions.c.kind == "grid"
    cost = connection.execute(
        select(
            _sum(case((answered, case((grid, 1), else_=questions.c.size)), else_=0)).label("questions"),
            _sum(case((answered & grid, 1), else_=0)).label("grids"),
            _sum(questions.c.clicks).label("clicks"),
            _sum(questions.c.seconds).label("seconds"),
        ).where(whose)
    ).one()
    relations = connection.execute(
        select(
            _sum(case((given.c.relation != 0, 1), else_=0)).label("answers"),
            _sum(case((given.c.relation == 0, 1), else_=0)).label("unsure"),
        )
        .select_from(given.join(questions))
        .where(whose, answered)
    ).one()
    return Account(
        questions=int(cost.questions),
        grids=int(cost.grids),
        clicks=int(cost.clicks),
        answers=int(relations.answers),
        unsure=int(relations.unsure),
        seconds=float(cost.seconds),
    )


def annotators(connection: Connection) -> list[str]:
    """Return who has or had a question, sorted; the same whichever way a database sorts text."""
    names = connection.execute(select(questions.c.annotator).where(questions.c.annotator.is_not(None)).distinct())
    return sorted(names.scalars())


def answers(connection: Connection) -> Answers:
    """Return the relations of all answered questions, in the order in which those were closed."""
    rows = connection.execute(
        select(given, questions.c.annotator)
        .select_from(given.join(questions))
        .where(questions.c.state == ANSWERED)
        .order_by(questions.c.closed, questions.c.id, given.c.place)
    ).all()
    code = {name: number for number, name in enumerate(annotators(connection))}
    return Answers(
        question=np.array([row.question for row in rows], dtype=np.int64),
        a=np.array([row.a for row in rows], dtype=np.int64),
        b=np.array([row.b for row in rows], dtype=np.int64),
        relation=np.array([row.relation for row in rows], dtype=np.int8),
        confidence=np.array([row.confidence for row in rows], dtype=np.float64),
        annotator=np.array([code[row.annotator] for row in rows], dtype=np.int64),
    )


def asked(connection: Connection) -> AskedPairs:
    """Return the pairs of all questions but those that were undone, in the order of the questions' numbers."""
    rows = connection.execute(
        select(candidates.c.i, candidates.c.j)
        .select_from(candidates.join(questions))
        .where(questions.c.state != UNDONE)
        .order_by(candidates.c.question, candidates.c.place)
    ).all()
    pairs = np.array([tuple(row) for row in rows], dtype=np.int64).reshape(-1, 2)
    found = AskedPairs()
    found.add(pairs[:, 0], pairs[:, 1])
    return found


def drawn(connection: Connection) -> int:
    """Return how many questions there are."""
    return connection.execute(select(func.count()).select_from(questions)).scalar_one()


def told(connection: Connection) -> bool:
    """Return whether the store knows what is told from the start; what was undone it does not know."""
    conditions = questions.c.source == SEEDS, questions.c.state == ANSWERED
    return connection.execute(select(questions.c.id).where(*conditions).limit(1)).first() is not None


def last(connection: Connection, annotator: str | None, *, single: bool = False) -> int | None:
    """Return the question that an annotator, or anybody, answered or skipped last; nobody did what was told.

    Args:
        connection: to the store.
        annotator: who; None: anybody.
        single: pass over questions of several pairs.
    """
    whose = true() if annotator is None else questions.c.annotator == annotator
    kind = (questions.c.kind == "grid") | (questions.c.size == 1) if single else true()
    return connection.execute(
        select(questions.c.id)
        .where(whose, kind, questions.c.state.in_((ANSWERED, SKIPPED)), questions.c.source != SEEDS)
        .order_by(questions.c.closed.desc(), questions.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def counts(connection: Connection) -> dict[str, int]:
    """Return how many questions are in each state."""
    rows = connection.execute(select(questions.c.state, func.count()).group_by(questions.c.state)).all()
    return dict.fromkeys((OPEN, ANSWERED, SKIPPED, UNDONE), 0) | {state: int(number) for state, number in rows}


def _sum(values: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(values), literal(0))
