"""The largest components of a situation: where they lie among the features, and what is open between them."""

from __future__ import annotations

import numpy as np

from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.checks import Mask, Nodes
from pal_plugin.oracle.situation import Situation
from pal_plugin.oracle.strategies.base import Floats

_MEMBERS = 256  # of a component that its mean is taken of
_HOPELESS = 3  # pairs of a sample without a result


def largest(situation: Situation, order: Nodes, *, least: int = 1) -> Nodes:
    """Return the roots of the components that may be asked about, the largest first, (k,).

    Args:
        situation: whose components.
        order: the samples that may be asked about, in the order in which components of one size are preferred.
        least: the smallest size, counted in such samples, that a component must have.
    """
    of_order = situation.known.roots(order)
    sizes = np.bincount(of_order, minlength=situation.num_samples)
    _, first = np.unique(of_order, return_index=True)
    roots = of_order[np.sort(first)]
    roots = roots[sizes[roots] >= least]
    return np.asarray(roots[np.argsort(-sizes[roots], kind="stable")])


def means(situation: Situation, features: Floats, roots: Nodes, generator: np.random.Generator) -> Floats:
    """Return the means (k, D) of components (k,) among features (N, D).

    That of a component of more than 256 members is the mean of so many of them.
    """
    rows = features[roots]  # a copy: that of a sample alone is its own
    for row in np.flatnonzero(situation.known.size(roots) > 1).tolist():
        members = situation.known.members(int(roots[row]))
        if members.size > _MEMBERS:
            members = generator.choice(members, _MEMBERS, replace=False)
        rows[row] = features[members].mean(axis=0)
    return rows


def apart_between(known: Partition, roots: Nodes, others: Nodes) -> Mask:
    """Return (m, k) whether m components, by their roots, are known apart from k others."""
    result = np.zeros((roots.size, others.size), dtype=np.bool_)
    apart = np.zeros(known.num_nodes, dtype=np.bool_)
    for column, other in enumerate(others.tolist()):
        far = known.apart(other)
        apart[far] = True
        result[:, column] = apart[roots]
        apart[far] = False
    return result


def asked_between(situation: Situation, roots: Nodes, others: Nodes) -> Mask:
    """Return (m, k) whether m components and k others were asked about enough, so far without a result.

    That is where as many of their pairs were asked about as the smaller of the two has members: two large components
    are asked about again by other members. A single sample that three questions could not place is left alone.
    """
    known, pairs = situation.known, situation.unresolved
    place = np.full(situation.num_samples, -1, dtype=np.int64)
    place[roots] = np.arange(roots.size)
    of_pairs, size_of = known.roots(pairs), known.size(roots)
    result = np.zeros((roots.size, others.size), dtype=np.bool_)
    for column, other in enumerate(others.tolist()):
        partners = place[np.concatenate([of_pairs[of_pairs[:, 0] == other, 1], of_pairs[of_pairs[:, 1] == other, 0]])]
        counts = np.bincount(partners[partners >= 0], minlength=roots.size)
        result[:, column] = counts >= np.minimum(size_of, known.size(other))
    lost = np.bincount(pairs.reshape(-1), minlength=situation.num_samples) >= _HOPELESS
    result[lost[roots] & (size_of == 1)] = True
    result[:, lost[others] & (known.size(others) == 1)] = True
    return result


def open_counts(situation: Situation) -> Nodes:
    """Return to how many others each of the situation's samples is open, (n,) int64."""
    known, samples = situation.known, situation.samples
    roots, part, sizes = np.unique(known.roots(samples), return_inverse=True, return_counts=True)
    size_of = np.zeros(known.num_nodes, dtype=np.int64)
    size_of[roots] = sizes
    settled = np.array([size_of[root] + size_of[known.apart(root)].sum() for root in roots.tolist()], dtype=np.int64)
    asked = np.bincount(situation.unresolved.reshape(-1), minlength=known.num_nodes)
    if situation.among is not None:  # a pair counts where both ends may be asked about
        inside = np.isin(situation.unresolved, samples).all(axis=1)
        asked = np.bincount(situation.unresolved[inside].reshape(-1), minlength=known.num_nodes)
    return np.asarray(samples.size - settled[part.reshape(-1)] - asked[samples])
