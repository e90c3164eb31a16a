"""Which classes the picks are of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pal_plugin.graph.space import Longs


def class_counts(labels: npt.ArrayLike, num_classes: int) -> Longs:
    """Return (C,) how many labels each class has; -1, unlabelled, counts for none."""
    given = np.asarray(labels)
    return np.bincount(given[given >= 0], minlength=num_classes)


def kl_to_uniform(counts: npt.ArrayLike) -> float:
    """Return the Kullback-Leibler divergence, in nats, of class frequencies from equal ones.

    Args:
        counts: (C,) how many samples each class has.

    Returns:
        From 0, all classes equally often, to log C, one class only; 0 where there is no sample.
    """
    numbers = np.asarray(counts, dtype=np.float64)
    if not numbers.sum():
        return 0.0
    shares = numbers / numbers.sum()
    present = shares[shares > 0]
    return max(0.0, float((present * np.log(present * len(shares))).sum()))
