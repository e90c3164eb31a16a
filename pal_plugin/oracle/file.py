"""An oracle that knows what a file says."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from pal_plugin.oracle.answers import Oracle
from pal_plugin.oracle.checks import Signs
from pal_plugin.oracle.policies import Answers, resolve
from pal_plugin.oracle.questions import Question
from pal_plugin.oracle.store.files import read
from pal_plugin.oracle.store.schema import ANSWERED


class FileOracle(Oracle):
    """Answers by the relations that a file lists and what follows from them; of what it does not know it is not sure.

    Args:
        path: a .csv or .json file as `pal oracle export` writes it; a CSV file needs no more than the columns `id_a`,
            `id_b` and `relation` (must-link, cannot-link or not-sure).
        ids: the N ids of the data set, in order.

    Raises:
        ConfigError: another suffix.
        OracleError: the file is missing or malformed, names samples that the data set does not have, or contradicts
            itself.
    """

    def __init__(self, path: str | os.PathLike[str], ids: Sequence[str]) -> None:
        super().__init__(len(ids))
        told = [entry for entry in read(path, ids, annotator="file") if entry.state == ANSWERED]
        sizes = [len(entry.question) for entry in told]
        i = np.concatenate([np.empty(0, dtype=np.int64), *(entry.question.i for entry in told)])
        j = np.concatenate([np.empty(0, dtype=np.int64), *(entry.question.j for entry in told)])
        relations = [entry.relations for entry in told if entry.relations is not None]
        answers = Answers(
            question=np.repeat(np.arange(len(told)), sizes),
            a=np.minimum(i, j),
            b=np.maximum(i, j),
            relation=np.concatenate([np.empty(0, dtype=np.int8), *relations]),
            confidence=np.ones(i.size),
            annotator=np.zeros(i.size, dtype=np.int64),
        )
        self.known = resolve(answers, len(ids), "refuse", ids=ids).known

    def _answer(self, question: Question) -> Signs:
        return self.known.relation(question.i, question.j)
