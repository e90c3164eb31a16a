"""k-centre greedy over rows that lie on several processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, FeatureError, PalError, SelectionError
from pal_plugin.graph.similarity import Manifested, reference_of
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.base import Picks, about, check_picks, checked_budget, checked_indices, pick_device
from pal_plugin.selection.copies import copies
from pal_plugin.selection.farthest import Centres, Pool, covered
from pal_plugin.selection.points import Points, checked_matrix, squared_distances
from pal_plugin.selection.ranks import Group, Ranks
from pal_plugin.selection.result import Selection
from pal_plugin.selection.starts import check_start

if TYPE_CHECKING:
    from pal_plugin.selection.kcenter import KCenterGreedy

_STEP = 1024  # rows at a time


def select_sharded(
    selector: KCenterGreedy,
    X: npt.ArrayLike,
    budget: int | float,
    labelled: Picks | None,
    manifest: Mapping[str, Any] | Manifested | None,
) -> Selection:
    """See `KCenterGreedy.select_sharded`."""
    ranks = Group()
    if selector.trim or selector.balanced:
        raise ConfigError("Trimming and balancing look at all rows at once", "Leave them out, or use one process")
    check_start(selector.start)
    points = _points(selector, X, ranks)
    sizes = ranks.gather(len(points))
    offset, total = sum(sizes[: ranks.rank]), sum(sizes)
    reference = reference_of(manifest)
    count = checked_budget(budget, total)
    check_picks("labelled", labelled, reference)
    first = known = checked_indices("labelled", labelled, total)
    if count > total - len(known):
        raise SelectionError(
            f"The budget {count} is more than the {total - len(known)} samples", "Choose a smaller one"
        )
    allowed = np.ones(total, dtype=bool)
    allowed[known] = False
    made_by = about(selector, known, allowed)
    if not len(known):
        first = np.array([_start(selector, points, offset, total, ranks)])
    if count == 0:
        return Selection(known[:0], np.empty(0), reference, made_by, total)
    centres = Centres(points, _rows(points, first, offset, ranks), count)
    rows = np.setdiff1d(np.arange(len(points)), first - offset)
    pool = Pool(points, rows, centres, offset)
    pool.drop(np.flatnonzero(copies(points.features, rows)))
    indices, radii = covered(pool, first[len(known) :], count, ranks)
    return Selection(indices, radii, reference, made_by, total)


def _points(selector: KCenterGreedy, X: npt.ArrayLike, ranks: Ranks) -> Points:
    """Return the points of this rank; an error of one rank is raised on every one."""
    points, problem = None, None
    try:
        points = Points(checked_matrix(X), selector.metric, pick_device(selector.device))
    except PalError as error:
        problem = error
    for rank, other in enumerate(ranks.gather(problem)):
        if other is not None:
            raise type(other)(f"On rank {rank}: {other.what}", other.mend)
    assert points is not None
    about = ranks.gather((points.features.shape[1], points.width, points.exponent))
    if len({shape for shape, _, _ in about}) > 1:
        raise FeatureError("The ranks' features differ in width", "Pass rows of the same features")
    if any(width > shape for shape, width, _ in about):
        raise FeatureError("A row of zeros has no direction", "Leave such rows out, or use metric='euclidean'")
    exponent = min(exponent for _, _, exponent in about)
    same = all(other == exponent for _, _, other in about)
    return points if same else Points(points.features, selector.metric, points.device, exponent)


def _start(selector: KCenterGreedy, points: Points, offset: int, total: int, ranks: Ranks) -> int:
    """Return the first pick as `starts.start_at` finds it among all rows."""
    if selector.start == "random":
        return int(np.random.default_rng(selector.seed).integers(total))
    if not isinstance(selector.start, str):
        if not 0 <= selector.start < total:
            raise SelectionError(f"The start {selector.start} is not among the {total} samples", "Choose one of them")
        return int(selector.start)
    parts = [slice(start, start + _STEP) for start in range(0, len(points), _STEP)]
    sums = ranks.gather(np.sum([points.exact(part).sum(axis=0) for part in parts], axis=0))
    mean: Doubles = np.sum(sums, axis=0) / total
    sign = 1 if selector.start == "medoid" else -1
    distances = sign * np.concatenate([squared_distances(points.exact(part), mean) for part in parts])
    best = int(np.argmin(distances))
    return min(ranks.gather((float(distances[best]), best + offset)))[1]


def _rows(points: Points, indices: Longs, offset: int, ranks: Ranks) -> Doubles:
    """Return the exact rows of indices over all ranks."""
    own = np.flatnonzero((indices >= offset) & (indices < offset + len(points)))
    rows = np.empty((len(indices), points.width))
    for places, part in ranks.gather((own, points.exact(indices[own] - offset))):
        rows[places] = part
    return rows
