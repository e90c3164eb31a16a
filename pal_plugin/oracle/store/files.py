"""Answers as CSV, a row a pair, for spreadsheets and `pal graph pairs`; and as JSON, with all their history."""

from __future__ import annotations

import csv
import itertools
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from pal_plugin.arrays import nothing_at
from pal_plugin.errors import ConfigError, ManifestError, OracleError, PalError
from pal_plugin.io import atomic_path, write_json
from pal_plugin.oracle.questions import Grid, Pairs, Question
from pal_plugin.oracle.store import entries, schema
from pal_plugin.oracle.store.entries import Entry

RELATIONS = {"must-link": 1, "cannot-link": -1, "not-sure": 0}
_NAMES = {relation: name for name, relation in RELATIONS.items()}
_OF_PAIR = ("id_a", "id_b", "relation", "weight")
_OF_QUESTION = ("question", "kind", "annotator", "time", "seconds", "clicks", "source")
_FORMAT = "pal-plugin answers 1"
_FORM = "Write it as `pal oracle export` does; a CSV file needs no more than the columns id_a,id_b,relation"
_CONTENT = uuid.UUID("7d5f0c1e-6a0b-5b0e-9b0f-0f6b8f7c2a11")  # namespace of answers that came without an identity


def write(path: str | os.PathLike[str], history: Iterable[Entry], ids: Sequence[str], manifest: dict[str, Any]) -> int:
    """Write closed questions to `path`, atomically: CSV what was answered, JSON what was skipped and undone as well.

    Args:
        path: a name that ends in .csv or .json.
        history: in order; open questions are left out.
        ids: the samples' names.
        manifest: reference of the data set, for JSON.

    Returns:
        How many questions were written.

    Raises:
        ConfigError: another suffix.
    """
    target = Path(path)
    if target.suffix == ".json":
        listed = [_as_json(entry, ids) for entry in history if entry.state != schema.OPEN]
        write_json(target, {"format": _FORMAT, "manifest": manifest, "questions": listed})
        return len(listed)
    if target.suffix != ".csv":
        raise ConfigError(f"Answers cannot be written as {target.name}", "Name a file .csv or .json")
    answered = [entry for entry in history if entry.state == schema.ANSWERED]
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*_OF_PAIR, *_OF_QUESTION])
        writer.writeheader()
        for entry in answered:
            writer.writerows({**pair, **_of_question(entry)} for pair in _pairs(entry, ids))
    return len(answered)


def read(
    path: str | os.PathLike[str], ids: Sequence[str], *, annotator: str, manifest: dict[str, Any] | None = None
) -> list[Entry]:
    """Read what `write` wrote, or a CSV list of pairs; nothing is taken on trust.

    Args:
        path: a name that ends in .csv or .json.
        ids: the samples' names, in order.
        annotator: who answered where the file does not say.
        manifest: reference of the data set at hand; a JSON file of another one is refused. None: only the ids count.

    Returns:
        Closed questions in the order of the file; their `id` and `closed` are places in it.

    Raises:
        ConfigError: another suffix.
        OracleError: no such file, one that cannot be read, ids that the data set does not have (all are named), or a
            relation, a number or a time that is none.
        ManifestError: a JSON file of another data set.
    """
    source = Path(path)
    if not source.exists():
        raise nothing_at(source, "There is no file of answers", "*.*", OracleError, "Name a .csv or .json file")
    if source.suffix not in (".csv", ".json"):
        raise ConfigError(f"Answers cannot be read from {source.name}", "Name a file .csv or .json")
    listed = _json(source, manifest) if source.suffix == ".json" else _csv(source)
    places = {name: place for place, name in enumerate(ids)}
    _refuse_unknown(source, listed, places)
    return [_read(source, number, question, places, annotator) for number, question in enumerate(listed)]


def _pairs(entry: Entry, ids: Sequence[str]) -> list[dict[str, Any]]:
    ends = zip(entry.question.i.tolist(), entry.question.j.tolist(), strict=True)
    pairs: list[dict[str, Any]] = [{"id_a": ids[i], "id_b": ids[j]} for i, j in ends]
    if entry.relations is not None and entry.confidence is not None:
        given = zip(pairs, entry.relations.tolist(), entry.confidence.tolist(), strict=True)
        return [{**pair, "relation": _NAMES[relation], "weight": weight} for pair, relation, weight in given]
    return pairs


def _of_question(entry: Entry) -> dict[str, Any]:
    return {
        "question": entry.uuid,
        "kind": entry.question.kind,
        "annotator": entry.annotator,
        "time": datetime.fromtimestamp(entry.closed_at or 0, timezone.utc).isoformat(),
        "seconds": entry.seconds,
        "clicks": entry.clicks,
        "source": entry.source,
    }


def _as_json(entry: Entry, ids: Sequence[str]) -> dict[str, Any]:
    drawn = datetime.fromtimestamp(entry.drawn_at, timezone.utc).isoformat()
    return {**_of_question(entry), "drawn": drawn, "state": entry.state, "pairs": _pairs(entry, ids)}


def _json(source: Path, manifest: dict[str, Any] | None) -> list[dict[str, Any]]:
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise OracleError(f"{source} has the format {content['format']!r}, not {_FORMAT!r}", _FORM)
        listed = [{**question, "pairs": list(map(dict, question["pairs"]))} for question in content["questions"]]
        digest = content["manifest"]["digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OracleError(f"{source} cannot be read as JSON of answers: {error!r}", _FORM) from error
    if manifest is not None and digest != manifest["digest"]:
        raise ManifestError(
            f"The answers in {source} are of another data set (digest {str(digest)[:12]}) than the store's, "
            f"{manifest.get('name')}/{manifest.get('split')} (digest {manifest['digest'][:12]})",
            "Use the store of that data set; a CSV file of answers goes by the samples' ids alone",
        )
    return listed


def _csv(source: Path) -> list[dict[str, Any]]:
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise OracleError(f"{source} cannot be read as CSV: {error}", _FORM) from error
    names = set(rows[0]) if rows else set()
    if not {"id_a", "id_b", "relation"} <= names <= {*_OF_PAIR, *_OF_QUESTION}:
        raise OracleError(f"{source} has the columns {', '.join(map(str, names)) or '(none)'}, or no row", _FORM)
    for number, row in enumerate(rows):
        if None in row.values():
            raise OracleError(f"{source}: row {number + 1} has fewer cells than the header", "Complete it")
    # Rows without a question are questions of their own; those of one question need not follow each other.
    grouped: dict[Any, list[dict[str, Any]]] = {}
    for number, row in enumerate(rows):
        grouped.setdefault(row.get("question") or number, []).append(row)
    return [_question_of(source, group) for group in grouped.values()]


def _question_of(source: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = {name: rows[0][name] for name in _OF_QUESTION if rows[0].get(name)}
    for row in rows:
        if {name: row[name] for name in _OF_QUESTION if row.get(name)} != first:
            raise OracleError(f"{source}: the rows of question {first.get('question')} do not agree on it", _FORM)
    first.setdefault("kind", "pair")
    return {**first, "pairs": [{name: row[name] for name in _OF_PAIR if row.get(name)} for row in rows]}


def _refuse_unknown(source: Path, listed: list[dict[str, Any]], places: dict[str, int]) -> None:
    pairs = itertools.chain.from_iterable(question["pairs"] for question in listed)
    named = dict.fromkeys(str(pair.get(end)) for pair in pairs for end in ("id_a", "id_b"))
    unknown = [repr(name) for name in named if name not in places]
    if unknown:
        raise OracleError(
            f"{source} names {len(unknown)} samples that the data set of {len(places)} does not have: "
            f"{', '.join(unknown)}",
            "Correct them, or take the data set that they are of; nothing was read",
        )


def _read(source: Path, number: int, listed: dict[str, Any], places: dict[str, int], annotator: str) -> Entry:
    """Return one question of a file."""
    state = listed.get("state", schema.ANSWERED)
    try:
        if state not in (schema.ANSWERED, schema.SKIPPED, schema.UNDONE):
            raise OracleError(f"{state!r} is no state of a closed question", "Give answered, skipped or undone")
        question = _question(listed, places)
        relations = confidence = None
        if state == schema.ANSWERED or "relation" in listed["pairs"][0]:
            given = [_value(pair, "relation", RELATIONS.__getitem__) for pair in listed["pairs"]]
            relations = entries.checked_relations(question, given)
            trust = [_value(pair, "weight", float, 1.0) for pair in listed["pairs"]]
            confidence = entries.checked_confidence(question, trust)
        closed_at = _value(listed, "time", _seconds, time.time())
        clicks = question.clicks(relations) if relations is not None else 0
        entry = Entry(
            id=number,
            question=question,
            state=state,
            annotator=_value(listed, "annotator", str, annotator),
            source=_value(listed, "source", str, source.name),
            relations=relations,
            confidence=confidence,
            closed=number,
            uuid=_identity(listed, annotator),
            drawn_at=_value(listed, "drawn", _seconds, closed_at),
            closed_at=closed_at,
            seconds=_value(listed, "seconds", float, 0.0),
            clicks=_value(listed, "clicks", int, clicks),
        )
        entries.check_name(str(entry.annotator))
        entries.check_cost(entry.seconds, entry.clicks)
    except PalError as error:
        raise OracleError(f"{source}: question {number + 1}: {error.what}", error.mend) from error
    return entry


def _question(listed: dict[str, Any], places: dict[str, int]) -> Question:
    i = np.array([places[str(pair["id_a"])] for pair in listed["pairs"]], dtype=np.int64)
    j = np.array([places[str(pair["id_b"])] for pair in listed["pairs"]], dtype=np.int64)
    kind = listed.get("kind")
    if kind == "grid" and i.size and (i == i[0]).all():
        return Grid(int(i[0]), j)
    if kind != "pair":
        raise OracleError(f"It is of the kind {kind!r}, or a grid of several anchors", "Give the kind pair or grid")
    return Pairs(i, j)


def _identity(listed: dict[str, Any], annotator: str) -> str:
    """Return the answer's uuid; where it has none, one of its content, so that importing it twice is doing so once.

    Who answered is part of the content, also where the file does not say: two people may well answer alike.
    """
    try:
        return str(uuid.UUID(str(listed.get("question"))))
    except ValueError:
        return str(uuid.uuid5(_CONTENT, json.dumps({"annotator": annotator, **listed}, sort_keys=True)))


def _value(row: dict[str, Any], name: str, read_as: Callable[[Any], Any], otherwise: Any = None) -> Any:
    if name not in row and otherwise is not None:
        return otherwise
    try:
        return read_as(row[name])
    except (KeyError, TypeError, ValueError, OverflowError) as error:  # of an integer without bounds, or Infinity
        raise OracleError(f"It has the {name} {row.get(name)!r}", _FORM) from error


def _seconds(text: object) -> float:
    """Return a time in ISO 8601, in UTC where it names no zone, as seconds since 1970."""
    if not isinstance(text, str):  # JSON has numbers too
        raise TypeError(f"{text!r} is no text")
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
