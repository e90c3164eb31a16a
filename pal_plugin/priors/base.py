"""What a prior is, and how a data set is embedded by one, once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pal_plugin.errors import ConfigError, FeatureError
from pal_plugin.io import cache_folder
from pal_plugin.priors.store import FeatureStore, load_features, save_features
from pal_plugin.progress import progress as reported
from pal_plugin.registry import priors

if TYPE_CHECKING:
    from pal_plugin.data.dataset import ImageDataset

_IMAGES_AT_ONCE = 1024


@runtime_checkable
class Prior(Protocol):
    """A map from images to features in which near means alike.

    A prior sees raw images and brings its own preprocessing: the resolution and normalisation of the network that is
    to be trained are none of its business.
    """

    @property
    def name(self) -> str:
        """What it is called in configs and tables."""
        ...

    @property
    def key(self) -> str:
        """All that its features depend on: a hash of the weights, the preprocessing, the precision."""
        ...

    def embed(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Map (B, H, W, 3) uint8 images to (B, D) float32 features."""
        ...


def make_prior(spec: str) -> Prior:
    """Return the prior called `spec` in the entry-point group `pal_plugin.priors`, made without arguments.

    Raises:
        ConfigError: there is none of that name, or what bears it is not a prior.
    """
    prior = priors.get(spec)()
    if not isinstance(prior, Prior):
        raise ConfigError(f"The prior {spec!r} lacks name, key or embed()", "See pal_plugin.priors.Prior")
    return prior


def embed(
    dataset: ImageDataset,
    prior: Prior,
    *,
    out: Path | None = None,
    batch_size: int = _IMAGES_AT_ONCE,
    progress: bool = True,
) -> FeatureStore:
    """Embed every image of a data set, unaugmented, in order.

    Without `out` the features go to the cache under a key of the images' content and the prior's, so a changed subset,
    image, weight or preprocessing can never meet old features, and the same ones are not computed twice.

    Args:
        dataset: N images.
        prior: embeds them.
        out: a folder to write the store to instead of the cache; what it held is replaced.
        batch_size: images that the prior is given at once.
        progress: report progress on standard error.

    Returns:
        The store, memory-mapped.

    Raises:
        FeatureError: the prior gave a wrong shape, a NaN or infinity (its row is named), or the disk is full.
    """
    folder = cached_at(dataset, prior) if out is None else Path(out)
    if out is None and folder.exists():
        return load_features(folder, dataset.manifest)
    features = _embed_all(dataset, prior, batch_size, progress)
    info = {
        "prior": prior.name,
        "key": prior.key,
        "image_shape": list(dataset.images.shape[1:]),
    }
    return save_features(folder, features, dataset.manifest, info)


def cached_at(dataset: ImageDataset, prior: Prior) -> Path:
    """Return the cache folder of this data set's features by this prior; it need not exist yet."""
    shape = "x".join(map(str, dataset.images.shape[1:]))  # the manifest hashes bytes, which do not tell 2×8 from 4×4
    digest = hashlib.sha256(f"{dataset.manifest.digest} {shape} {prior.key}".encode()).hexdigest()
    return cache_folder() / "features" / digest[:32]


def _embed_all(dataset: ImageDataset, prior: Prior, batch_size: int, progress: bool) -> npt.NDArray[np.float32]:
    starts = range(0, len(dataset), batch_size)
    features: npt.NDArray[np.float32] | None = None
    for start in reported(starts, f"{prior.name} features (batches)") if progress else starts:
        images = dataset.images[start : start + batch_size]
        batch = prior.embed(images)
        if features is None:
            features = np.empty((len(dataset), *batch.shape[1:]), dtype=np.float32)
        if batch.dtype != np.float32 or batch.shape != (len(images), *features.shape[1:]):
            raise FeatureError(
                f"The prior {prior.name!r} gave {batch.dtype} of shape {batch.shape} for {len(images)} images",
                "Correct its embed(): (B, H, W, 3) uint8 to (B, D) float32",
            )
        features[start : start + batch_size] = batch
    if features is None:
        raise FeatureError("A data set without images has no features", "Choose a data set with images")
    return features
