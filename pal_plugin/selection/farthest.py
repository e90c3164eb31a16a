"""Farthest-first traversal (Gonzalez 1985) with the picks of a float64 greedy at the speed of float32 products.

Every point has an upper bound on its squared distance to the nearest centre, from a float32 product and the bound of
its error, or stale from fewer centres: both can only be too large. The points with the largest bounds, the front, get
their exact values (float64, sums of squared differences), and the greedy runs among them for as long as its best beats
every bound outside. Then the points whose bounds matter take in all new centres by one product, and so on. A point is
brought up to date only when its bound comes near to the top: most never see most centres.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.bounds import product_error, upper_bound
from pal_plugin.selection.front import Front
from pal_plugin.selection.points import Points, squared_distances
from pal_plugin.selection.product import TILE, nearest, pick_product
from pal_plugin.selection.ranks import Ranks

AWAKE = 0.95  # points whose bound is above this share of the largest are kept up to date
FRONT = 256  # points; more make longer rounds, and more of them exact for nothing
HELD_BYTES = 1 << 25  # of float32 rows of the points that are awake: about a core's share of cache
PAIR_BYTES = 1 << 24  # of float64 rows whose differences are taken at a time


class Centres:
    """The centres so far, in order: exact rows, and float32 rows for products.

    Args:
        points: what they are centres of.
        first: (k, D) exact rows of those that there are from the start.
        budget: how many picks there will be.
    """

    def __init__(self, points: Points, first: Doubles, budget: int) -> None:
        self._points = points
        self.count = 0
        room = len(first) + budget + 1
        self.exact = np.empty((room, points.width))
        self.rows = torch.empty(room, points.width, device=points.device)
        self.halves = torch.empty(room, device=points.device)
        self.add(first)

    def add(self, exact: Doubles) -> None:
        """Append (k, D) exact rows."""
        new = slice(self.count, self.count + len(exact))
        self.exact[new] = exact
        self.rows[new] = self._points.centred(exact)
        self.halves[new] = self.rows[new].square().sum(dim=1) / -2  # added to products: minus half a squared norm
        self.count = new.stop


class Pool:
    """The points of this process that can be picked, with upper bounds on their values.

    Args:
        points: the features.
        rows: (n,) which of them, ascending.
        offset: what is added to a row to be its index over all ranks.
        centres: at least one.
    """

    def __init__(self, points: Points, rows: Longs, centres: Centres, offset: int = 0) -> None:
        self.points, self.rows, self.centres, self.offset = points, rows, centres, offset
        self.product = pick_product(points.width, points.device)
        device = points.device
        self.norms = torch.from_numpy(points.norms[rows]).to(device)
        self.upper = torch.full((len(rows),), torch.inf, dtype=torch.float64, device=device)
        self.seen = torch.zeros(len(rows), dtype=torch.int32, device=device)  # centres in a bound
        self.exact = np.zeros(len(rows), dtype=np.int32)  # centres in an exact value
        self.threshold = torch.inf
        self.awake = torch.empty(0, dtype=torch.int64, device=device)
        self.held: Tensor | None = None  # the rows of those awake
        self.tile = TILE
        self._lower(torch.arange(len(rows), device=device))

    def drop(self, places: Longs) -> None:
        """Say that points have value 0 and always will: copies of others that go first."""
        self.upper[torch.from_numpy(places).to(self.upper.device)] = 0.0

    def top(self) -> float:
        """Return the largest bound; -1 where all are picked."""
        return float(self.upper.max()) if len(self.rows) else -1.0

    def update(self) -> float:
        """Bring those awake up to date and return the largest of their bounds; -1 if none is above the threshold."""
        self._lower(self.awake, self.held)
        bounds = self.upper[self.awake]
        keep = bounds > self.threshold
        kept = int(keep.sum())
        if kept < 0.7 * len(self.awake):
            self.awake = self.awake[keep]
            self.held = self.held[keep] if self.held is not None else None
        return float(bounds.max()) if kept else -1.0

    def wake(self, threshold: float) -> None:
        """Bring everything above a new threshold up to date; what stays above it is awake from then on."""
        self.threshold = threshold
        woken = torch.nonzero(self.upper > threshold).squeeze(1)
        woken = woken[torch.argsort(self.seen[woken], stable=True)]  # a tile begins with its oldest bound
        self._lower(woken)
        self.awake = woken[self.upper[woken] > threshold].sort().values
        small = 4 * len(self.awake) * self.points.width <= HELD_BYTES
        self.held = self._products(self.awake) if small else None

    def front(self, size: int) -> Front:
        """Return the `size` points of the largest bounds, made exact."""
        bounds = self.upper[self.awake]
        size = min(size, len(bounds))
        least = float(bounds.topk(size).values[-1]) if size else torch.inf
        above = torch.nonzero(bounds > least).squeeze(1)
        equal = torch.nonzero(bounds == least).squeeze(1)
        chosen = torch.cat([above, equal[: size - len(above)]]).sort().values
        bounds[chosen] = -torch.inf
        outside, first = self.threshold, 0
        if len(bounds) > size and float(bounds.max()) > self.threshold:
            outside = float(bounds.max())
            first = int(self.rows[int(self.awake[int(torch.nonzero(bounds == outside)[0])])]) + self.offset
        self._places = self.awake[chosen]
        places = self._places.cpu().numpy()
        rows = self.points.exact(self.rows[places])
        values = self._refined(places, rows)
        self.upper[self._places] = torch.from_numpy(values).to(self.upper.device)
        return Front(self.rows[places] + self.offset, rows, values, outside, first)

    def take_in(self, values: Doubles) -> None:
        """Take back the values of the front that `front` returned, exact for all centres that there are now."""
        self.upper[self._places] = torch.from_numpy(values).to(self.upper.device)
        self.exact[self._places.cpu().numpy()] = self.centres.count

    def remaining(self) -> Longs:
        """Return the indices of the points that are not picked, ascending."""
        left = self.rows[torch.nonzero(self.upper >= 0).squeeze(1).cpu().numpy()] + self.offset
        return np.asarray(left)

    def _products(self, places: Tensor) -> Tensor:
        return self.points.products(self.rows[places.cpu().numpy()])

    def _lower(self, places: Tensor, rows: Tensor | None = None) -> None:
        """Take all centres that they have not seen into the bounds of some points, in order of `seen`."""

        def lower(part: slice) -> None:
            some = places[part]
            first = int(self.seen[some[0]])
            if first < self.centres.count:
                found = self._nearest(self._products(some) if rows is None else rows[part], self.norms[some], first)
                bound = upper_bound(*found, self.points.representation_error)
                self.upper[some] = torch.minimum(self.upper[some], bound)

        self._each_tile(len(places), lower)
        self.seen[places] = self.centres.count

    def _nearest(self, rows: Tensor, norms: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Return (n,) squared distances to the nearest centre from `first` on, as products give them, and errors."""
        all_ = slice(0, self.centres.count)
        best = nearest(self.product, rows, self.centres.rows[all_], self.centres.halves[all_], first)
        norms = norms.double()
        squared = (norms.square() - 2 * best).clamp_(min=0)
        return squared, product_error(norms, squared, self.points.width)

    def _refined(self, places: npt.NDArray[np.int64], rows: Doubles) -> Doubles:
        """Return exact values: products find the centres that can be nearest, differences decide."""
        values: Doubles = self.upper[self._places].cpu().numpy().copy()
        for first in np.unique(self.exact[places]):
            if first == self.centres.count:
                continue
            stale = np.flatnonzero(self.exact[places] == first)
            step = max(1, PAIR_BYTES // (8 * (self.centres.count - int(first))))
            for start in range(0, len(stale), step):
                part = stale[start : start + step]
                who, centre = self._contenders(places[part], values[part], int(first))
                self._settle(values, part[who], rows, centre)
        self.exact[places] = self.centres.count
        return values

    def _contenders(self, places: Longs, values: Doubles, first: int) -> tuple[Longs, Longs]:
        """Return pairs (which of the points, centre): the centres that may be nearest and nearer than its value.

        Only those from `first` on.
        """
        at = torch.from_numpy(places).to(self.upper.device)
        norms = self.norms[at].double()
        new = slice(first, self.centres.count)
        products = self.product(self._products(at), self.centres.rows[new], self.centres.halves[new])
        squared = (norms.square() - 2 * products.amax(dim=1)).clamp_(min=0)
        error = product_error(norms, squared, self.points.width)
        slack = self.points.representation_error
        nearest = torch.minimum(upper_bound(squared, error, slack), torch.from_numpy(values).to(at.device))
        limit = upper_bound(nearest, torch.zeros_like(error), slack) + error
        least = ((norms.square() - limit) / 2).float()
        least = torch.nextafter(least, torch.full_like(least, -torch.inf))
        who, centre = torch.nonzero(products >= least[:, None], as_tuple=True)
        return who.cpu().numpy(), centre.cpu().numpy() + first

    def _settle(self, values: Doubles, who: Longs, rows: Doubles, centre: Longs) -> None:
        """Lower `values` to the exact distances of pairs (row, centre)."""
        step = max(1, PAIR_BYTES // (8 * self.points.width))
        for start in range(0, len(who), step):
            part = slice(start, start + step)
            distances = squared_distances(rows[who[part]], self.centres.exact[centre[part]])
            np.minimum.at(values, who[part], distances)

    def _each_tile(self, total: int, work: Callable[[slice], None]) -> None:
        """Call `work` on consecutive ranges; where memory does not do for a tile, on smaller ones from then on."""
        start = 0
        while start < total:
            try:
                work(slice(start, min(start + self.tile, total)))
            except (MemoryError, RuntimeError) as error:
                if self.tile == 1 or not ("memory" in str(error) or isinstance(error, MemoryError)):
                    raise
                if self.tile == TILE:
                    warnings.warn(f"Not enough memory for {TILE} rows at a time: taking fewer", stacklevel=2)
                self.tile //= 2
            else:
                start += self.tile


@torch.inference_mode()
def traverse(pool: Pool, most: int, ranks: Ranks) -> tuple[Longs, Doubles]:
    """Pick points farthest first.

    Args:
        pool: the points of this process.
        most: how many picks; of fewer points, all.
        ranks: the processes that pick together.

    Returns:
        (k,) indices over all ranks in the order of the picks, and (k,) float64 squared distances, scaled as
        `Points.exact`, from each to the nearest centre before it: the squared covering radius before the pick.
    """
    order, values = [np.empty(0, dtype=np.int64)], [np.empty(0)]
    left = most
    while left > 0:
        if max(ranks.gather(pool.update())) < 0:
            top = max(ranks.gather(pool.top()))
            if top <= 0:  # only copies of centres are left, or nothing
                rest = np.concatenate(ranks.gather(pool.remaining()))[:left]
                order.append(rest)
                values.append(np.zeros(len(rest)))
                break
            pool.wake(min(AWAKE * top, float(np.nextafter(top, 0))))  # the smallest numbers have no 95 %
            continue
        fronts = ranks.gather(pool.front(FRONT))
        front = Front.merged(fronts)
        places, found = front.greedy(left) if ranks.rank == 0 else (front.index[:0], front.values[:0])
        places, found, exact = ranks.share((places, found, front.values))
        pool.centres.add(front.rows[places])
        own = sum(len(one.values) for one in fronts[: ranks.rank])
        pool.take_in(exact[own : own + len(fronts[ranks.rank].values)])
        order.append(front.index[places])
        values.append(found)
        left -= len(places)
    return np.concatenate(order), np.concatenate(values)


def covered(pool: Pool, picked: Longs, budget: int, ranks: Ranks) -> tuple[Longs, Doubles]:
    """Return (budget,) picks and the covering radius after each.

    Args:
        pool: the points of this process.
        picked: picks that are among the centres already: none, or the start.
        budget: how many picks.
        ranks: the processes that pick together.
    """
    # One pick more than asked for: its distance is the radius of the whole selection.
    order, squared = traverse(pool, budget + 1 - len(picked), ranks)
    after = np.ldexp(np.sqrt(squared), -pool.points.exponent)[1 - len(picked) :]
    radii = np.zeros(budget)  # with nothing left to cover
    radii[: len(after)] = after
    return np.concatenate([picked, order])[:budget], radii
