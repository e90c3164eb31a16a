"""Batches of which a given share is composed along known relations; random ones hold almost none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.draws import PAIRS, uniforms
from pal_plugin.data.sampler import EpochSampler, Request
from pal_plugin.errors import ConfigError, GraphError

if TYPE_CHECKING:
    from pal_plugin.graph.relations import Relations


class PairComposition:
    """What a batch of all ranks together is made of, and how often it is expected to show each pair.

    A batch holds `uniform` samples of the epoch's permutation and both samples of `pairs` related pairs, drawn without
    replacement among all #E: every set of either is as likely as any other, and the two are independent.

    Args:
        relations: the known relations of the N samples.
        batch_size: B, of all ranks together.
        share: of the batch that is drawn as related pairs, in [0, 1).

    Attributes:
        uniform: B_u = B − 2 · `pairs`, samples of the epoch's permutation in a batch.
        pairs: m = round(share · B / 2), and at most #E.

    Raises:
        ConfigError: a share outside [0, 1), too small a batch for one pair, or no room beside the pairs.
        GraphError: a share above 0 and no related pair.
    """

    def __init__(self, relations: Relations, batch_size: int, share: float) -> None:
        if not 0 <= share < 1:
            raise ConfigError(
                f"The share of a batch that is drawn as related pairs is {share}", "Set related_share in [0, 1)"
            )
        if share > 0 and share * batch_size < 2:
            raise ConfigError(
                f"A share of {share} of a batch of {batch_size} is less than one related pair",
                f"Set a batch size of {int(np.ceil(2 / share))} or more in all, or related_share=0",
            )
        if share > 0 and relations.num_pairs == 0:
            raise GraphError(
                "No two samples are known to be related, so no related pair can be drawn",
                "Give a graph with positive edges, or set related_share=0",
            )
        self.relations = relations
        self.batch_size = batch_size
        self.share = share
        self.pairs = min(round(share * batch_size / 2), relations.num_pairs)
        self.uniform = batch_size - 2 * self.pairs
        if self.uniform < 1:
            raise ConfigError(
                f"A share of {share} of a batch of {batch_size} leaves no room for samples that are not drawn as "
                "related pairs, and every sample is to be seen once an epoch",
                "Lower related_share or raise the batch size",
            )

    def importance(self, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights by which sums over the pairs of places of a batch estimate sums over the data set.

        With n_ij the number of ordered pairs of places (a, b), a ≠ b, that show the samples (i, j), W_ab = 1 / E[n_ij]
        for i ≠ j, W_aa = 1 / E[n_i] (the views of one place), and W_ab = 0 where two places show one sample. So the
        expectation over batches of Σ_ab W_ab f(i_a, i_b) is Σ_ij f(i, j) over all N² pairs. With r_i = m d_i / #E::

            E[n_i] = B_u / N + r_i
            E[n_ij] = B_u (B_u − 1) / (N (N − 1)) + (B_u / N) (r_i + r_j)
                      + m (m − 1) / (#E (#E − 1)) · (d_i d_j − 1{ij ∈ E}) + m / #E · 1{ij ∈ E}

        B_u is that of this batch: an epoch's last one, with fewer samples or some more, is unbiased too.

        Args:
            index: (B,) the samples of a batch of all ranks together.

        Returns:
            (B, B) W.

        Raises:
            ConfigError: fewer than two uniform samples in the batch, so that some pairs are never seen.
        """
        size, m, edges = self.relations.num_nodes, self.pairs, self.relations.num_pairs
        uniform = len(index) - 2 * m
        if not 2 <= uniform <= size:
            raise ConfigError(
                f"A batch of {len(index)} with {m} related pairs leaves {uniform} samples of {size} to be drawn "
                "uniformly; importance weights need 2 or more, since other pairs are never seen",
                "Lower related_share or change the batch size, or do without importance weights",
            )
        drawn = m * self.relations.degree[index] / max(edges, 1)  # r
        same_pair = m / max(edges, 1)
        other_pair = m * (m - 1) / (edges * (edges - 1)) if m > 1 else 0.0
        # In place: of a large batch these matrices are large, and most of the time goes into new memory.
        weights = np.outer(self.relations.degree[index] * other_pair, self.relations.degree[index])
        weights += (uniform / size * drawn)[:, None]
        weights += uniform / size * drawn + uniform * (uniform - 1) / (size * (size - 1))
        weights[self.relations.related(index[:, None], index)] += same_pair - other_pair
        np.reciprocal(weights, out=weights)
        weights[index[:, None] == index] = 0
        np.fill_diagonal(weights, 1 / (uniform / size + drawn))
        return weights


class RelatedSampler(EpochSampler):
    """An `EpochSampler` whose batches hold related pairs beside the samples of the epoch's permutation.

    Every sample comes once an epoch from the permutation (as `drop_last` says), and as often again as its pairs are
    drawn, anew for every batch, by a hash of (seed, epoch, batch). Batch b of all ranks together is what a single
    process with `batch_size × world_size` would see as batch b (as in `EpochSampler`); its related pairs come last.

    A `Request` says of each sample which copy it is: 0 for those of the permutation, and for each drawn one a number
    that no other of the epoch has, so that an image that is shown again is augmented anew.

    Args:
        composition: of a batch of all ranks together.
        seed: the run's seed.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the epoch; divides the composition's batch size.
        drop_last: as in `EpochSampler`; the last batch has its related pairs in any case.

    Raises:
        ConfigError: a world size that does not divide the batch.
        DataError: too few samples for one batch.
    """

    composition: PairComposition

    def __init__(
        self, composition: PairComposition, *, seed: int, rank: int = 0, world_size: int = 1, drop_last: bool = True
    ) -> None:
        batch_size, rest = divmod(composition.batch_size, world_size)
        if rest:
            raise ConfigError(
                f"A batch of {composition.batch_size} cannot be shared by {world_size} processes",
                "Give a batch size that is a multiple of the number of processes",
            )
        super().__init__(
            composition.relations.num_nodes,
            batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            drop_last=drop_last,
            added=2 * composition.pairs,
        )
        self.composition = composition

    def _request(self, epoch: int, batch: int, samples: NDArray[np.int64]) -> Request:
        count, relations = self.composition.pairs, self.composition.relations
        u = uniforms(self._seed, epoch, np.array([batch]), PAIRS, count)[0]
        added = relations.pairs(_distinct(u, relations.num_pairs)).reshape(-1)
        copies = np.concatenate([np.zeros_like(samples), batch * 2 * count + 1 + np.arange(2 * count)])
        share = slice(self._rank, None, self._world_size)
        return Request(epoch, np.concatenate([samples, added])[share], copies[share])


def _distinct(u: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """Return len(u) distinct numbers below `size`, every set of them as likely as any other.

    Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 1987): no list of all numbers is needed.
    """
    chosen: dict[int, None] = {}
    for last, x in enumerate(u.tolist(), start=size - len(u)):
        number = int(x * (last + 1))
        chosen[last if number in chosen else number] = None
    return np.array(list(chosen), dtype=np.int64)
