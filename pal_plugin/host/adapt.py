"""Every method of the installed solo-learn as a class that is built from main's `cfg` and resumes exactly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.optim import Optimizer

from pal_plugin.errors import CheckpointError, ConfigError
from pal_plugin.host import random_state
from pal_plugin.host.base import HostBase, HostMomentum
from pal_plugin.host.config import with_defaults
from pal_plugin.host.online_knn import OnlineKNN
from pal_plugin.host.release import ReleaseNames, Whitening2d, release_arguments
from pal_plugin.host.solo import INFO, SOLO_METHODS, SoloMomentum, initialize_momentum_params, methods

STEMS = ("auto", "cifar", "imagenet", "no_maxpool")
# State that a method makes in `on_train_start` or later, which a plain state dict neither holds nor accepts; what of it
# is a tensor belongs to a rank: its own samples, or its own share of a queue.
LATE_STATE: dict[str, tuple[str, ...]] = {
    "swav": ("queue",),
    "deepclusterv2": ("local_memory_index", "local_memory_embeddings", "assignments"),
    "dino": ("dino_loss_func.epoch",),
}
NOT_METHODS = ("base", "linear")
# The others compare two views of full size and fail on more, as `feats1, feats2 = …` does.
TAKE_SMALL_CROPS = ("simclr",) if INFO.kind == "release" else ("byol", "dino", "simclr", "supcon", "swav")
TAKE_ANY_LARGE_CROPS = ("mae", "wmse")


def without_late_state(host_name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a method's state dict without what it makes when training starts, which a new one does not accept.

    Args:
        host_name: the method's name in solo-learn.
        state: weights and buffers by name.
    """
    return {name: value for name, value in state.items() if name not in LATE_STATE.get(host_name, ())}


class Adapted(nn.Module):
    """First in the order of every method: construction from `cfg`, and the state that solo-learn forgets.

    Attributes:
        host_name: the method's name in solo-learn.
        solo_class: its class there.

    Raises:
        ConfigError: views, a stem, or arguments of backbone or method that there are not.
    """

    host_name: ClassVar[str]
    solo_class: ClassVar[type]
    trainer: Any
    device: torch.device
    global_rank: int
    current_epoch: int

    def __init__(self, cfg: DictConfig) -> None:
        _check_views(self.host_name, cfg)
        cfg = with_defaults(cfg)  # a script of main's own has parsed it without our keys
        try:
            self._build(cfg)
        except (TypeError, ValueError, RuntimeError) as error:  # the last is PyTorch's, of sizes
            raise ConfigError(
                f"{self.host_name} with {cfg.backbone.name} cannot be built from this config: {error}",
                "Correct backbone.kwargs or method_kwargs",
            ) from error
        self.cfg = cfg
        # read by DDP, which would write rank 0's over every rank's before each forward pass
        self._ddp_params_and_buffers_to_ignore = list(LATE_STATE.get(self.host_name, ()))
        self._resumed: dict[str, Any] | None = None
        self.knn_eval: bool = cfg.knn_eval.enabled
        if self.knn_eval:
            self.knn = OnlineKNN(cfg.knn_eval.k, cfg.knn_eval.distance_func)
        self._set_stem()

    def _build(self, cfg: DictConfig) -> None:
        """Call the constructor of this solo-learn."""
        if INFO.kind == "release":
            super().__init__(**release_arguments(self.solo_class, self.host_name, cfg))
        else:  # both hosts' own k-NN metric breaks on torchmetrics 1; main looks up a method's own backbone by name
            name = cfg.method if self.host_name in NOT_METHODS else self.host_name
            super().__init__(OmegaConf.merge(cfg, {"knn_eval": {"enabled": False}, "method": name}))

    def _set_stem(self) -> None:
        """Give the ResNet the stem that the config names: solo-learn decides by the data set's name alone."""
        stem = self.cfg.backbone.stem
        if stem not in STEMS:
            raise ConfigError(f"There is no stem {stem!r}", f"Set backbone.stem to one of {', '.join(STEMS)}")
        if stem == "auto":
            stem = "cifar" if self.cfg.data.dataset in ("cifar10", "cifar100") else "imagenet"
        if not self.cfg.backbone.name.startswith("resnet"):
            return
        backbones = [self.backbone] + ([self.momentum_backbone] if isinstance(self, SoloMomentum) else [])
        for backbone in backbones:
            if not self._has_pretrained_stem(backbone, stem):
                # padding 2 gives a 34×34 first map; it is what solo-learn's published numbers were made with
                cifar = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=2, bias=False)
                wide = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
                backbone.conv1 = cifar if stem == "cifar" else wide
                nn.init.kaiming_normal_(backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
            backbone.maxpool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        if len(backbones) == 2:
            initialize_momentum_params(*backbones)

    def _has_pretrained_stem(self, backbone: nn.Module, stem: str) -> bool:
        """Return whether the first convolution is one of ImageNet's weights: solo-learn may have put CIFAR's there."""
        kwargs: Any = self.cfg.backbone.kwargs
        conv1: Any = backbone.conv1
        return stem != "cifar" and bool(kwargs.get("weights") or kwargs.get("pretrained")) and conv1.kernel_size[0] == 7

    def on_train_start(self) -> None:
        """Let the method set itself up, then put back what the checkpoint remembers.

        Raises:
            CheckpointError: it remembers what each of another number of processes kept.
        """
        super().on_train_start()  # type: ignore[misc]
        if self._resumed is None:
            return
        for path, value in self._resumed["late"].items():
            owner, _, name = path.rpartition(".")
            target = attrgetter(owner)(self) if owner else self
            own = self._of_this_rank(value) if isinstance(value, list) else value
            setattr(target, name, own.to(self.device) if isinstance(own, Tensor) else own)
        random_state.restore(self._resumed["random"])
        self._resumed = None

    def _of_this_rank(self, values: list[Tensor]) -> Tensor:
        world: int = self.trainer.world_size
        if len(values) != world:
            raise CheckpointError(
                f"The checkpoint remembers what each of {len(values)} processes kept for {self.host_name}, and this "
                f"run has {world}",
                "Resume it with the devices and num_nodes that it had",
            )
        return values[self.global_rank]

    def on_train_epoch_start(self) -> None:
        """Let the method begin its epoch, and the online k-NN forget the one before."""
        super().on_train_epoch_start()  # type: ignore[misc]
        if self.knn_eval:
            self.knn.forget()
        set_epoch = getattr(self.trainer.train_dataloader, "set_epoch", None)  # see `register.GraphPairLoader`
        if set_epoch is not None:
            set_epoch(self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the late state, tensors as a list by rank, and the random state to the checkpoint; on all ranks."""
        late = {}
        for path in LATE_STATE.get(self.host_name, ()):
            try:
                value = attrgetter(path)(self)
            except AttributeError:  # training has not begun
                continue
            late[path] = self._by_rank(value) if isinstance(value, Tensor) else value
        checkpoint["state_dict"] = without_late_state(self.host_name, checkpoint["state_dict"])
        checkpoint["pal_state"] = {"late": late, "random": random_state.capture()}

    def _by_rank(self, value: Tensor) -> list[Tensor]:
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return [value]
        own = value.to(self.device).contiguous()
        gathered = [torch.empty_like(own) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(gathered, own)
        return gathered

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state that can only be put back when training starts."""
        checkpoint["state_dict"] = without_late_state(self.host_name, checkpoint["state_dict"])
        self._resumed = checkpoint.get("pal_state")


class _DINORepairs(nn.Module):
    """The release's DINO calls its own method `clip_gradients`, which is also a hook of Lightning."""

    def clip_gradients(self, *arguments: Any, **keywords: Any) -> None:
        """Clip as whoever calls expects: Lightning passes its optimiser first, DINO a threshold alone."""
        lightning = (bool(arguments) and isinstance(arguments[0], Optimizer)) or "optimizer" in keywords
        owner: Any = super() if not lightning else super(self.solo_class, self)
        owner.clip_gradients(*arguments, **keywords)


def _check_views(method: str, cfg: DictConfig) -> None:
    large, small = cfg.data.num_large_crops, cfg.data.num_small_crops
    if method in NOT_METHODS:
        return
    if small and method not in TAKE_SMALL_CROPS:
        raise ConfigError(
            f"{method} of this solo-learn ({INFO.kind}) takes no small crops, and the augmentations make {small}",
            f"Give all augmentations one crop_size, or choose one of {', '.join(TAKE_SMALL_CROPS)}",
        )
    if large != 2 and method not in TAKE_ANY_LARGE_CROPS:
        raise ConfigError(
            f"{method} compares two views, and the augmentations make {large} of full size",
            "Let num_crops of the augmentations with the largest crop_size add up to 2",
        )


def adapt(name: str, solo_class: type) -> type:
    """Return the class of solo-learn's method `name` as the plugin presents it."""
    momentum = issubclass(solo_class, SoloMomentum)
    bases: list[type] = [Adapted, solo_class, HostMomentum if momentum else HostBase]
    if INFO.kind == "release":
        bases.insert(1, ReleaseNames)
        if name == "dino":
            bases.insert(1, _DINORepairs)
    attributes = {"host_name": name, "solo_class": solo_class, "__module__": __name__, "__doc__": solo_class.__doc__}
    return type(solo_class.__name__, tuple(bases), attributes)


def adapt_all(names: Sequence[str]) -> dict[str, type]:
    """Return `adapt` of each method of the installed solo-learn."""
    if INFO.kind == "release":
        methods.wmse.Whitening2d = Whitening2d
    return {name: adapt(name, SOLO_METHODS[name]) for name in names}


METHODS: dict[str, type] = adapt_all([name for name in SOLO_METHODS if name not in NOT_METHODS])
