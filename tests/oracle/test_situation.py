"""Pairs that were asked about, and what is open."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pal_plugin.errors import FeatureError, OracleError
from pal_plugin.graph.partition import Partition
from pal_plugin.oracle import AskedPairs, Situation

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)).filter(lambda pair: pair[0] != pair[1]), max_size=150)


@settings(deadline=None)
@given(PAIRS, PAIRS)
def test_asked_pairs_are_a_set_of_unordered_pairs(first, second):
    asked, expected = AskedPairs(), set()
    for pairs in (first, second):
        ends = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        asked.add(ends[:, 0], ends[:, 1])
        expected |= {frozenset(pair) for pair in pairs}
    assert len(asked) == len(expected)
    assert [frozenset(pair) for pair in asked.pairs.tolist()] == list(
        dict.fromkeys(frozenset(pair) for pair in first + second)
    )
    i, j = np.triu_indices(10, k=1)
    found = [frozenset(pair) in expected for pair in zip(i.tolist(), j.tolist(), strict=True)]
    assert asked.has(j, i).tolist() == asked.has(i, j).tolist() == found


def test_what_is_no_pair():
    for i, j in (([0], [1, 2]), ([-1], [2]), ([0.5], [1])):
        with pytest.raises(OracleError):
            AskedPairs().add(i, j)
        with pytest.raises(OracleError):
            AskedPairs().has(i, j)


def test_open_to_is_what_is_neither_known_nor_asked():
    known, asked = Partition(8), AskedPairs()
    known.join(0, 1)
    known.join(2, 3)
    known.separate(1, 3)
    asked.add([0, 0, 1], [4, 2, 5])
    situation = Situation(known, asked)
    assert situation.open_to(0).tolist() == [5, 6, 7]
    assert situation.open_to(1).tolist() == [4, 6, 7]
    assert situation.unresolved.tolist() == [[0, 4], [1, 5]]
    assert Situation(known, asked, among=np.array([7, 0, 5])).open_to(0).tolist() == [7, 5]


@pytest.mark.parametrize(
    ("error", "make", "said"),
    [
        (OracleError, lambda: Situation(Partition(1)), "no pairs among 1 samples"),
        (OracleError, lambda: Situation(Partition(0)), "no pairs among 0 samples"),
        (OracleError, lambda: Situation(Partition(3), among=np.array([0, 3])), "sample 3, outside"),
        (OracleError, lambda: Situation(Partition(3), among=np.array([0, 0])), "sample 0 twice"),
        (FeatureError, lambda: Situation(Partition(3), features=np.zeros((2, 4))), r"\(2, 4\) do not fit 3"),
        (FeatureError, lambda: Situation(Partition(3), features=np.zeros(3)), r"\(3,\) do not fit"),
    ],
)
def test_what_is_no_situation(error, make, said):
    with pytest.raises(error, match=said):
        make()
