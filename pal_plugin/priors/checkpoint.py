"""A backbone that was trained here or by plain solo-learn, as a prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from omegaconf import DictConfig, OmegaConf

from pal_plugin.errors import ConfigError
from pal_plugin.priors.network import NetworkPrior, pick_device, pick_precision
from pal_plugin.priors.pixels import whole_number

if TYPE_CHECKING:
    from pal_plugin.data.dataset import ImageDataset

Triple: TypeAlias = tuple[float, float, float]

_IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# What solo-learn normalises the data sets by that it knows, and images of a user's own ("custom"; "folder" is ours).
_NORMALISATIONS: dict[str, tuple[Triple, Triple]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "stl10": ((0.4914, 0.4823, 0.4466), (0.247, 0.243, 0.261)),
    "imagenet": _IMAGENET,
    "imagenet100": _IMAGENET,
    "custom": _IMAGENET,
    "folder": _IMAGENET,
}


class CheckpointPrior:
    """The backbone of a checkpoint at the resolution that it was trained with; `fitted` to a data set, it is a prior.

    Images are resized to the crop size (shorter side, bicubic), cropped at the centre and normalised as in training.

    Args:
        path: a checkpoint of ours or of plain solo-learn, of either host.
        backbone: the architecture in solo-learn's names, where the checkpoint does not tell.
        stem: of a ResNet (`cifar`, `imagenet`, `no_maxpool`), likewise.
        crop_size: the resolution in pixels, likewise.
        mean: of the channels, in [0, 1], likewise (`mean=0.49,0.48,0.45`).
        std: likewise.
        device: see `NetworkPrior`.
        precision: see `NetworkPrior`.

    Raises:
        CheckpointError: it is not there, unreadable, or of another architecture.
        ConfigError: nothing tells the resolution, or an option is malformed.
        DeviceError: a GPU was asked for and there is none.
    """

    def __init__(
        self,
        path: str,
        *,
        backbone: str | None = None,
        stem: str | None = None,
        crop_size: str | None = None,
        mean: str | None = None,
        std: str | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        from pal_plugin.host import load_backbone  # heavy: imports solo-learn and Lightning

        self.name = f"checkpoint:{path}"
        pick_precision(precision, pick_device(device, self.name), self.name)
        if (mean is None) != (std is None):
            raise ConfigError(f"The prior {self.name} has a mean or a std without the other", "Give both or neither")
        self._given = None if mean is None or std is None else (_triple(mean, "mean"), _triple(std, "std"))
        self._network, self._cfg = load_backbone(path, backbone=backbone, stem=stem)
        self._side = self._crop_size() if crop_size is None else whole_number(crop_size, "crop_size")
        self._runs = {"device": device, "precision": precision}

    def fitted(self, dataset: ImageDataset) -> NetworkPrior:
        """Return the prior; the normalisation of `dataset` is taken where the checkpoint tells only that name.

        Raises:
            ConfigError: nothing tells how the images were normalised in training.
        """
        from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

        mean, std = self._normalisation(dataset)
        transform = Compose(
            [Resize(self._side, InterpolationMode.BICUBIC), CenterCrop(self._side), ToTensor(), Normalize(mean, std)]
        )
        described = OmegaConf.to_container(self._cfg.backbone, resolve=True)
        return NetworkPrior(
            self.name, self._network, transform, architecture=f"solo-learn backbone {described}", **self._runs
        )

    def _normalisation(self, dataset: ImageDataset) -> tuple[Triple, Triple]:
        if self._given is not None:
            return self._given
        noted = OmegaConf.select(self._cfg, "normalisation")
        if noted is not None:
            return tuple(noted.mean), tuple(noted.std)
        trained_on = OmegaConf.select(self._cfg, "data.dataset")
        if trained_on == dataset.name:
            return dataset.mean, dataset.std
        if trained_on in _NORMALISATIONS:
            return _NORMALISATIONS[trained_on]
        raise ConfigError(
            f"Nothing tells how images were normalised in the training of {self.name} "
            f"(on {trained_on or 'an unnamed data set'}; these are {dataset.name})",
            f"Add it: {self.name}?mean=0.485,0.456,0.406&std=0.229,0.224,0.225",
        )

    def _crop_size(self) -> int:
        config: DictConfig = self._cfg
        pipelines = config.get("augmentations") or [{}]
        if "crop_size" in pipelines[0]:
            return int(pipelines[0].crop_size)
        raise ConfigError(
            f"Nothing tells the resolution that {self.name} was trained with", f"Add it: {self.name}?crop_size=224"
        )


def _triple(text: str, what: str) -> Triple:
    try:
        red, green, blue = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"{what}={text} is not one number a channel", f"Write {what}=0.5,0.5,0.5") from error
    return red, green, blue
