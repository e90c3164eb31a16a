"""What a store is told from the start: samples of different classes, from which the active strategy sets out."""

from __future__ import annotations

import numpy as np

from pal_plugin.errors import OracleError
from pal_plugin.oracle.checks import Nodes
from pal_plugin.oracle.store import RelationStore
from pal_plugin.oracle.store.schema import SEEDS
from pal_plugin.oracle.strategies import seed_pairs

MOST_SEEDS = 500
"""Their pairs are stored one by one, and grow as the square of their number."""


def tell_seeds(store: RelationStore, seeds: Nodes) -> None:
    """Record, once, that samples are of different classes; nobody is asked, and nobody is charged for it.

    Args:
        store: where to.
        seeds: (C,) one sample of each class.

    Raises:
        OracleError: more than 500 seeds, or what `seed_pairs` refuses.
        StoreError: the store cannot be read or written.
    """
    if store.told:
        return
    if seeds.size > MOST_SEEDS:
        raise OracleError(
            f"The strategy active is told all pairs of one sample of each class, and {seeds.size} classes have "
            f"{seeds.size * (seeds.size - 1) // 2} of them",
            f"Choose another where there are more than {MOST_SEEDS} classes: --strategy merging, uncertainty, grids …",
        )
    pairs = seed_pairs(seeds)
    if pairs is not None:
        store.record(pairs, np.full(len(pairs), -1), annotator=SEEDS, source=SEEDS, clicks=0)
