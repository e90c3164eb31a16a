"""Images with labels, where there are any, and the manifest that says which images they are."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data.draws import SUBSET, uniforms
from pal_plugin.data.lazy import LazyImages, Rows, row_numbers
from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import DataError

UNLABELLED = -1
SPLITS = ("train", "val", "test")
Images: TypeAlias = NDArray[np.uint8] | LazyImages


@dataclass
class ImageDataset:
    """A split of a data set, in memory or read as it is needed.

    Attributes:
        name: what it is called, as in `load_dataset`.
        split: `"train"`, `"val"` or `"test"`.
        images: (N, H, W, 3) uint8, or N images of any sizes that are read batch by batch. `images[rows]` gives an
            array or a sequence of arrays.
        labels: (N,) int64, -1 where a sample has no label.
        ids: N ids, unique, in order.
        class_names: the name of class 0, 1, …; none where nothing is labelled.
        mean: of the training images' channels, in [0, 1].
        std: likewise.
        factors: (N, F) float32, what the images were made from, where that is known; scaled to like sizes.
        coarse_labels: (N,) int64, the class above the label's, such as animal; -1 where a sample has none.
        coarse_names: the name of coarse class 0, 1, …
        attributes: (N, A) int8, 1 where the sample has the attribute and 0 where it has not.
        attribute_names: the A names.

    Raises:
        DataError: shapes, types or lengths do not fit together, an id occurs twice, or a label is no class.
    """

    name: str
    split: str
    images: Images
    labels: NDArray[np.int64]
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    factors: NDArray[np.float32] | None = None
    coarse_labels: NDArray[np.int64] | None = None
    coarse_names: tuple[str, ...] = ()
    attributes: NDArray[np.int8] | None = None
    attribute_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise DataError(
                f"The data set {self.name}/{self.split} is malformed: {problem}",
                "Give uint8 images (N, H, W, 3), int64 labels (N,) of -1 … classes - 1 and N unique ids",
            )

    @functools.cached_property
    def manifest(self) -> Manifest:
        """Ids and content hash; computed once, so the images must not be written to."""
        if isinstance(self.images, LazyImages):
            return Manifest(name=self.name, split=self.split, ids=self.ids, content=self.images.content())
        content = hashlib.sha256(np.ascontiguousarray(self.images).data).hexdigest()
        return Manifest(name=self.name, split=self.split, ids=self.ids, content=content)

    @property
    def num_classes(self) -> int:
        """How many classes there are; some may have no sample."""
        return len(self.class_names)

    @property
    def known_coarse_labels(self) -> NDArray[np.int64]:
        """The coarse labels of a data set that has some.

        Raises:
            DataError: it has none.
        """
        if self.coarse_labels is None:
            raise DataError(
                f"{self.name}/{self.split} has no classes above its own",
                "Choose a data set that has: cifar10, cifar100 or inat; or give ImageDataset its coarse_labels",
            )
        return self.coarse_labels

    @property
    def known_factors(self) -> NDArray[np.float32]:
        """The factors of a data set that has some.

        Raises:
            DataError: it has none.
        """
        if self.factors is None:
            raise DataError(
                f"What the images of {self.name}/{self.split} were made from is not known: they have no factors",
                "Choose a data set that has: three_d_ident; or give ImageDataset its factors",
            )
        return self.factors

    @property
    def known_attributes(self) -> NDArray[np.int8]:
        """The attributes of a data set that has some.

        Raises:
            DataError: it has none.
        """
        if self.attributes is None:
            raise DataError(
                f"The images of {self.name}/{self.split} have no attributes",
                "Choose a data set that has: celeba; or give ImageDataset its attributes",
            )
        return self.attributes

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, n: int, seed: int) -> ImageDataset:
        """Return `n` samples, each class in proportion (the unlabelled count as a class), in their original order.

        Class sizes are rounded by largest remainder, so they are within one of their exact share.

        Args:
            n: how many, 1 … len(self).
            seed: which ones.

        Raises:
            DataError: `n` is out of range.
        """
        if not 1 <= n <= len(self):
            raise DataError(
                f"A subset of {n} was asked for, but {self.name}/{self.split} has {len(self)} samples",
                f"Choose a subset between 1 and {len(self)}, or none for all of them",
            )
        order = np.argsort(uniforms(seed, 0, np.arange(len(self)), SUBSET, 1)[:, 0], kind="stable")
        _, counts = np.unique(self.labels, return_counts=True)
        by_class = order[np.argsort(self.labels[order], kind="stable")]  # one sort, since there may be thousands
        place = np.arange(len(self)) - np.repeat(np.cumsum(counts) - counts, counts)  # of each among its class
        return self.take(np.sort(by_class[place < np.repeat(_shares(counts, n), counts)]))

    def take(self, rows: Rows, split: str | None = None) -> ImageDataset:
        """Return the samples `rows`, as a part called `split` if that is given."""
        numbers = row_numbers(rows, len(self))
        return dataclasses.replace(
            self,
            split=self.split if split is None else split,
            images=self.images.subset(numbers) if isinstance(self.images, LazyImages) else self.images[numbers],
            labels=self.labels[numbers],
            ids=tuple(self.ids[row] for row in numbers),
            factors=None if self.factors is None else self.factors[numbers],
            coarse_labels=None if self.coarse_labels is None else self.coarse_labels[numbers],
            attributes=None if self.attributes is None else self.attributes[numbers],
        )

    def _problem(self) -> str | None:
        images: Any = self.images  # a user may give anything
        if not isinstance(images, LazyImages):
            if not isinstance(images, np.ndarray):
                return f"images are a {type(images).__name__}"
            if images.ndim != 4 or images.shape[3] != 3 or 0 in images.shape[1:] or images.dtype != np.uint8:
                return f"images are {images.dtype} of shape {images.shape}"
        if not len(images):
            return "it has no images"
        if len(self.ids) != len(images) or len(set(self.ids)) != len(images):
            return f"{len(self.ids)} ids ({len(set(self.ids))} unique) for {len(images)} images"
        problem = _problem_of_labels("labels", self.labels, len(images), self.num_classes)
        if problem is None and self.coarse_labels is not None:
            problem = _problem_of_labels("coarse labels", self.coarse_labels, len(images), len(self.coarse_names))
        return problem or self._problem_of_factors() or self._problem_of_attributes()

    def _problem_of_factors(self) -> str | None:
        factors = self.factors
        if factors is None:
            return None
        if factors.ndim != 2 or len(factors) != len(self.images) or factors.dtype != np.float32:
            return f"factors are {factors.dtype} of shape {factors.shape} for {len(self.images)} images"
        return None if np.isfinite(factors).all() else "some factors are not finite"

    def _problem_of_attributes(self) -> str | None:
        attributes, shape = self.attributes, (len(self.images), len(self.attribute_names))
        if attributes is None:
            return None
        if attributes.shape != shape or attributes.dtype != np.int8 or not attributes.size:
            return (
                f"attributes are {attributes.dtype} of shape {attributes.shape} for {shape[0]} images, {shape[1]} names"
            )
        return None if np.isin(attributes, (0, 1)).all() else "some attributes are neither 0 nor 1"


def _problem_of_labels(what: str, labels: Any, images: int, classes: int) -> str | None:
    if not isinstance(labels, np.ndarray):
        return f"{what} are a {type(labels).__name__}"
    if labels.shape != (images,) or labels.dtype != np.int64:
        return f"{what} are {labels.dtype} of shape {labels.shape} for {images} images"
    if labels.min() < UNLABELLED or labels.max() >= classes:
        return f"{what} run from {labels.min()} to {labels.max()} with {classes} classes"
    return None


def _shares(counts: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Split `n` in proportion to `counts` into integers that add up to `n`; ties go to the first class."""
    exact = counts * n  # in units of 1 / sum(counts), so that all is exact
    shares, remainders = np.divmod(exact, counts.sum())
    largest = np.argsort(-remainders, kind="stable")[: n - shares.sum()]
    shares[largest] += 1
    return shares
