"""Questions: what they ask, what answering costs, and which are none."""

from __future__ import annotations

import numpy as np
import pytest

from pal_plugin.errors import OracleError
from pal_plugin.oracle import Grid, Pairs


def test_a_grid_is_one_question_about_each_candidate_and_the_anchor():
    grid = Grid(3, [5, 1, 4])
    assert (grid.anchor, grid.candidates.tolist()) == (3, [5, 1, 4])
    assert (grid.i.tolist(), grid.j.tolist()) == ([3, 3, 3], [5, 1, 4])
    assert (grid.questions, len(grid), grid.kind) == (1, 3, "grid")
    pairs = Pairs([0, 1], [2, 3])
    assert (pairs.questions, len(pairs), pairs.kind) == (2, 2, "pair")
    assert {question.i.dtype for question in (grid, pairs)} == {np.dtype(np.int64)}


def test_clicks():
    assert Pairs([0, 1, 2], [3, 4, 5]).clicks([1, -1, 0]) == 3
    grid = Grid(0, [1, 2, 3, 4])
    assert grid.clicks([-1, -1, -1, -1]) == 1  # to send it
    assert grid.clicks([1, -1, 1, -1]) == 3
    assert grid.clicks([1, 0, 1, 0]) == 5


def test_equality_is_of_what_is_asked_and_in_which_form():
    assert Grid(0, [1, 2]) == Grid(0, [1, 2])
    assert len({Grid(0, [1, 2]), Grid(0, [1, 2])}) == 1
    assert Grid(0, [1, 2]) != Grid(0, [2, 1])
    assert Grid(0, [1, 2]) != Pairs([0, 0], [1, 2])
    assert Pairs([0], [1]) != "a pair"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Pairs([0, 1], [2]), "2 samples i and 1 samples j"),
        (lambda: Pairs([], []), "0 samples i"),
        (lambda: Grid(0, []), "0 samples i"),
        (lambda: Pairs([0.5], [1]), "float64"),
        (lambda: Pairs([2], [2]), "sample 2 and itself"),
        (lambda: Grid(2, [1, 2]), "sample 2 and itself"),
        (lambda: Pairs([-1], [2]), "sample -1"),
        (lambda: Pairs([0, 1], [1, 0]), "one of them twice"),
        (lambda: Grid(0, [1, 1]), "one of them twice"),
        (lambda: Grid(0, [[1]]), r"shape \(1, 1\)"),
    ],
)
def test_what_is_no_question(make, said):
    with pytest.raises(OracleError, match=said):
        make()
