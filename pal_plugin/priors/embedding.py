"""Embedding a data set by a prior, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pal_plugin.arrays import checksum, first_bad_row, refuse_foreign_folder
from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.io import cache_folder
from pal_plugin.priors.base import AnyPrior, Prior, ready
from pal_plugin.priors.cluster import ray_batches
from pal_plugin.priors.partial import PartialFeatures, alone
from pal_plugin.priors.reading import read_batches
from pal_plugin.priors.store import FeatureStore, description, load_features
from pal_plugin.progress import progress as reported
from pal_plugin.registry import near_matches

if TYPE_CHECKING:
    from pal_plugin.data.dataset import ImageDataset, Images

_Batches: TypeAlias = "Callable[[Images, Prior, Sequence[int], int], Iterator[npt.NDArray[np.float32]]]"
"""(images, prior, first rows, batch size) → the features of each batch, in order."""
ENGINES = ("local", "ray")
_ARRAYS_AT_ONCE = 1024
_LAZY_AT_ONCE = 64  # photographs of 12 megapixels take 36 MB each once they are decoded


def embed(
    dataset: ImageDataset,
    prior: AnyPrior,
    *,
    out: Path | None = None,
    batch_size: int | None = None,
    num_workers: int = 0,
    engine: str = "local",
    progress: bool = True,
) -> FeatureStore:
    """Embed every image of a data set, unaugmented, in order.

    Without `out` the features go to the cache under a key of the images' content and the prior's, so a changed subset,
    image, weight or preprocessing can never meet old features, and the same ones are not computed twice. Rows are
    written as they are made: features may be larger than memory, and an embedding that was stopped goes on from them.
    Of two processes that make the same features one waits for the other.

    Args:
        dataset: N images.
        prior: embeds them; one that has to be fitted is fitted to `dataset`.
        out: a folder to write the store to instead of the cache; what it held is replaced.
        batch_size: images that the prior is given at once; 1024 of an array, 64 of images that are read from disk if
            None.
        num_workers: processes that read images ahead, for those that are decoded as they are needed; the features do
            not depend on it.
        engine: `"local"`, or `"ray"` to embed on a Ray cluster (`ray_batches`); the store is the same.
        progress: report progress on standard error.

    Returns:
        The store, memory-mapped.

    Raises:
        FeatureError: the prior gave a wrong shape, a NaN or infinity (its row is named); an embedding of something
            else into the same folder was stopped and not removed; or the disk is full.
        ConfigError: a batch size below 1, a negative number of processes, no such engine, or Ray is not installed.
        PalError: what the data set or the prior finds wrong.
    """
    if batch_size is not None and batch_size < 1:
        raise ConfigError(f"A batch of {batch_size} images was asked for", "Choose a batch size of at least 1")
    if engine not in ENGINES:
        raise ConfigError(
            f"There is no engine called {engine!r} to embed with", f"Choose another: {near_matches(engine, ENGINES)}"
        )
    prior = ready(prior, dataset)
    folder = cached_at(dataset, prior) if out is None else Path(out)
    if out is None and folder.exists():
        return load_features(folder, dataset.manifest)
    refuse_foreign_folder(folder, "features.json", FeatureError)
    with alone(folder):
        if out is None and folder.exists():  # made while this process waited
            return load_features(folder, dataset.manifest)
        if batch_size is None:
            batch_size = _ARRAYS_AT_ONCE if isinstance(dataset.images, np.ndarray) else _LAZY_AT_ONCE
        batches = _local_batches(num_workers) if engine == "local" else ray_batches
        _embed_all(dataset, prior, folder, batch_size, batches, progress)
    return load_features(folder, dataset.manifest)


def cached_at(dataset: ImageDataset, prior: Prior) -> Path:
    """Return the cache folder of this data set's features by this prior; it need not exist yet."""
    shape = _image_shape(dataset)  # the manifest hashes bytes, which do not tell 2×8 from 4×4
    said = "lazy" if shape is None else "x".join(map(str, shape))
    digest = hashlib.sha256(f"{dataset.manifest.digest} {said} {prior.key}".encode()).hexdigest()
    return cache_folder() / "features" / digest[:32]


def _embed_all(
    dataset: ImageDataset, prior: Prior, folder: Path, batch_size: int, embedded: _Batches, progress: bool
) -> None:
    info = {"prior": prior.name, "key": prior.key, "image_shape": _image_shape(dataset)}
    made_from = {"data set": dataset.manifest.digest, **info, "batch size": batch_size}
    partial = PartialFeatures(folder, len(dataset), made_from)
    starts = range(partial.rows, len(dataset), batch_size)
    steps = reported(starts, f"{prior.name} features (batches)") if progress else starts
    for start, batch in zip(steps, embedded(dataset.images, prior, starts, batch_size), strict=True):
        problem = _problem(batch, min(batch_size, len(dataset) - start), partial.dimensions, start)
        if problem:
            partial.discard()
            raise FeatureError(
                f"The prior {prior.name!r} gave {problem}",
                "Correct its embed(): B images to (B, D) float32, finite; images of different sizes have to be resized "
                "(pixels?side=32 does it)",
            )
        partial.append(batch)
    assert partial.dimensions is not None  # a data set has images
    shape = (len(dataset), partial.dimensions)
    partial.finish(description(shape, dataset.manifest, info, checksum(partial.file)))


def _local_batches(num_workers: int) -> _Batches:
    def batches(
        images: Images, prior: Prior, starts: Sequence[int], batch_size: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        return (prior.embed(batch) for batch in read_batches(images, starts, batch_size, num_workers))

    return batches


def _problem(batch: npt.NDArray[np.float32], count: int, dimensions: int | None, start: int) -> str | None:
    if batch.dtype != np.float32 or batch.ndim != 2 or len(batch) != count or 0 in batch.shape:
        return f"{batch.dtype} of shape {batch.shape} for {count} images"
    if dimensions not in (None, batch.shape[1]):
        return f"{batch.shape[1]} numbers an image from row {start} on, and {dimensions} before"
    bad = first_bad_row(batch)
    return None if bad is None else f"a NaN or infinity in row {start + bad}"


def _image_shape(dataset: ImageDataset) -> list[int] | None:
    """Return (H, W, 3) of images in an array; None for images that may differ in size."""
    images: Any = dataset.images
    return list(images.shape[1:]) if isinstance(images, np.ndarray) else None
