"""Every oracle passes what third parties are asked to pass; at the page sits a thread that knows the labels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pal_plugin.data.manifest import Manifest
from pal_plugin.oracle import FileOracle, HumanOracle, LabelOracle, NoisyOracle, RelationStore
from pal_plugin.testing import OracleConformance

LABELS = np.arange(12) % 3
MANIFEST = Manifest("twelve", "train", tuple("abcdefghijkl"), "0" * 64)


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


class TestHumanOracle(OracleConformance):
    many_pairs = False

    @pytest.fixture(autouse=True)
    def _somebody(self, tmp_path: Path) -> Iterator[None]:
        self.file = tmp_path / "answers.db"
        RelationStore.create(self.file, MANIFEST).close()
        stop = threading.Event()
        thread = threading.Thread(target=self._answer, args=(stop,))
        thread.start()
        yield
        stop.set()
        thread.join()

    def _answer(self, stop: threading.Event) -> None:
        with RelationStore.open(self.file) as store:
            while not stop.wait(0.01):
                for entry in store.questions():
                    if entry.state == "open":
                        relations = LabelOracle(LABELS).answer(entry.question)
                        store.answer(entry.id, relations, annotator="ann", seconds=1.0)

    def make(self):
        return HumanOracle(RelationStore.open(self.file), poll=0.01, timeout=60)
