"""Principal components of the pixels: a prior without weights that is fitted to the data set at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError
from pal_plugin.priors.base import Images
from pal_plugin.priors.pixels import whole_number
from pal_plugin.priors.resize import resized

if TYPE_CHECKING:
    from pal_plugin.data.dataset import ImageDataset

SIDE = 32
_LARGEST_SIDE = 64  # a covariance of 12288 × 12288 in float64 takes 1.2 GB
_AT_ONCE = 256

Matrix = npt.NDArray[np.float64]


class PCA:
    """The first principal components of a data set's pixels; `fitted` to it, it is a prior.

    Args:
        dimensions: how many components (`pca:64`).
        side: what images are resized to first (`pca:64?side=16`; bicubic, the aspect ratio is not kept).

    Raises:
        ConfigError: not whole numbers, a side above 64, or more components than a resized image has values.
    """

    def __init__(self, dimensions: int | str, *, side: int | str = SIDE) -> None:
        self.dimensions = whole_number(dimensions, "The number of components of the prior pca")
        self.side = whole_number(side, "The side of the prior pca")
        self.name = f"pca:{self.dimensions}"
        if self.side > _LARGEST_SIDE or self.dimensions > 3 * self.side**2:
            raise ConfigError(
                f"The prior {self.name} cannot be had at a side of {self.side}",
                f"Choose a side of at most {_LARGEST_SIDE}, and at most side × side × 3 components",
            )

    def fitted(self, dataset: ImageDataset) -> FittedPCA:
        """Return the prior whose axes are those of `dataset`; they are computed when they are first needed.

        To embed a second data set in the same space, fit to the first and pass what this returns to `embed` twice.

        Raises:
            ConfigError: there are not more images than components.
        """
        if len(dataset) <= self.dimensions:
            raise ConfigError(
                f"{len(dataset)} images do not have the {self.dimensions} principal components of {self.name}",
                f"Choose fewer: pca:N with N below {len(dataset)}",
            )
        return FittedPCA(self, dataset)


class FittedPCA:
    """Projection of pixels (x/255, less the mean of the fitted data) on principal axes, the largest variance first.

    Computed in float64 from the covariance, a block of images at a time. An axis' sign is such that its entry of
    largest magnitude is positive.
    """

    def __init__(self, pca: PCA, dataset: ImageDataset) -> None:
        self.name = pca.name
        self.key = f"pca {pca.dimensions}, bicubic {pca.side}, x/255, fitted to {dataset.manifest.digest}"
        self._pca = pca
        self._dataset: ImageDataset | None = dataset
        self._mean: Matrix = np.empty(0)
        self._axes: Matrix = np.empty((0, 0))

    def embed(self, images: Images) -> npt.NDArray[np.float32]:
        """Map B images to (B, dimensions) float32."""
        if self._dataset is not None:
            self._mean, self._axes = _principal_axes(self._dataset, self._pca.dimensions, self._pca.side)
            self._dataset = None  # its images are not needed any more
        found: npt.NDArray[np.float32] = ((_flat(images, self._pca.side) - self._mean) @ self._axes).astype(np.float32)
        return found


def _principal_axes(dataset: ImageDataset, dimensions: int, side: int) -> tuple[Matrix, Matrix]:
    """Return the mean (D,) and the axes (D, dimensions) of pixels in [0, 1], D = 3 · side²."""
    from scipy.linalg import eigh

    starts = range(0, len(dataset), _AT_ONCE)
    mean = np.zeros(3 * side**2)
    for start in starts:
        mean += _flat(dataset.images[start : start + _AT_ONCE], side).sum(axis=0)
    mean /= len(dataset)
    scatter = np.zeros((len(mean), len(mean)))
    for start in starts:
        x = _flat(dataset.images[start : start + _AT_ONCE], side) - mean
        scatter += x.T @ x
    size = len(mean)
    _, axes = eigh(scatter, subset_by_index=(size - dimensions, size - 1), overwrite_a=True)
    axes = axes[:, ::-1]  # eigh sorts from the smallest
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(dimensions)]
    return mean, axes * np.sign(largest)


def _flat(images: Images, side: int) -> Matrix:
    flat: Matrix = resized(images, side).reshape(len(images), -1) / 255
    return flat
