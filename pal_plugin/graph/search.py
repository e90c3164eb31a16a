"""Exact search: neighbours and radii as a float64 computation gives them, at the speed of a float32 product.

A float32 matrix product finds the candidates: every row comes with a bound on the product's error, and where that bound
leaves a doubt the distances are computed again in float64. The result therefore depends neither on the block size nor
on the number of threads.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pal_plugin.errors import GraphError
from pal_plugin.graph.space import PAIR_BYTES, Doubles, Floats, Longs, Space

_SPARE = 4  # candidates beyond those wanted, so that a near-tie at the end of the list seldom needs the full scan
_SCAN_BYTES = 1 << 24  # of a scan's distances at a time
_MOST_PAIRS = 1 << 26  # that a scan may find at a time: some gigabytes


@dataclass(frozen=True)
class Search:
    """Finds the points near given rows, each row itself among them.

    Attributes:
        space: N points; float64 distances are taken between these.
        centre: (D,) their mean.
        exponent: the float32 product works on points that are centred and scaled by 2 to this power, to norms of at
            most about 1, which keeps the order of distances, loses few digits to cancellation and cannot overflow.
        norms: (N,) squared norms of the scaled points.
        kept: (N, D) all scaled points, where they fit into memory.
    """

    space: Space
    centre: Doubles
    exponent: int
    norms: Floats
    kept: Floats | None

    @classmethod
    def of(cls, space: Space) -> Search:
        """Prepare for a space: three passes over the points."""
        total = np.zeros(space.width)
        low, high = np.full(space.width, np.inf), np.full(space.width, -np.inf)
        for rows in space.blocks():
            part = space.take(rows)
            total += part.sum(axis=0, dtype=np.float64)
            low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
        centre = total / len(space)
        largest = max(float(np.abs(high - centre).max()), float(np.abs(low - centre).max()))
        exponent = -int(np.frexp(largest * np.sqrt(space.width))[1])
        norms = np.empty(len(space), dtype=np.float32)
        search = cls(space, centre, exponent, norms, None)
        kept = np.empty((len(space), space.width), dtype=np.float32) if space.held else None
        for rows in space.blocks():
            scaled = search.scaled(rows)
            norms[rows] = np.einsum("nd,nd->n", scaled, scaled)
            if kept is not None:
                kept[rows] = scaled
        return cls(space, centre, exponent, norms, kept)

    def scaled(self, rows: slice | Longs) -> Floats:
        """Return (B, D) scaled points."""
        if self.kept is not None:
            return self.kept[rows]
        points = self.space.take(rows)
        scaled = np.empty(points.shape, dtype=np.float32)
        step = max(1, PAIR_BYTES // (8 * self.space.width))
        for start in range(0, len(points), step):
            part = slice(start, start + step)
            scaled[part] = np.ldexp(points[part] - self.centre, self.exponent)
        return scaled

    def batches(self, most: int) -> list[range]:
        """Return all rows in batches of at most `most`, of bounded size in memory."""
        step = min(most, self.space.block_rows)
        return [range(start, min(start + step, len(self.space))) for start in range(0, len(self.space), step)]

    def nearest(self, rows: Longs, count: int) -> Longs:
        """Return the (B, count) nearest points of `rows` in order of (float64 distance, index)."""
        distances, candidates = self._candidates(rows, min(len(self.space), count + _SPARE))
        error = self._error(rows, distances[:, count - 1])
        gaps = np.diff(distances[:, : count + 1], axis=1)
        doubt = np.flatnonzero((gaps <= 2 * error[:, None]).any(axis=1))
        nearest = candidates[:, :count]
        if doubt.size:
            nearest[doubt] = self._settle(rows[doubt], candidates[doubt], distances[doubt, -1], error[doubt], count)
        return nearest

    def within(self, rows: Longs, limit: float) -> tuple[Longs, Longs, Doubles]:
        """Find all points whose squared distance from `rows` is at most `limit`.

        Returns:
            (E,) the place of the row in `rows`, (E,) the point, (E,) their squared distance in float64; sorted by
            (place, distance, point).
        """
        scaled_limit = limit * self._scale
        bound = scaled_limit + self._error(rows, np.full(rows.size, scaled_limit))
        place, point = self._near(rows, bound)
        distances = self.space.distances(rows[place], point)
        keep = distances <= limit
        place, point, distances = place[keep], point[keep], distances[keep]
        order = np.lexsort((point, distances, place))
        return place[order], point[order], distances[order]

    @property
    def scan_rows(self) -> int:
        """How many rows `within` should be given at a time, for memory's sake."""
        seen = len(self.space) if self.kept is not None else self.space.block_rows
        return max(1, min(self.space.block_rows, _SCAN_BYTES // (4 * seen)))

    @property
    def _scale(self) -> float:
        """What squared distances of the points are multiplied by to be those of the scaled points."""
        return float(np.ldexp(1.0, 2 * self.exponent))

    def _blocks(self) -> Iterator[tuple[slice, Floats]]:
        """Yield ranges of rows and their scaled points, together all of them."""
        if self.kept is not None:
            yield slice(0, len(self.space)), self.kept
            return
        for rows in self.space.blocks():
            yield rows, self.scaled(rows)

    def _candidates(self, rows: Longs, wanted: int) -> tuple[Doubles, Longs]:
        """Return the (B, wanted) squared distances and points that a float32 product finds nearest, nearest first."""
        from pal_plugin.graph._faiss import knn

        queries = self.scaled(rows)
        distances = np.empty((rows.size, 0))
        candidates = np.empty((rows.size, 0), dtype=np.int64)
        for block, points in self._blocks():
            products, found = knn(queries, points, min(wanted, len(points)))
            distances = np.concatenate([distances, products], axis=1)
            candidates = np.concatenate([candidates, found + block.start], axis=1)
            if block.start:
                order = np.argsort(distances, axis=1, kind="stable")[:, :wanted]
                distances = np.take_along_axis(distances, order, axis=1)
                candidates = np.take_along_axis(candidates, order, axis=1)
        return distances, candidates

    def _error(self, rows: Longs, furthest: Doubles) -> Doubles:
        """Bound |float32 − true| of the squared distances from `rows` to any point not beyond `furthest`.

        |x|² + |y|² − 2x·y in float32 is off by at most (D + 8)·2⁻²⁴·(|x| + |y|)² (the standard bound of a dot product,
        any summation order), |y| ≤ |x| + distance, and the factor 2 covers that `furthest` is itself a float32 result.
        """
        reach = 2 * np.sqrt(self.norms[rows].astype(np.float64)) + np.sqrt(np.maximum(furthest, 0))
        # the last term is for underflow
        return np.asarray(2 * (self.space.width + 8) * (2.0**-24 * reach**2 + 2.0**-140))

    def _settle(self, rows: Longs, candidates: Longs, last: Doubles, error: Doubles, count: int) -> Longs:
        """Order candidates by float64 distances; scan all points for the rows whose list may lack a neighbour."""
        ranked, distances = self.space.ranked(rows, candidates)
        nearest = ranked[:, :count]
        bound = distances[:, count - 1] * self._scale
        if candidates.shape[1] < len(self.space):
            open_ = np.flatnonzero(last <= bound + error)  # a point outside the list could still belong in it
            if open_.size:
                nearest[open_] = self._scan(rows[open_], (bound + error)[open_], count)
        return nearest

    def _scan(self, rows: Longs, limit: Doubles, count: int) -> Longs:
        """Find the neighbours of `rows` among all points within the float32 distance `limit` of each.

        Identical rows have identical answers (the row itself counts as a point here), so each is looked up once.
        """
        keys = np.array([hashlib.blake2b(self.space.take(row[None]).tobytes()).digest() for row in rows])
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        nearest = np.empty((first.size, count), dtype=np.int64)
        for start in range(0, first.size, self.scan_rows):
            some = first[start : start + self.scan_rows]
            place, point = self._near(rows[some], limit[some])
            distances = self.space.distances(rows[some][place], point)
            order = np.lexsort((point, distances, place))
            begin = np.searchsorted(place[order], np.arange(some.size))
            nearest[start : start + some.size] = point[order][begin[:, None] + np.arange(count)]
        return nearest[inverse.reshape(-1)]

    def _near(self, rows: Longs, limit: Doubles) -> tuple[Longs, Longs]:
        """Return all pairs (place in rows, point) within the float32 squared distance `limit` of each row."""
        queries = self.scaled(rows)
        places, points = [], []
        pairs = 0
        for block, scaled in self._blocks():
            distances = self.norms[rows, None] + self.norms[block] - 2 * (queries @ scaled.T)
            place, point = np.nonzero(distances <= limit[:, None])
            places.append(place)
            points.append(point + block.start)
            pairs += point.size
            if pairs > _MOST_PAIRS:
                raise GraphError(
                    f"{rows.size} samples have more than {_MOST_PAIRS} others within the distance asked for",
                    "Choose a smaller tau; where many features are equal, remove the duplicates first",
                )
        return np.concatenate(places), np.concatenate(points)


def without_self(nearest: Longs, rows: Longs) -> Longs:
    """Drop each row from its own list by index; where more than k duplicates come before it, drop the last entry."""
    own = nearest == rows[:, None]
    own[~own.any(axis=1), -1] = True
    kept: Longs = nearest[~own]
    return kept.reshape(len(rows), nearest.shape[1] - 1)
