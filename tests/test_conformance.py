"""Ours pass what third parties are asked to pass; what is broken does not. Engines and selectors: beside their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pal_plugin.oracle import FileOracle, LabelOracle, NoisyOracle
from pal_plugin.selection import RandomSelection
from pal_plugin.selection.base import Selector
from pal_plugin.testing import (
    EngineConformance,
    MethodConformance,
    OracleConformance,
    PriorConformance,
    SelectorConformance,
)

LABELS = np.arange(12) % 3
METHODS = [
    *("gps_simclr", "gps_byol", "pal_simclr", "pal_byol", "pal_vicreg", "pal_barlow_twins", "pal_spectral"),
    *("adassl_simclr", "adassl_byol", "simclr"),
]


@pytest.mark.parametrize("spec", ["pixels", "hog", "pca:8", "lite0", "python:conformant:colours"])
class TestPriors(PriorConformance):
    @pytest.fixture(autouse=True)
    def _spec(self, spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spec = spec
        monkeypatch.setenv("PAL_CACHE", str(tmp_path / "cache"))
        (tmp_path / "conformant.py").write_text(
            "import numpy as np\n\ndef colours(images):\n"
            "    return np.stack([image.mean(axis=(0, 1)) for image in images]).astype(np.float32)\n\n"
            "colours.key = 'mean colour'\n"
        )
        monkeypatch.syspath_prepend(str(tmp_path))

    def make(self):
        return self.spec


class TestLabelOracle(OracleConformance):
    def make(self):
        return LabelOracle(LABELS)


class TestNoisyOracle(OracleConformance):
    def make(self):
        return NoisyOracle(LabelOracle(LABELS), rate=0.3, seed=0)


class TestFileOracle(OracleConformance):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.file = tmp_path / "answers.csv"
        rows = [
            f"{i},{j},{'must-link' if LABELS[i] == LABELS[j] else 'cannot-link'}"
            for i in range(12)
            for j in range(i + 1, 12)
        ]
        self.file.write_text("\n".join(["id_a,id_b,relation", *rows]) + "\n")

    def make(self):
        return FileOracle(self.file, [str(number) for number in range(12)])


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
class TestMethods(MethodConformance):
    @pytest.fixture(autouse=True)
    def _name(self, name: str) -> None:
        self.name = name

    def config(self):
        return self.name, []


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
