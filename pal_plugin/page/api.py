"""What the page asks its server for, and what it is told: JSON in, JSON out, every input checked.

    GET  /api/state?annotator=NAME     the question at hand, the one after it, and how far the work has come
    GET  /api/images/NAME?size=PIXELS  a picture (PNG)
    POST /api/answers, /api/skip, /api/undo, each of which returns the new state

Samples go by opaque names (`Pictures`). What is refused has status 4xx and says `{"error", "mend"}`; 409 is a question
that is another annotator's, or was answered otherwise before. To send an answer again changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pal_plugin.errors import DataError, OracleError, StoreError
from pal_plugin.oracle.desk import Asked, Desk, Relations
from pal_plugin.oracle.progress import Progress
from pal_plugin.oracle.questions import Grid, Question
from pal_plugin.oracle.store.schema import SEEDS
from pal_plugin.page.images import LARGEST, Pictures

_NUMBER = Field(ge=1, lt=2**31)  # what a database's integer holds
_ANNOTATOR = Field(pattern=r"^[\w.@-]([\w .@-]{0,62}[\w.@-])?\Z")
_PICTURE = Annotated[str, Field(pattern=r"^[0-9a-f]{32}\Z")]
_PICTURES = Annotated[list[_PICTURE], Field(max_length=1000)]
_SECONDS = Field(ge=0, le=1e9, allow_inf_nan=False)


class RefusedError(Exception):
    """A request that cannot be granted: HTTP status, what is wrong, what mends it."""

    def __init__(self, status: int, error: str, mend: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.mend = mend


class _Strict(BaseModel):
    # Python's own expressions: the store checks names by them, and must never be given one that it refuses.
    model_config = ConfigDict(extra="forbid", strict=True, regex_engine="python-re")


class Who(_Strict):
    """An annotator."""

    annotator: str = _ANNOTATOR

    @field_validator("annotator")
    @classmethod
    def _is_a_person(cls, name: str) -> str:
        if name == SEEDS:  # what was told from the start is kept under this name, and counted as nobody's answer
            raise ValueError("the name is taken")
        return name


class Skipped(Who):
    """A question that somebody would rather not answer."""

    question: int = _NUMBER
    seconds: float = _SECONDS


class Answered(Skipped):
    """The candidates that show the same as the anchor, and those of which the annotator is not sure."""

    related: _PICTURES
    unsure: _PICTURES
    clicks: int = Field(ge=0, le=1_000_000)


class TakenBack(Who):
    """What somebody takes back: the question that they answered or skipped last, which is best named."""

    question: Annotated[int, _NUMBER] | None = None


class Size(BaseModel):
    """The size of a picture: pixels of its longer side, at most. No part of a body, so a number may be text."""

    model_config = ConfigDict(extra="forbid")
    size: int = Field(default=LARGEST, ge=1, le=LARGEST)


@dataclass(frozen=True)
class Room:
    """What the requests work on.

    Attributes:
        desk: who is asked what next.
        pictures: of the samples.
        name: of the data set.
        split: of it.
        size: its number of samples, N.
        currency: of the prices, "" where there are none.
    """

    desk: Desk
    pictures: Pictures
    name: str
    split: str
    size: int
    currency: str = ""

    def state(self, annotator: str) -> dict[str, Any]:
        """Return what the page shows to `annotator`; draws the questions that are missing."""
        desk = self.desk
        current = desk.next(annotator)
        following = None if current is None else desk.ahead(annotator)
        progress, last = desk.progress(annotator), desk.last(annotator)
        return {
            "dataset": {"name": self.name, "split": self.split, "size": self.size},
            "annotator": annotator,
            "questions": [self._question(asked) for asked in (current, following) if asked is not None],
            "done": None if current is not None else {"reason": desk.done()},
            "progress": _progress(progress),
            "budget": desk.budget,
            "agreement": _agreement(progress),
            "contradictions": progress.contradictions,
            "cost": None if progress.cost is None else {"total": progress.cost, "currency": self.currency},
            "can_undo": last is not None,
            "last": last,
        }

    def relations(self, answered: Answered) -> Relations:
        """Return the relation given to each candidate, (m,): +1 selected, 0 not sure, −1 all others.

        Raises:
            RefusedError: no such question, a candidate that is not of this question, one named twice.
        """
        candidates = self.find(answered.question).j.tolist()
        relations: Relations = np.full(len(candidates), -1, dtype=np.int8)
        named = [*answered.related, *answered.unsure]
        places = {self.pictures.name(sample): place for place, sample in enumerate(candidates)}
        if len(set(named)) != len(named) or not places.keys() >= set(named):
            raise RefusedError(
                422,
                f"The answer names a picture twice, or one that is no candidate of question {answered.question}",
                "Reload the page, and answer the question that it shows",
            )
        relations[[places[name] for name in answered.related]] = 1
        relations[[places[name] for name in answered.unsure]] = 0
        return relations

    def find(self, number: int) -> Question:
        """Return a question by its number.

        Raises:
            RefusedError: there is no such question.
        """
        question = self.desk.question(number)
        if question is None:
            raise RefusedError(404, f"There is no question {number}", "Reload the page")
        return question

    def _question(self, asked: Asked) -> dict[str, Any]:
        question, name = asked.question, self.pictures.name
        candidates = [name(sample) for sample in question.j.tolist()]
        before = None
        if asked.before is not None:
            given = list(zip(candidates, asked.before.tolist(), strict=True))
            before = {
                "related": [candidate for candidate, relation in given if relation > 0],
                "unsure": [candidate for candidate, relation in given if relation == 0],
            }
        return {
            "id": asked.id,
            "kind": "grid" if isinstance(question, Grid) else "pair",
            "anchor": name(int(question.i[0])),
            "candidates": candidates,
            "again": asked.again,
            "before": before,
        }


def routes(room: Room) -> APIRouter:
    """Return the API of a room. It runs in threads: nobody waits for the pictures of others."""
    api = APIRouter(prefix="/api")
    desk = room.desk

    @api.get("/state")
    def state(query: Annotated[Who, Query()]) -> dict[str, Any]:
        return room.state(query.annotator)

    @api.get("/images/{name}")
    def image(name: str, query: Annotated[Size, Query()]) -> Response:
        sample = room.pictures.sample(name)
        if sample is None:
            raise RefusedError(404, "There is no such picture", "Reload the page")
        try:
            content = room.pictures.png(sample, query.size)
        except DataError as error:
            # The error names the file, which may well tell the class: that is for the server's own terminal only.
            raise RefusedError(
                422, "This picture cannot be read", "Skip the question, and tell whoever runs the server"
            ) from error
        return Response(
            content, media_type="image/png", headers={"cache-control": "private, max-age=31536000, immutable"}
        )

    @api.post("/answers")
    def answer(body: Answered) -> dict[str, Any]:
        relations = room.relations(body)
        desk.refresh()  # where the store's answers are refused, no answer is taken, and the page has to keep this one
        with _conflicts():
            desk.answer(body.question, relations, body.annotator, seconds=body.seconds, clicks=body.clicks)
        return room.state(body.annotator)

    @api.post("/skip")
    def skip(body: Skipped) -> dict[str, Any]:
        room.find(body.question)
        with _conflicts():
            desk.skip(body.question, body.annotator, seconds=body.seconds)
        return room.state(body.annotator)

    @api.post("/undo")
    def undo(body: TakenBack) -> dict[str, Any]:
        if body.question is not None:
            room.find(body.question)
        with _conflicts():
            desk.undo(body.annotator, body.question)
        return room.state(body.annotator)

    return api


@contextlib.contextmanager
def _conflicts() -> Iterator[None]:
    """Say 409 where the desk finds that this annotator cannot close this question, or not in this way."""
    try:
        yield
    except StoreError:
        raise
    except OracleError as error:
        raise RefusedError(409, error.what, error.mend) from error


def _progress(progress: Progress) -> dict[str, Any]:
    account, mine = progress.account, progress.mine
    return {
        "questions": account.questions,
        "grids": account.grids,
        "clicks": account.clicks,
        "answers": account.answers,
        "unsure": account.unsure,
        "skipped": progress.skipped,
        "seconds": account.seconds,
        "related": progress.related,
        "unrelated": progress.unrelated,
        "known_share": progress.known_share,
        "components": progress.components,
        "mine": {"questions": mine.questions, "answers": mine.answers, "seconds": mine.seconds},
    }


def _agreement(progress: Progress) -> dict[str, Any] | None:
    agreement = progress.agreement
    if agreement is None:
        return None
    return {"pairs": agreement.pairs, "agree": agreement.agree, "kappa": agreement.kappa}
