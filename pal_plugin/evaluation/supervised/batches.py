"""Batches of labelled images in memory: shifted, flipped, and with a square cut out (CutOut)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pal_plugin.data import ImageDataset
from pal_plugin.data.draws import permutation, uniforms, view_stream
from pal_plugin.errors import DataError

_NUMBERS = 5  # uniform numbers an image: two for the shift, one for the flip, two for the hole


class LabelledBatches:
    """The batches of an epoch: normalised images (B, 3, S, S), and labels (B,).

    Every draw is a function of (seed, epoch, image). The last batch of an epoch is smaller, but never of one image,
    which BatchNorm could not take: that joins the batch before it.

    Args:
        dataset: labelled images of one size, in memory.
        batch_size: B.
        seed: of order and draws.
        padding: pixels of black that an image is framed with before a window of its own size is drawn.
        hole: side in pixels of the square that is cut out, its centre anywhere on the image; 0 for none.

    Raises:
        DataError: images of several sizes or not in memory, fewer than two, or one without a label.

    Source: DeVries & Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (arXiv 1708.04552).
    """

    def __init__(self, dataset: ImageDataset, batch_size: int, seed: int, *, padding: int = 4, hole: int = 16) -> None:
        self.images, self.labels = in_memory(dataset), torch.from_numpy(dataset.labels)
        if len(dataset) < 2 or (dataset.labels < 0).any():
            unlabelled = int((dataset.labels < 0).sum())
            raise DataError(
                f"{len(dataset)} images of {dataset.name}, {unlabelled} of them without a label, cannot be trained on",
                "Pass two or more labelled images",
            )
        self.mean, self.std = (torch.tensor(part).view(1, 3, 1, 1) for part in (dataset.mean, dataset.std))
        self.batch_size, self.seed, self.padding, self.hole = batch_size, seed, padding, hole
        self.epoch = 0

    def __len__(self) -> int:
        return steps_of_epoch(len(self.images), self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of `epoch`, from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = permutation(self.seed, self.epoch, len(self.images))
        for number in range(len(self)):
            last = number == len(self) - 1
            rows = order[number * self.batch_size : None if last else (number + 1) * self.batch_size]
            yield self._augmented(rows), self.labels[torch.from_numpy(rows)]

    def _augmented(self, rows: NDArray[np.int64]) -> Tensor:
        u = uniforms(self.seed, self.epoch, rows, view_stream(0), _NUMBERS)
        shown = shifted(
            self.images[torch.from_numpy(rows)], (u[:, :2] * (2 * self.padding + 1)).astype(int), self.padding
        )
        shown = torch.where(torch.from_numpy(u[:, 2] < 0.5).view(-1, 1, 1, 1), shown.flip(2), shown)
        normalised = normalise(shown, self.mean, self.std)
        if self.hole:
            side = normalised.shape[2]
            normalised *= ~holes((u[:, 3:] * side).astype(int), side, self.hole)[:, None]
        return normalised


def steps_of_epoch(images: int, batch_size: int) -> int:
    """Return the batches of an epoch; see `LabelledBatches` for the last one."""
    return max(1, -(-(images - 1) // batch_size))


def in_memory(dataset: ImageDataset) -> Tensor:
    """Return images (N, S, S, 3) uint8.

    Raises:
        DataError: they are read from files as they are needed, or are not squares.
    """
    images = dataset.images
    if not isinstance(images, np.ndarray) or images.shape[1] != images.shape[2]:
        raise DataError(
            f"The images of {dataset.name} are not squares of one size in memory",
            "Train on a data set of small images, or evaluate features of yours by `pal eval linear`",
        )
    return torch.from_numpy(np.ascontiguousarray(images))


def shifted(images: Tensor, corners: NDArray[np.integer], padding: int) -> Tensor:
    """Return windows of images (B, S, S, 3) that are framed with black; (B, 2) are the windows' rows and columns."""
    number, side = images.shape[:2]
    framed = images.new_zeros(number, side + 2 * padding, side + 2 * padding, 3)
    framed[:, padding : padding + side, padding : padding + side] = images
    places = torch.from_numpy(corners)[:, :, None] + torch.arange(side)
    return framed[torch.arange(number)[:, None, None], places[:, 0, :, None], places[:, 1, None, :]]


def holes(centres: NDArray[np.integer], side: int, hole: int) -> Tensor:
    """Return where squares of side `hole` about centres (B, 2) cover images of side `side`, (B, side, side) bool."""
    from_centre = torch.arange(side) - torch.from_numpy(centres)[:, :, None]  # (B, 2, side)
    inside = (from_centre >= -(hole // 2)) & (from_centre < hole - hole // 2)
    return inside[:, 0, :, None] & inside[:, 1, None, :]


def normalise(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Return images (B, S, S, 3) uint8 as (B, 3, S, S) float32 of the data set's mean 0 and standard deviation 1."""
    return (images.movedim(3, 1).float() / 255 - mean) / std
