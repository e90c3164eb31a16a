"""The notebooks' way of querying: what it fills in, and its random numbers."""

from __future__ import annotations

from itertools import product

import numpy as np

from pal_plugin.oracle import RandomPairs, first_of_each_class
from reproductions.pal.notebook import NotebookActive, NotebookPassive
from reproductions.pal.querying import Clean, clean_active

LABELS = np.random.default_rng(1).integers(0, 4, 60)
TRUTH = np.where(LABELS[:, None] == LABELS, 1, -1)


def closed(known: np.ndarray) -> np.ndarray:
    """Return all that follows from what is known, by applying the two rules until nothing changes."""
    known = known.astype(int)
    while True:
        same, apart = (known == 1).astype(int), (known == -1).astype(int)
        unrelated = same @ apart > 0
        new = np.where(same @ same > 0, 1, np.where(unrelated | unrelated.T, -1, known))
        if np.array_equal(new, known):
            return known
        known = new


def test_the_active_notebook_fills_in_part() -> None:
    strategy, incomplete = NotebookActive(LABELS, grid=10, seed=0), 0
    assert np.array_equal(strategy.known(), np.eye(60))
    for _ in range(200):
        strategy.ask()
        known = strategy.known()
        assert ((known == 0) | (known == TRUTH)).all()
        incomplete += not np.array_equal(closed(known), known)
    assert incomplete > 3
    assert np.array_equal(strategy.known(), TRUTH)


def test_the_passive_notebook_asks_each_pair_once_and_fills_in_nothing() -> None:
    strategy = NotebookPassive(LABELS[:12], pairs=10, seed=4)
    for asked in (0, 10, 20, 30, 40, 50, 60, 66, 66):
        known = strategy.known()
        assert (np.triu(known, 1) != 0).sum() == asked
        assert ((known == 0) | (known == TRUTH[:12, :12])).all()
        strategy.ask()


def test_random_numbers_are_those_of_the_results() -> None:
    active, passive = NotebookActive(LABELS, grid=10, seed=7), NotebookPassive(LABELS, pairs=10, seed=7)
    active.ask()
    passive.ask()
    others = np.flatnonzero(active.known()[first_of_each_class(LABELS)[0]])
    assert others.tolist() == OTHERS
    assert np.argwhere(np.triu(passive.known(), 1)).tolist() == PAIRS


OTHERS = [0, 1, 2, 4, 7, 16, 20, 36, 39, 42, 47, 50, 54, 56]
PAIRS = [[0, 15], [9, 33], [19, 58], [25, 47], [26, 28], [35, 45], [35, 49], [45, 54], [48, 52], [48, 56]]


def test_the_clean_way_knows_all_that_follows() -> None:
    seeds = first_of_each_class(LABELS)
    active, passive = clean_active(LABELS, grid=10, seed=0), Clean(RandomPairs(0, pairs=10), LABELS)
    assert all(active.known()[a, b] == (1 if a == b else -1) for a, b in product(seeds, seeds))
    for strategy in (active, passive):
        for _ in range(60):
            strategy.ask(np.eye(4)[LABELS])
            assert np.array_equal(closed(strategy.known()), strategy.known())
        assert np.array_equal(strategy.known(), TRUTH)
