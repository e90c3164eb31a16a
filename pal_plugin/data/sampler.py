"""The order in which an epoch goes through a data set, shared out over the processes that train."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from pal_plugin.data.draws import permutation
from pal_plugin.errors import CheckpointError, ConfigError, DataError


class Request(NamedTuple):
    """What a data worker is asked for: it carries the epoch, so that workers need no state."""

    epoch: int
    indices: NDArray[np.int64]


class EpochSampler(Sampler[Request]):
    """A batch sampler whose order is a function of (seed, epoch), shared out over the ranks without overlap.

    Batch b of all ranks together is what a single process with `batch_size × world_size` would see as batch b.

    Args:
        size: samples in the data set.
        batch_size: samples a batch and rank.
        seed: the run's seed.
        rank: this process, 0 … world_size - 1.
        world_size: how many processes share the epoch.
        drop_last: leave out the samples of an epoch that do not fill a batch on every rank. Otherwise the last batch
            takes what is left: fewer samples, or one more where fewer are left over than there are ranks, because no
            rank may be without a batch that the others wait for.

    Raises:
        DataError: too few samples for one batch.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int, rank: int = 0, world_size: int = 1, drop_last: bool = True
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world_size:
            raise ConfigError(
                f"batch_size={batch_size}, rank={rank}, world_size={world_size} do not fit together",
                "Give a batch size of at least 1 and a rank below the number of processes",
            )
        full, rest = divmod(size, batch_size * world_size)
        self._batches = full if drop_last or rest < world_size else full + 1
        self._drop_last = drop_last
        if not drop_last and size >= world_size:
            self._batches = max(1, self._batches)
        if self._batches == 0:
            raise DataError(
                f"The data set has {size} samples, too few for batches of {batch_size} on {world_size} processes",
                f"Choose a batch size of at most {max(1, size // world_size)} or a larger subset",
            )
        self._size, self._batch_size, self._seed = size, batch_size, seed
        self._rank, self._world_size = rank, world_size
        self._epoch = 0
        self._resume_at: tuple[int, int] | None = None

    @property
    def sampler(self) -> EpochSampler:
        """Itself: Lightning calls `set_epoch` on a batch sampler's `sampler`."""
        return self

    @property
    def epoch(self) -> int:
        """The epoch that the next pass goes through."""
        return self._epoch

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
        shard = permutation(self._seed, epoch, self._size)[self._rank :: self._world_size]
        for batch in range(start, self._batches):
            begin = batch * self._batch_size
            takes_the_rest = not self._drop_last and batch == self._batches - 1
            end = len(shard) if takes_the_rest else begin + self._batch_size
            yield Request(epoch, shard[begin:end])
