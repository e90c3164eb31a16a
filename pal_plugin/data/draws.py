"""Random numbers that depend on (seed, epoch, sample index, stream) and not on the order in which they are asked for.

A counter-based generator: the key is hashed, and the hash counted up, by SplitMix64 (Steele, Lea and Flood, "Fast
splittable pseudorandom number generators", OOPSLA 2014). So any worker, rank or resumed run draws the same number for
the same sample.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POSITIVE = 0
"""Stream of the choice of neighbours: column v - 2 is that of view v."""
ORDER = 1
"""Stream of the order of an epoch."""
SUBSET = 2
"""Stream of the choice of a subset (epoch 0)."""
PAIRS = 3
"""Stream of the choice of related pairs; here the index is the number of the batch."""
LATENT = 4
"""Stream of the noise of a method's latents; here the epoch is the step, and the index says which part of it."""
_FIRST_VIEW = 16  # streams below are reserved for choices that belong to no view

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_PART = 1 << 20  # numbers at a time, where there is one for each sample of a large data set
_TO_UNIT = np.float64(2.0**-53)


def view_stream(view: int) -> int:
    """Return the stream of the augmentation of view number `view`, counted from 0."""
    return _FIRST_VIEW + view


def uniforms(
    seed: int,
    epoch: int,
    index: NDArray[np.integer],
    stream: int,
    count: int,
    copies: NDArray[np.integer] | None = None,
) -> NDArray[np.float64]:
    """Draw `count` independent uniform numbers for every sample.

    Args:
        seed: the run's seed; any Python integer.
        epoch: the epoch, from 0.
        index: (B,) sample indices, not negative.
        stream: what the numbers are for: `POSITIVE`, `ORDER`, `SUBSET`, `PAIRS`, `LATENT` or `view_stream(v)`.
        count: how many numbers a sample gets.
        copies: (B,) which copy of its sample each one is, not negative; None: each the first, 0. Every copy has
            numbers of its own.

    Returns:
        (B, count) numbers in [0, 1). A row depends on its own sample index and copy only, whatever else is in the
        batch, and its first columns do not change with `count`.
    """
    state = np.zeros(1, np.uint64)
    for part in (seed, epoch, stream):
        state = _mix(state + _GOLDEN ^ _word(part))
    rows = _mix(state + _GOLDEN ^ np.asarray(index).astype(np.uint64))
    if copies is not None:
        # of the first copies nothing is hashed, so that they draw what samples without copies draw
        rows = np.where(copies == 0, rows, _mix(rows + _GOLDEN ^ np.asarray(copies).astype(np.uint64)))
    counter = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    bits = _mix(rows[:, None] + counter)
    return (bits >> np.uint64(11)) * _TO_UNIT


def permutation(seed: int, epoch: int, size: int) -> NDArray[np.int64]:
    """Return a random order of `range(size)`, a function of seed and epoch only."""
    keys = np.empty(size)
    for start in range(0, size, _PART):
        part = np.arange(start, min(start + _PART, size))
        keys[part] = uniforms(seed, epoch, part, ORDER, 1)[:, 0]
    return np.argsort(keys, kind="stable")


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64: a bijection of 64-bit words in which every input bit moves every output bit."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def _word(value: int) -> NDArray[np.uint64]:
    return np.array([int(value) & 0xFFFFFFFFFFFFFFFF], np.uint64)
