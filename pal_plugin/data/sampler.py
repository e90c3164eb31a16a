"""The order in which an epoch goes through a data set, shared out over the processes that train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pal_plugin.data.draws import permutation
from pal_plugin.errors import CheckpointError, ConfigError, DataError

if TYPE_CHECKING:
    from pal_plugin.data.related import PairComposition


class Request(NamedTuple):
    """What a data worker is asked for: it carries the epoch, so that workers need no state."""

    epoch: int
    indices: NDArray[np.int64]
    copies: NDArray[np.int64] | None = None
    """(B,) which copy of its sample each one is, for its augmentation; None: all the first, 0."""


class EpochSampler(Sampler[Request]):
    """A batch sampler whose order is a function of (seed, epoch), shared out over the ranks without overlap.

    Batch b of all ranks together is what a single process with `batch_size × world_size` would see as batch b. Without
    `drop_last` the last batch may differ: it must not leave a rank without a sample.

    Args:
        size: samples in the data set.
        batch_size: samples a batch and rank.
        seed: the run's seed.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the epoch.
        drop_last: leave out the samples of an epoch that do not fill a batch on every rank. Otherwise the last batch
            takes what is left: fewer samples, or one more where fewer are left over than there are ranks, because no
            rank may be without a batch that the others wait for.
        added: samples of a batch of all ranks together that a subclass adds to those of the epoch's order.

    Attributes:
        composition: what the batches are made of where they hold related pairs (`RelatedSampler`); None otherwise.

    Raises:
        DataError: too few samples for one batch.
    """

    composition: PairComposition | None = None

    def __init__(
        self,
        size: int,
        batch_size: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = True,
        added: int = 0,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ConfigError(
                f"batch_size={batch_size}, rank={rank}, world_size={world_size} do not fit together",
                "Give a batch size of at least 1 and a rank below the number of processes",
            )
        taken = batch_size * world_size - added
        full, rest = divmod(size, taken)
        self._batches = full if drop_last or rest < world_size else full + 1
        self._drop_last = drop_last
        if not drop_last and size >= world_size:
            self._batches = max(1, self._batches)
        if self._batches == 0:
            raise DataError(
                f"The data set has {size} samples, too few for batches of {batch_size} on {world_size} processes",
                f"Choose a batch size of at most {max(1, size // world_size)} or a larger subset",
            )
        self._size, self._taken, self._seed = size, taken, seed
        self._rank, self._world_size = rank, world_size
        self._epoch = 0
        self._resume_at: tuple[int, int] | None = None

    @property
    def sampler(self) -> EpochSampler:
        """Itself: Lightning calls `set_epoch` on a batch sampler's `sampler`."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next pass."""
        self._epoch = epoch

    def resume(self, epoch: int, batch: int) -> None:
        """Start the first pass through `epoch` at batch number `batch` (from 0); later passes are whole.

        Raises:
            CheckpointError: an epoch has fewer batches than that.
        """
        if not 0 <= batch <= len(self):
            raise CheckpointError(
                f"The run stopped before batch {batch} of epoch {epoch}, but an epoch has {len(self)} batches here",
                "Resume with the data set, batch size and number of processes that the run had",
            )
        self._epoch = epoch
        self._resume_at = (epoch, batch)

    def __len__(self) -> int:
        """Batches in a whole epoch, the same on every rank."""
        return self._batches

    def __iter__(self) -> Iterator[Request]:
        # A generator, because a DataLoader with workers calls iter() twice before it asks for the first batch: only
        # the pass that is really made may use up the place to resume at.
        epoch, start = self._epoch, 0
        if self._resume_at is not None and self._resume_at[0] == epoch:
            start, self._resume_at = self._resume_at[1], None
        order = permutation(self._seed, epoch, self._size)
        for batch in range(start, self._batches):
            begin = batch * self._taken
            takes_the_rest = not self._drop_last and batch == self._batches - 1
            end = self._size if takes_the_rest else begin + self._taken
            yield self._request(epoch, batch, order[begin:end])

    def _request(self, epoch: int, batch: int, samples: NDArray[np.int64]) -> Request:
        """Return this rank's part of a batch, given the samples of the epoch's order that are in the whole of it."""
        return Request(epoch, samples[self._rank :: self._world_size])
