"""What is evaluated: the backbone of a checkpoint, with or without its projector, or a prior as it is."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation.features import encode
from pal_plugin.evaluation.parts import Part
from pal_plugin.evaluation.sgd import Place

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from pal_plugin.data import ImageDataset
    from pal_plugin.priors import Fittable, Prior


EMBEDDINGS = ("backbone", "projector")


class Source:
    """Gives features of images; those of a part are made when they are first asked for, and once.

    Attributes:
        description: which one it is, for the results.
    """

    def __init__(self, description: dict[str, Any]) -> None:
        self.description = description
        self._made: dict[Part, NDArray[np.float32]] = {}

    def features(self, part: Part) -> NDArray[np.float32]:
        """Return (N, D) float32, a row for each image of the part."""
        if part.parent is not None and part.rows is not None:
            return self.features(part.parent)[part.rows]
        if part not in self._made:
            self._made[part] = self._encode(part.images)
        return self._made[part]

    def network(self) -> tuple[nn.Module, Place]:
        """Return the network behind the features, and where it runs.

        Raises:
            ConfigError: there is none that could be shown augmented images.
        """
        raise NotImplementedError

    def prepare(self, dataset: ImageDataset) -> None:
        """See the images that may be learnt from, before any feature is made."""

    def _encode(self, dataset: ImageDataset) -> NDArray[np.float32]:
        raise NotImplementedError


class Network(Source):
    """A backbone, in float32 or bfloat16, on images as in validation.

    Args:
        backbone: maps (B, 3, S, S) to (B, D).
        place: device and input.
        description: for the results.
    """

    def __init__(self, backbone: nn.Module, place: Place, description: dict[str, Any]) -> None:
        super().__init__({**description, "device": place.device})
        self._backbone, self._place = backbone, place

    def network(self) -> tuple[nn.Module, Place]:
        """Return the backbone, and where it runs."""
        return self._backbone, self._place

    def _encode(self, dataset: ImageDataset) -> NDArray[np.float32]:
        place = self._place
        options: dict[str, Any] = {"device": place.device, "precision": place.precision}
        return encode(self._backbone, dataset, crop_size=place.crop_size, num_workers=place.num_workers, **options)


class Probed(Source):
    """A prior: the features that graphs are built from, in the feature cache.

    Args:
        prior: a prior; one that learns from a data set learns from the images that are fitted on.
        spec: what it was called.
        num_workers: processes that read images.
    """

    def __init__(self, prior: Prior | Fittable, spec: str, num_workers: int = 0) -> None:
        super().__init__({"prior": spec})
        self._prior, self._num_workers = prior, num_workers

    def prepare(self, dataset: ImageDataset) -> None:
        """Let a prior that learns from images learn from these, rather than from those that are read."""
        from pal_plugin.priors import Fittable, ready

        if isinstance(self._prior, Fittable):
            self.description["prior_fitted_on"] = dataset.manifest.reference()
        prior = ready(self._prior, dataset)
        self.description["prior_key"] = prior.key
        self._prior = prior

    def network(self) -> tuple[nn.Module, Place]:
        """Refuse: a prior has its own preprocessing, and only a checkpoint's network is trained."""
        raise ConfigError(
            f"The prior {self.description['prior']} cannot be shown augmented images or be trained",
            "Measure it by knn, linear or retrieval",
        )

    def _encode(self, dataset: ImageDataset) -> NDArray[np.float32]:
        from pal_plugin.priors import embed

        return np.asarray(embed(dataset, self._prior, num_workers=self._num_workers).features)


def from_checkpoint(
    path: str | PathLike[str],
    *,
    backbone: str | None = None,
    stem: str | None = None,
    crop_size: int | None = None,
    embedding: str = "backbone",
    device: str = "cpu",
    precision: str = "auto",
    num_workers: int = 0,
) -> tuple[Network, DictConfig]:
    """Return a checkpoint's backbone as a source, and what is known of the config it was trained with.

    Args:
        path: a file that `pal train` or, for the backbone, plain solo-learn wrote.
        backbone: see `pal_plugin.host.load_backbone`.
        stem: likewise.
        crop_size: side in pixels that images are shown at; by the checkpoint if None, else the images' own.
        embedding: `"backbone"`, or `"projector"`: what the method's projector makes of the backbone's features, scaled
            to unit length.
        device: see `encode`.
        precision: likewise.
        num_workers: likewise.

    Raises:
        CheckpointError, ConfigError: see `pal_plugin.host.load_backbone` and `pal_plugin.methods.load_method`; or the
            method has no projector.
    """
    from omegaconf import OmegaConf

    from pal_plugin.host import load_backbone  # heavy: imports solo-learn and Lightning

    if embedding not in EMBEDDINGS:
        raise ConfigError(f"There is no embedding {embedding!r}", f"Choose one of {', '.join(EMBEDDINGS)}")
    if embedding == "projector":
        network, cfg = _projected(path, {"--backbone": backbone, "--stem": stem})
    else:
        network, cfg = load_backbone(path, backbone=backbone, stem=stem)
    shown = crop_size or OmegaConf.select(cfg, "augmentations[0].crop_size")
    place = Place(device, precision, shown, num_workers)
    described = {"checkpoint": str(path), "backbone": cfg.backbone.name, "embedding": embedding, "crop_size": shown}
    return Network(network, place, described), cfg


class UnitLength(nn.Module):
    """Scales every row (B, D) to unit length, in float32."""

    def forward(self, rows: Tensor) -> Tensor:
        """Return (B, D) float32."""
        return F.normalize(rows.float(), dim=1)


def _projected(path: str | PathLike[str], given: dict[str, str | None]) -> tuple[nn.Module, DictConfig]:
    """Return backbone and projector of a checkpoint's method, and its config."""
    from pal_plugin.methods import load_method

    said = [option for option, value in given.items() if value is not None]
    if said:
        raise ConfigError(
            f"{said[0]} is for checkpoints that do not say what they hold, and of those no projector is known",
            f"Leave {said[0]} out, or take the backbone: --embedding backbone",
        )
    method, cfg = load_method(path)
    projector = getattr(method, "projector", None)
    if not isinstance(projector, nn.Module):
        raise ConfigError(f"{cfg.method} has no projector", "Take the backbone: --embedding backbone")
    return nn.Sequential(method.backbone, projector, UnitLength()), cfg


def from_prior(spec: str, *, num_workers: int = 0) -> Probed:
    """Return the prior called `spec` as a source.

    Args:
        spec: see `pal_plugin.priors.make_prior`.
        num_workers: processes that read images, for those that are decoded as they are needed.

    Raises:
        ConfigError: see `pal_plugin.priors.make_prior`.
    """
    from pal_plugin.priors import make_prior

    return Probed(make_prior(spec), spec, num_workers)
