"""What a strategy sees when it decides what to ask next."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import FeatureError, OracleError
from pal_plugin.graph.partition import Partition
from pal_plugin.oracle.checks import Mask, Nodes, check_size, distinct, vector

_SHIFT = 32  # a pair's key: the lower number, shifted, plus the higher one
_FIRST_ROOM = 64


class AskedPairs:
    """Unordered pairs of samples that were ever put to somebody: answered, not sure, skipped, or open still."""

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._pairs = np.empty((_FIRST_ROOM, 2), dtype=np.int64)  # with room for more: the first len(self) count

    def add(self, i: npt.ArrayLike, j: npt.ArrayLike) -> None:
        """Take in pairs (i, j), both (m,); those that are in already stay.

        Raises:
            OracleError: vectors that do not go together, or not of samples.
        """
        lower, higher = _ordered(i, j)
        for first, second in zip(lower.tolist(), higher.tolist(), strict=True):
            key = first << _SHIFT | second
            if key in self._keys:
                continue
            if len(self._keys) == len(self._pairs):
                self._pairs = np.concatenate([self._pairs, np.empty_like(self._pairs)])
            self._pairs[len(self._keys)] = first, second
            self._keys.add(key)

    def has(self, i: npt.ArrayLike, j: npt.ArrayLike) -> Mask:
        """Return (m,) bool, whether each pair of i and j, both (m,), is in.

        Raises:
            OracleError: vectors that do not go together, or not of samples.
        """
        lower, higher = _ordered(i, j)
        keys = (lower << _SHIFT | higher).tolist()
        return np.fromiter((key in self._keys for key in keys), dtype=np.bool_, count=len(keys))

    @property
    def pairs(self) -> Nodes:
        """(len, 2) int64, the lower number first, in the order in which they came in."""
        return self._pairs[: len(self._keys)]

    def __len__(self) -> int:
        return len(self._keys)


@dataclass
class Situation:
    """What is known and what has been asked. A strategy's next question is a function of it, and of a seed.

    Attributes:
        known: of N samples.
        asked: the pairs that are not to be asked about again.
        round: how many questions were drawn so far.
        features: (N, D) float32, near where samples are alike; None: there are none.
        among: (n,) the samples that may be asked about, each once; None: all.

    Raises:
        OracleError: fewer than two samples, or `among` that are not distinct samples.
        FeatureError: not one row of features for each sample.
    """

    known: Partition
    asked: AskedPairs = field(default_factory=AskedPairs)
    round: int = 0
    features: npt.NDArray[np.float32] | None = None
    among: Nodes | None = None

    def __post_init__(self) -> None:
        check_size(self.num_samples)
        if self.among is not None:
            self.among = distinct("among", self.among, self.num_samples)
        if self.features is not None and (self.features.ndim != 2 or len(self.features) != self.num_samples):
            raise FeatureError(
                f"Features of shape {self.features.shape} do not fit {self.num_samples} samples",
                "Embed this data set: `pal embed`",
            )

    @property
    def num_samples(self) -> int:
        """N."""
        return self.known.num_nodes

    @property
    def samples(self) -> Nodes:
        """Those that may be asked about."""
        return np.arange(self.num_samples) if self.among is None else self.among

    @property
    def unresolved(self) -> Nodes:
        """(k, 2) the pairs that were asked about and whose relation is not known all the same."""
        pairs = self.asked.pairs
        return np.asarray(pairs[self.known.relation(pairs[:, 0], pairs[:, 1]) == 0])

    def open_to(self, anchor: int) -> Nodes:
        """Return the samples that could be compared with `anchor`: relation unknown, and the pair was not asked."""
        known, samples, pairs = self.known, self.samples, self.asked.pairs
        settled = np.zeros(self.num_samples, dtype=np.bool_)  # by roots
        settled[known.roots(anchor)] = settled[known.apart(anchor)] = True
        unknown = samples[~settled[known.roots(samples)]]
        asked = np.zeros(self.num_samples, dtype=np.bool_)
        asked[pairs[pairs[:, 0] == anchor, 1]] = asked[pairs[pairs[:, 1] == anchor, 0]] = True
        return unknown[~asked[unknown]]


def _ordered(i: npt.ArrayLike, j: npt.ArrayLike) -> tuple[Nodes, Nodes]:
    left, right = vector("i", i), vector("j", j)
    if left.size != right.size or (left.size and min(left.min(), right.min()) < 0):
        raise OracleError(f"{left.size} samples i and {right.size} samples j make no pairs", "Pass pairs of samples")
    return np.minimum(left, right), np.maximum(left, right)
