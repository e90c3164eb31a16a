"""Batches of images in memory, made ahead by threads of this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils.pin_memory import pin_memory

MOST_THREADS = 8
"""More than feed a GPU; each holds a batch."""
_T = TypeVar("_T")


class ThreadedLoader(DataLoader[_T]):
    """A loader without worker processes that makes the next batches while one is in use.

    Each batch is made by one thread, so that they compute side by side where the data set's `__getitems__` does not
    hold the interpreter's lock. As many threads as torch uses make the batches, in the batch sampler's order, and are
    no further ahead than one batch each. Nothing is drawn from torch's generators, and what a batch raises is raised
    where the batch is due.

    Takes what a `DataLoader` with a batch sampler takes; with `num_workers` above 0 it is one.
    """

    def __iter__(self) -> Iterator[_T]:  # type: ignore[override]  # what iter() gives is not asked to be torch's
        return super().__iter__() if self.num_workers else self._made_ahead()

    def _made_ahead(self) -> Iterator[_T]:
        threads = min(torch.get_num_threads(), MOST_THREADS)
        waiting: deque[Future[_T]] = deque()
        pool = ThreadPoolExecutor(threads, "batches", initializer=_use_device, initargs=(_device(),))
        try:
            for request in self.batch_sampler or ():
                waiting.append(pool.submit(self._made, request))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _made(self, request: Any) -> _T:
        dataset: Any = self.dataset
        batch = self.collate_fn(dataset.__getitems__(request))
        return pin_memory(batch) if self.pin_memory else batch  # type: ignore[no-any-return, no-untyped-call]


def _device() -> int | None:
    return torch.cuda.current_device() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]


def _use_device(device: int | None) -> None:
    """Let this thread work on the GPU of its rank; a new one would take the first."""
    if device is not None:
        torch.cuda.set_device(device)
