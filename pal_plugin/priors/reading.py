"""Batches of images for a prior, read ahead by other processes where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pal_plugin.errors import ConfigError
from pal_plugin.priors.base import Images

if TYPE_CHECKING:
    from pal_plugin.data.dataset import Images as DatasetImages


def read_batches(
    images: DatasetImages, starts: Sequence[int], batch_size: int, num_workers: int = 0
) -> Iterator[Images]:
    """Yield `images[start : start + batch_size]` for every start, in order.

    Args:
        images: of a data set.
        starts: first rows.
        batch_size: images of a batch; the last one may be smaller.
        num_workers: processes that read and decode ahead; 0 reads in this one.

    Raises:
        ConfigError: a negative number of processes.
        DataError: an image cannot be read, with workers as without.
    """
    if num_workers < 0:
        raise ConfigError(f"{num_workers} data workers were asked for", "Choose 0 or more")
    batches = _Batches(images, batch_size)
    if num_workers == 0:
        yield from (batches.read(start) for start in starts)
        return
    from torch.utils.data import DataLoader

    loader: Any = DataLoader(
        batches,  # type: ignore[arg-type]  # it has what torch asks of a data set
        sampler=starts,
        batch_size=None,
        collate_fn=_identity,
        num_workers=num_workers,
    )
    yield from loader


class _Batches:
    """Batches by their first row, as torch's loader asks for them."""

    def __init__(self, images: DatasetImages, batch_size: int) -> None:
        self._images = images
        self._batch_size = batch_size

    def __len__(self) -> int:
        return len(self._images)

    def read(self, start: int) -> Images:
        return self._images[start : start + self._batch_size]

    def __getitem__(self, start: int) -> Images:
        from pal_plugin.data.workers import carries_errors  # brings torch

        return carries_errors(self.read)(start)


def _identity(batch: Any) -> Any:
    return batch
