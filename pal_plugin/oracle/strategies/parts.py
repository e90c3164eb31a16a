"""The largest components of a situation: where they lie among the features, and what is open to them."""

from __future__ import annotations

import numpy as np

from pal_plugin.oracle.checks import Mask, Nodes
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Floats

_MEMBERS = 256  # of a component that its mean is taken of


def largest(situation: Situation, limit: int, order: Nodes, *, least: int = 1) -> Nodes:
    """Return the roots of the largest components that may be asked about, (k,) with k at most `limit`.

    Args:
        situation: whose components.
        limit: how many.
        order: the samples, in the order in which components of one size are preferred.
        least: the smallest size that counts.
    """
    sizes = np.bincount(situation.known.roots(order), minlength=situation.num_samples)
    _, first = np.unique(situation.known.roots(order), return_index=True)
    roots = situation.known.roots(order[np.sort(first)])
    roots = roots[sizes[roots] >= least]
    return roots[np.argsort(-sizes[roots], kind="stable")[:limit]]


def means(situation: Situation, features: Floats, roots: Nodes, generator: np.random.Generator) -> Floats:
    """Return the mean directions (k, D) of components (k,) among features that are directions (N, D).

    That of a component of more than 256 members is the mean of so many of them.
    """
    rows = features[roots]  # a copy: that of a sample alone is its own
    for row in np.flatnonzero(situation.known.size(roots) > 1).tolist():
        members = situation.known.members(int(roots[row]))
        if members.size > _MEMBERS:
            members = generator.choice(members, _MEMBERS, replace=False)
        mean = features[members].mean(axis=0)
        rows[row] = mean / max(float(np.linalg.norm(mean)), np.finfo(np.float32).tiny)
    return rows


def open_between(situation: Situation, roots: Nodes, others: Nodes) -> Mask:
    """Return (m, k) whether m components and k others can be asked about: relation unknown, and not asked as they are.

    Two components count as asked about where as many of their pairs were, without a result, as the smaller has members.
    """
    known = situation.known
    pairs = known.roots(situation.asked.pairs)
    result = np.ones((roots.size, others.size), dtype=np.bool_)
    blocked = np.zeros(situation.num_samples, dtype=np.bool_)
    for column, other in enumerate(others.tolist()):
        blocked[:] = False
        blocked[known.apart(other)] = True
        blocked[other] = True
        asked = np.concatenate([pairs[pairs[:, 0] == other, 1], pairs[pairs[:, 1] == other, 0]])
        parts, counts = np.unique(asked[~blocked[asked]], return_counts=True)
        if parts.size:
            blocked[parts[counts >= np.minimum(known.size(parts), known.size(other))]] = True
        result[:, column] = ~blocked[roots]
    return result
