"""The questions of a round: put to whoever answers, until as many are answered as the round has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin import registry
from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError
from pal_plugin.oracle import (
    FileOracle,
    HumanOracle,
    LabelOracle,
    NoisyOracle,
    Oracle,
    RelationStore,
    Situation,
    Strategy,
)
from pal_plugin.oracle.desk import Desk
from pal_plugin.oracle.policies import resolve
from pal_plugin.rounds.settings import HUMAN, LABELS, Settings

Features = NDArray[np.float32]


def make_oracle(settings: Settings, dataset: ImageDataset, store: RelationStore) -> Oracle:
    """Return whoever answers.

    Raises:
        ConfigError: there is no such oracle, or labels are to answer and there are none.
        OracleError: a file that cannot be read, or contradicts itself.
    """
    name = settings.oracle
    if name == HUMAN:
        return HumanOracle(store)
    if name == LABELS:
        if not (dataset.labels >= 0).any():
            raise ConfigError(
                f"The oracle answers from labels, and the images of {dataset.name} have none",
                "Ask a person (--oracle human), or give a file of relations (--oracle FILE)",
            )
        oracle: Oracle = LabelOracle(dataset.labels)
    elif name in registry.oracles:
        oracle = registry.oracles.get(name)(dataset)
    elif Path(name).exists():
        oracle = FileOracle(name, dataset.ids)
    else:
        known = registry.near_matches(name, {LABELS, HUMAN, *registry.oracles})
        raise ConfigError(f"There is no oracle called {name!r}, and no file", f"Choose another: {known}")
    return NoisyOracle(oracle, settings.noise, settings.seed) if settings.noise else oracle


def ask_until(
    answered: int,
    store: RelationStore,
    strategy: Strategy,
    oracle: Oracle,
    *,
    policy: str,
    annotator: str,
    features: Features | None,
) -> bool:
    """Ask until so many questions are answered, by whomever.

    Args:
        answered: how many.
        store: where questions and answers are kept: one that was open when a run was stopped is asked first.
        strategy: what chooses the questions.
        oracle: who answers.
        policy: what becomes of contradictions.
        annotator: the name under which the oracle's answers are kept.
        features: (N, D), what the strategy sees of the images; None for nothing.

    Returns:
        Whether so many were answered; False where the strategy found nothing left to ask.
    """
    if annotator == HUMAN:  # who answers on the page under a name of their own
        return _ask_people(answered, store, strategy, oracle, policy, features)
    desk = Desk(store, strategy, policy=policy, features=features)
    while store.account().questions < answered:
        asked = desk.next(annotator)
        if asked is None:
            return False
        relations = oracle.answer(asked.question)
        desk.answer(asked.id, relations, annotator, clicks=asked.question.clicks(relations))
    return True


def _ask_people(
    answered: int,
    store: RelationStore,
    strategy: Strategy,
    oracle: Oracle,
    policy: str,
    features: Features | None,
) -> bool:
    """Put questions that whoever is at the page is asked before the page's own, one after another.

    What is asked again of contradictions, and of several people, is the page's business.
    """
    while store.account().questions < answered:
        known = resolve(store.answers(), store.num_samples, policy).known
        question = strategy.next(Situation(known, store.asked(), store.drawn, features))
        if question is None:
            return False
        oracle.answer(question)
    return True
