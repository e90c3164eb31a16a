"""What every oracle keeps to."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

from pal_plugin.errors import OracleError
from pal_plugin.oracle import Grid, Oracle, Pairs


class OracleConformance:
    """Tests of an oracle; derive from it and define `make`, of an oracle that knows at least 12 samples.

    Attributes:
        many_pairs: whether it takes several pairs at once, as whoever sits at a page does not.
    """

    many_pairs: ClassVar[bool] = True

    def make(self) -> Oracle:
        """Return a new oracle that has been asked nothing."""
        raise NotImplementedError

    def test_answers_are_signs(self) -> None:
        """An answer to m pairs is (m,) int8 of +1, −1 and 0."""
        oracle = self.make()
        for question in (*self._pairs([0, 1, 2], [3, 4, 5]), Grid(0, list(range(1, 11)))):
            found = oracle.answer(question)
            assert found.dtype == np.int8
            assert found.shape == (len(question),)
            assert set(found.tolist()) <= {-1, 0, 1}

    def test_what_was_asked_is_counted(self) -> None:
        """Questions, answers and clicks add up."""
        oracle = self.make()
        assert (oracle.account.questions, oracle.account.answers) == (0, 0)
        for pairs in self._pairs([0, 1], [3, 4]):
            oracle.answer(pairs)
        assert (oracle.account.questions, oracle.account.answers) == (2, 2)
        oracle.answer(Grid(0, list(range(1, 11))))
        assert (oracle.account.questions, oracle.account.answers) == (3, 12)
        assert oracle.account.clicks >= 3

    def test_two_of_a_kind_answer_alike(self) -> None:
        """Two oracles that are made alike give the same answers to the same questions."""
        questions = [*self._pairs([0, 1, 2], [3, 4, 5]), Grid(6, [7, 8, 9, 10]), *self._pairs([3], [0])]
        first, second = self.make(), self.make()
        for question in questions:
            np.testing.assert_array_equal(first.answer(question), second.answer(question))

    def test_a_sample_outside_is_named_and_costs_nothing(self) -> None:
        """The question is refused."""
        oracle = self.make()
        with pytest.raises(OracleError, match=str(oracle.num_samples)):
            oracle.answer(Pairs(np.array([0]), np.array([oracle.num_samples])))
        assert oracle.account.questions == 0

    def _pairs(self, i: list[int], j: list[int]) -> list[Pairs]:
        """Return these pairs as one question, or as one each."""
        parts = [(i, j)] if self.many_pairs else [([a], [b]) for a, b in zip(i, j, strict=True)]
        return [Pairs(np.array(a), np.array(b)) for a, b in parts]
