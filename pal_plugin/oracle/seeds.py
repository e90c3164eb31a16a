"""What a store is told from the start: samples of different classes, from which the active strategy sets out."""

from __future__ import annotations

import numpy as np

from pal_plugin.oracle.checks import Nodes
from pal_plugin.oracle.store import RelationStore
from pal_plugin.oracle.store.schema import SEEDS
from pal_plugin.oracle.strategies import seed_pairs


def tell_seeds(store: RelationStore, seeds: Nodes) -> None:
    """Record, once, that samples are of different classes; nobody is asked, and nobody is charged for it.

    Args:
        store: where to.
        seeds: (C,) one sample of each class.
    """
    pairs = seed_pairs(seeds)
    if pairs is not None and SEEDS not in store.annotators():
        store.record(pairs, np.full(len(pairs), -1), annotator=SEEDS, source=SEEDS, clicks=0)
