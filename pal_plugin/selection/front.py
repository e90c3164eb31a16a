"""The points that may be picked next, with exact distances, and the greedy among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.bounds import exact_product_error
from pal_plugin.selection.points import squared_distances


@dataclass
class Front:
    """Some points with their exact values, and what no other point exceeds.

    A value is the squared distance to the nearest centre, in float64. Of equal values the lowest index goes first.

    Attributes:
        index: (m,) of the points, ascending.
        rows: (m, D) exact points.
        values: (m,) exact; -1 once picked.
        outside: no other point has a larger value, and one of this value only from the index `outside_index` on.
        outside_index: see there.
    """

    index: Longs
    rows: Doubles
    values: Doubles
    outside: float
    outside_index: int

    @classmethod
    def merged(cls, fronts: list[Front]) -> Front:
        """Return the front of consecutive shards together."""
        if len(fronts) == 1:
            return fronts[0]
        bounds = [(front.outside, -front.outside_index) for front in fronts]
        outside, index = max(bounds)
        indices = np.concatenate([front.index for front in fronts])
        rows, values = (np.concatenate([getattr(front, name) for front in fronts]) for name in ("rows", "values"))
        return cls(indices, rows, values, outside, -index)

    def greedy(self, most: int) -> tuple[Longs, Doubles]:
        """Pick the farthest point, update the others, and so on while a pick is certain.

        Args:
            most: how many picks at most.

        Returns:
            (k,) places in the front, in order, and (k,) what their values were when they were picked.
        """
        places: list[int] = []
        found: list[float] = []
        squares = np.square(self.rows).sum(axis=1)
        norms = np.sqrt(squares)
        while len(places) < most and self.values.size:
            place = int(self.values.argmax())
            value = float(self.values[place])
            if value < 0 or (value, -int(self.index[place])) <= (self.outside, -self.outside_index):
                break
            places.append(place)
            found.append(value)
            self._cover(place, squares, norms)
        return np.array(places, dtype=np.int64), np.array(found)

    def _cover(self, place: int, squares: Doubles, norms: Doubles) -> None:
        """Take in one more centre: a product finds whom it could be nearer to, differences decide."""
        centre, values = self.rows[place], self.values
        products = squares + squares[place] - 2 * (self.rows @ centre)
        error = exact_product_error(norms, np.maximum(values, 0), centre.size)
        near: npt.NDArray[np.int64] = np.flatnonzero(products <= values + error)
        values[near] = np.minimum(values[near], squared_distances(self.rows[near], centre))
        values[place] = -1
