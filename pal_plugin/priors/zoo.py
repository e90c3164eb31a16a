"""Networks of timm, torchvision and open_clip as priors, each with the preprocessing that its library gives it.

Their weights are downloaded, or read from a file of the user's (`timm:resnet18?checkpoint=PATH`).
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.priors.downloads import downloading
from pal_plugin.priors.network import NetworkPrior, load_weights, pick_device, pick_precision
from pal_plugin.registry import near_matches

# What torchvision sets itself when it loads published weights: these two rescale their input.
_AS_PUBLISHED = {name: {"transform_input": True, "init_weights": False} for name in ("googlenet", "inception_v3")}


def timm_prior(
    model: str, *, checkpoint: str | None = None, device: str = "auto", precision: str = "auto"
) -> NetworkPrior:
    """Return a network of timm without its classifier, behind timm's own evaluation preprocessing.

    Args:
        model: timm's name, with or without a tag (`vit_small_patch14_dinov2.lvd142m`); also `hf_hub:…`, `local-dir:…`.
        checkpoint: a file with weights as timm saves them; None downloads the published ones.
        device: see `NetworkPrior`.
        precision: see `NetworkPrior`.

    Raises:
        ConfigError: timm has no such model or tag, or unknown device or precision.
        DataError: the weights cannot be downloaded.
        CheckpointError: see `load_weights`.
        DeviceError: a GPU was asked for and there is none.
    """
    import timm

    name = f"timm:{model}"
    pick_precision(precision, pick_device(device, name), name)  # before anything is downloaded
    if ":" not in model:
        architecture, _, tag = model.partition(".")
        _choose(architecture, timm.list_models(), f"timm {timm.__version__} has no model {architecture!r}")
        tags = [other.partition(".")[2] for other in timm.list_pretrained(f"{architecture}.*")]
        if tag:
            _choose(tag, tags, f"timm {timm.__version__} has no weights {tag!r} for {architecture}")
    with downloading(name) if checkpoint is None or ":" in model else nullcontext():
        network = timm.create_model(model, pretrained=checkpoint is None, num_classes=0)
    if checkpoint is not None:
        head = network.pretrained_cfg.get("classifier") or ()
        load_weights(network, checkpoint, name=name, head=(head,) if isinstance(head, str) else tuple(head))
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, model=network))
    return NetworkPrior(name, network, transform, device=device, precision=precision)


def torchvision_prior(
    model: str, *, checkpoint: str | None = None, device: str = "auto", precision: str = "auto"
) -> NetworkPrior:
    """Return a classification network of torchvision without its last layer, behind its weights' `transforms()`.

    Args:
        model: torchvision's name, and the weights if they shall not be the default ones (`resnet50/IMAGENET1K_V2`).
        checkpoint: a file with weights as torchvision saves them; the preprocessing is that of the weights that `model`
            names. None downloads these.
        device: see `NetworkPrior`.
        precision: see `NetworkPrior`.

    Raises:
        ConfigError: torchvision has no such model or weights, or unknown device or precision.
        DataError: the weights cannot be downloaded.
        CheckpointError: see `load_weights`.
        DeviceError: a GPU was asked for and there is none.
    """
    import torchvision
    from torchvision import models

    name = f"torchvision:{model}"
    pick_precision(precision, pick_device(device, name), name)
    architecture, _, chosen = model.partition("/")
    version = f"torchvision {torchvision.__version__}"
    _choose(architecture, models.list_models(module=models), f"{version} has no classifier {architecture!r}")
    weights = models.get_model_weights(architecture)
    if chosen:
        _choose(chosen, weights.__members__, f"{version} has no weights {chosen!r} for {architecture}")
    entry = weights[chosen or "DEFAULT"]
    if checkpoint is None:
        with downloading(name, hub=False):
            network = models.get_model(architecture, weights=entry)
    else:
        network = models.get_model(architecture, weights=None, **_AS_PUBLISHED.get(architecture, {}))
    head = _behead(network)
    if checkpoint is not None:
        load_weights(network, checkpoint, name=name, head=(head,))
    return NetworkPrior(name, network, entry.transforms(), device=device, precision=precision)


def open_clip_prior(
    model: str, *, checkpoint: str | None = None, device: str = "auto", precision: str = "auto"
) -> NetworkPrior:
    """Return the image tower of a CLIP network of open_clip, behind open_clip's own preprocessing.

    Its features are not normalised: `metric=cosine` is what they were trained for.

    Args:
        model: open_clip's name and the tag of its weights (`ViT-B-32/laion2b_s34b_b79k`). The tag tells the
            preprocessing too; with a checkpoint it may be left out, which means open_clip's defaults.
        checkpoint: a file with weights of the whole network as open_clip saves them; None downloads those of the tag.
        device: see `NetworkPrior`.
        precision: see `NetworkPrior`.

    Raises:
        ConfigError: open_clip is not installed or has no such model or tag, or unknown device or precision.
        DataError: the weights cannot be downloaded.
        CheckpointError: the file is not there or holds weights of another network.
        DeviceError: a GPU was asked for and there is none.
    """
    name = f"open_clip:{model}"
    pick_precision(precision, pick_device(device, name), name)
    try:
        import open_clip
    except ImportError as error:
        raise ConfigError(
            f"The prior {name} needs open_clip, which is not installed", "Run: pip install open-clip-torch"
        ) from error
    architecture, _, tag = model.partition("/")
    _choose(architecture, open_clip.list_models(), f"open_clip has no model {architecture!r}")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag or checkpoint is None:
        _choose(tag, tags, f"open_clip has no weights {tag!r} for {architecture}")
    known = (open_clip.get_pretrained_cfg(architecture, tag) if tag else None) or {}
    made_with = {
        "force_quick_gelu": bool(known.get("quick_gelu")),  # open_clip itself only warns where these disagree
        "image_mean": known.get("mean"),
        "image_std": known.get("std"),
        "image_interpolation": known.get("interpolation"),
        "image_resize_mode": known.get("resize_mode"),
    }
    text = open_clip.get_model_config(architecture)["text_cfg"]  # a text tower of transformers brings its own files
    with downloading(name) if checkpoint is None or "hf_model_name" in text else nullcontext():
        pretrained = tag if checkpoint is None else None
        network, _, transform = open_clip.create_model_and_transforms(architecture, pretrained=pretrained, **made_with)
    if checkpoint is not None:
        _load_clip(open_clip, network, checkpoint, name)
    return NetworkPrior(name, _ImageTower(network), transform, device=device, precision=precision)


class _ImageTower(nn.Module):
    """What a CLIP network makes of images; the text tower is no part of it, nor of the weights' hash."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.visual = network.visual

    def forward(self, x: Tensor) -> Tensor:
        found = self.visual(x)
        features: Tensor = found[0] if isinstance(found, tuple) else found  # CoCa gives its tokens beside them
        return features


def _load_clip(open_clip: Any, network: nn.Module, checkpoint: str, name: str) -> None:
    file = Path(checkpoint).expanduser()
    if not file.is_file():
        raise CheckpointError(f"There are no weights for {name} at {file}", "Name an existing file")
    try:
        open_clip.load_checkpoint(network, str(file), strict=True, weights_only=True)
    except Exception as error:  # pickle, zip, torch and safetensors each have their own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise CheckpointError(
            f"The weights at {file} are unreadable or not those of {name}: {reason}",
            "Name the file, or the network, that belongs to the other",
        ) from error


def _behead(network: nn.Module) -> str:
    """Put an identity in the place of a classifier's last layer (in SqueezeNet a convolution); return its name."""
    last: str = [name for name, module in network.named_modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    parent, _, child = last.rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())
    return last


def _choose(name: str, known: Collection[str], problem: str) -> None:
    if name not in known:
        raise ConfigError(problem, f"Choose another name: {near_matches(name, known)}")
