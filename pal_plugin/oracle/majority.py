"""Correlation clustering of votes for and against pairs, by greedy additive edge contraction."""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from pal_plugin.graph.partition import Partition

_TIE = 1e-9  # votes are sums of confidences: less than this apart, they are rounding


def contract(votes: Mapping[tuple[int, int], float], num_samples: int) -> Partition:
    """Join the two components with most votes for it until none are left; votes between components add up.

    Keuper et al., "Efficient decomposition of image and mesh graphs by lifted multicuts", ICCV 2015, algorithm 1.

    Args:
        votes: for each pair of samples, the lower one first, votes for them to be related less votes against it.
        num_samples: N.

    Returns:
        The components; two are apart where the votes between them are below zero, and of equal votes nothing is known.
    """
    between: dict[int, dict[int, float]] = {}
    for (a, b), weight in votes.items():
        between.setdefault(a, {})[b] = weight
        between.setdefault(b, {})[a] = weight
    waiting = [(-weight, a, b) for (a, b), weight in votes.items() if weight > _TIE]
    heapq.heapify(waiting)
    known = Partition(num_samples)
    while waiting:
        weight, a, b = heapq.heappop(waiting)
        if between.get(a, {}).get(b) != -weight:
            continue  # since then one of the two was joined to another, or votes were added
        known.join(a, b)
        kept, gone = (a, b) if len(between[a]) >= len(between[b]) else (b, a)
        del between[kept][gone]
        for other, more in between.pop(gone).items():
            if other == kept:
                continue
            del between[other][gone]
            total = between[kept].get(other, 0.0) + more
            between[kept][other] = between[other][kept] = total
            if total > _TIE:
                heapq.heappush(waiting, (-total, min(kept, other), max(kept, other)))
    for a, others in between.items():
        for b, weight in others.items():
            if a < b and weight < -_TIE:
                known.separate(a, b)
    return known
