"""The figure of what a budget buys."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pal_plugin.selection import KCenterGreedy, Selection, coverage
from pal_plugin.sheet import write_budget_figure

X = np.random.default_rng(0).normal(size=(60, 4))


def drawn(path, picks, **options):
    covered = coverage(X, picks)
    return np.asarray(Image.open(write_budget_figure(path, picks, covered, **options)))


@pytest.mark.parametrize("name", ["$x^$", "$", "$a$ $b_$", r"a\$b$"])
def test_classes_of_any_name(name, tmp_path) -> None:
    picks = KCenterGreedy().select(X, 20)
    plain = drawn(tmp_path / "plain.png", picks, classes={"x": 12, "y": 8})
    assert drawn(tmp_path / "odd.png", picks, classes={name: 12, "y": 8}).shape == plain.shape


def test_the_bound_is_drawn_where_there_is_one(tmp_path) -> None:
    picks = KCenterGreedy().select(X, 20)
    without = drawn(tmp_path / "without.png", picks, certified=False)
    assert not np.array_equal(drawn(tmp_path / "with.png", picks, certified=True), without)
    later = KCenterGreedy().select(X, 20, after=Selection(picks.indices[:5]))
    np.testing.assert_array_equal(drawn(tmp_path / "later.png", later, certified=True), without)
