"""What every selector keeps to."""

from __future__ import annotations

import pickle
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.base import clone

from pal_plugin.errors import FeatureError, SelectionError
from pal_plugin.selection.base import Selector


class SelectorConformance:
    """Tests of a selector; derive from it and define `make`.

    Attributes:
        reads_features: whether the selector looks at features, and so finds a NaN in them.
    """

    reads_features: ClassVar[bool] = True

    def make(self) -> Selector:
        """Return a new selector with its defaults, or what stands for them."""
        raise NotImplementedError

    def points(self) -> npt.NDArray[np.float32]:
        """Return (120, 6) features in six clusters."""
        random = np.random.default_rng(0)
        centres = 4 * random.normal(size=(6, 6))
        return (random.normal(size=(120, 6)) + centres[random.integers(0, 6, 120)]).astype(np.float32)

    def test_one_order_serves_every_budget(self) -> None:
        """The picks for a budget are the first ones of those for a larger one; in the end all samples are picked."""
        points = self.points()
        whole = self.make().select(points, 120).indices
        assert sorted(whole.tolist()) == list(range(120))
        for budget in (0, 1, 10, 60):
            np.testing.assert_array_equal(self.make().select(points, budget).indices, whole[:budget])

    def test_share_of_the_pool(self) -> None:
        """A float in (0, 1] is a share."""
        points = self.points()
        np.testing.assert_array_equal(self.make().select(points, 0.25).indices, self.make().select(points, 30).indices)

    def test_the_same_again(self) -> None:
        """Two selectors of the same parameters pick the same, and one picks the same twice."""
        points, selector = self.points(), self.make()
        first = selector.select(points, 30).indices
        np.testing.assert_array_equal(selector.select(points, 30).indices, first)
        np.testing.assert_array_equal(clone(selector).select(points, 30).indices, first)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(selector)).select(points, 30).indices, first)

    def test_labelled_and_candidates_are_kept_to(self) -> None:
        """What is labelled is not picked, and nothing else than candidates is."""
        labelled, candidates = [5, 100, 17], np.arange(0, 110)
        found = self.make().select(self.points(), 107, labelled=labelled, candidates=candidates).indices
        assert sorted(found.tolist()) == sorted(set(range(110)) - set(labelled))

    def test_goes_on_after_an_earlier_selection(self) -> None:
        """Earlier picks come first and are not picked again, and what is labelled stays so."""
        given: dict[str, Any] = {"labelled": [5, 100, 17], "candidates": np.arange(0, 110)}
        first = self.make().select(self.points(), 12, **given)
        more = self.make().select(self.points(), 40, after=first, **given).indices
        assert not set(more.tolist()) & {5, 17, 100, *range(110, 120)}
        np.testing.assert_array_equal(more[:12], first.indices)
        assert len(set(more.tolist())) == 40

    def test_given_features_are_not_changed(self) -> None:
        """Features may be read-only, as a memory map is."""
        points = self.points()
        before = points.copy()
        points.flags.writeable = False
        self.make().select(points, 20)
        np.testing.assert_array_equal(points, before)

    def test_bad_input_is_named(self) -> None:
        """A row with a NaN, budgets out of range, and indices outside the pool."""
        points = self.points()
        if self.reads_features:
            bad = points.copy()
            bad[31, 2] = np.nan
            with pytest.raises(FeatureError, match="Row 31"):
                self.make().select(bad, 3)
        for budget in (-1, 121):
            with pytest.raises(SelectionError, match="udget"):
                self.make().select(points, budget)
        for labelled in ([120], [-1], [3, 3]):
            with pytest.raises(SelectionError):
                self.make().select(points, 2, labelled=labelled)
