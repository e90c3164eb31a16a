"""What is broken does not pass the tests that third parties are given. Methods: beside their own."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.oracle import LabelOracle
from pal_plugin.selection import RandomSelection
from pal_plugin.selection.base import Selector
from pal_plugin.testing import EngineConformance, OracleConformance, PriorConformance, SelectorConformance

LABELS = np.arange(12) % 3


class Whim(Selector):
    """Other picks for another budget, and features that are not what they were."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def _order(self, task, earlier):
        raise NotImplementedError

    def select(self, X, budget, **options):
        found = RandomSelection(seed=int(budget)).select(X, budget, **options)
        X[0, 0] += 1
        return found


class Free(LabelOracle):
    """Forgets to count."""

    def answer(self, question):
        return np.ones(len(question), dtype=np.int8)


def whole_batch(images):
    """Features that depend on what else is in the batch."""
    pixels = np.stack(list(images)).astype(np.float32)
    return pixels.mean(axis=(1, 2)) - pixels.mean()


def ruins_features(features, k, metric):
    features[:] = 0
    return np.zeros((len(features), k), dtype=np.int64)


@pytest.mark.parametrize(
    ("tests", "test", "broken"),
    [
        (SelectorConformance, "test_one_order_serves_every_budget", Whim()),
        (SelectorConformance, "test_given_features_are_not_changed", Whim()),
        (EngineConformance, "test_given_features_are_not_changed", ruins_features),
        (OracleConformance, "test_what_was_asked_is_counted", Free(LABELS)),
        (PriorConformance, "test_an_image_does_not_depend_on_its_batch", whole_batch),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__),
)
def test_what_is_broken_fails(tests, test, broken) -> None:
    these = type("Broken", (tests,), {"make": lambda self: broken})()
    with pytest.raises((AssertionError, ValueError)):
        getattr(these, test)()
