"""k-centre greedy as a query strategy of scikit-activeml (`pip install 'pal-plugin[skactiveml]'`)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.graph.space import Doubles, Longs
from pal_plugin.selection.kcenter import KCenterGreedy
from pal_plugin.selection.points import squared_distances

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy
    from skactiveml.utils import MISSING_LABEL, labeled_indices
except ImportError as cause:
    raise ConfigError(
        f"scikit-activeml cannot be imported: {cause}", "Install it: pip install 'pal-plugin[skactiveml]'"
    ) from cause


class KCenterQuery(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc]
    """Query the sample furthest from all that are labelled, then the next; see `KCenterGreedy`.

    Where nothing is labelled, the first is the candidate nearest to the candidates' mean, so nothing is random.

    Args:
        metric: `"euclidean"` or `"cosine"`.
        device: `"cpu"`, `"cuda"` or `"auto"`.
        missing_label: what stands for no label.
        random_state: as in every strategy of scikit-activeml; of no meaning here.
    """

    def __init__(
        self,
        metric: str = "euclidean",
        device: str = "auto",
        missing_label: Any = MISSING_LABEL,
        random_state: Any = None,
    ) -> None:
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.metric = metric
        self.device = device

    def query(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        candidates: npt.ArrayLike | None = None,
        batch_size: int = 1,
        return_utilities: bool = False,
    ) -> Any:
        """Return the indices to query, and with `return_utilities` each one's utilities: distances.

        Args:
            X: (N, D) all samples.
            y: (N,) labels; `missing_label` where there is none.
            candidates: None (the unlabelled), indices, or (n, D) samples, which the indices then count.
            batch_size: how many.
            return_utilities: also (batch_size, N or n) the distance of every candidate to the nearest labelled or
                queried one before the query, NaN for what cannot be queried; where there is none before, minus the
                distance to the mean of the candidates.
        """
        checked = self._validate_data(X, y, candidates, batch_size, return_utilities, reset=True)
        pool, known, candidates, batch_size, return_utilities = checked
        rows, places = self._transform_candidates(candidates, pool, known)
        labelled = labeled_indices(known, missing_label=self.missing_label_)
        if places is None:  # samples that are not rows of X
            samples = np.concatenate([rows, pool[labelled]])
            places, labelled, shown = np.arange(len(rows)), np.arange(len(rows), len(samples)), len(rows)
        else:
            samples, shown = pool, len(pool)
        labelled = np.setdiff1d(labelled, places)  # a candidate is to be queried, labelled or not
        selector = KCenterGreedy(metric=self.metric, device=self.device)
        picks = selector.select(samples, batch_size, labelled=labelled, candidates=places).indices
        if not return_utilities:
            return picks
        return picks, _utilities(self._directions(samples), places, labelled, picks)[:, :shown]

    def _directions(self, samples: Doubles) -> Doubles:
        """Return the points that picks are made of; rows of zeros share one more direction, as in `Points`."""
        if self.metric == "euclidean":
            return samples
        lengths = np.sqrt(np.square(samples).sum(axis=1, keepdims=True))
        zero = lengths == 0
        return np.concatenate([samples / np.where(zero, 1, lengths), zero.astype(np.float64)], axis=1)


def _utilities(X: Doubles, places: Longs, labelled: Longs, picks: Longs) -> Doubles:
    """Return (b, N) what each pick was the largest of."""
    utilities = np.full((len(picks), len(X)), np.nan)
    nearest = np.full(len(X), np.inf)
    for row in labelled:
        nearest = np.minimum(nearest, squared_distances(X, X[row]))
    free = places
    for turn, pick in enumerate(picks):
        if len(labelled) or turn:
            utilities[turn, free] = np.sqrt(nearest[free])
        else:
            utilities[turn, free] = -np.sqrt(squared_distances(X[free], X[places].mean(axis=0)))
        nearest = np.minimum(nearest, squared_distances(X, X[pick]))
        free = free[free != pick]
    return utilities
