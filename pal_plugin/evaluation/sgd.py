"""Training on labels by SGD: a linear head on the frozen backbone, or the whole network.

The recipe is solo-learn's linear evaluation (`main_linear.py` and `scripts/linear` of its main branch): random resized
crops of 8 to 100 % of the area and flips, SGD with momentum .9 at `lr × batch_size / 256`, no weight decay, and a rate
that is divided by ten after 60 and 80 % of the epochs; for fine-tuning, the same with every weight trained.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR
from torch.utils.data import DataLoader

from pal_plugin.data import Policy, pair_loader
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation.features import at_rest, autocast, encode, find_device
from pal_plugin.progress import progress

if TYPE_CHECKING:
    from pal_plugin.data import ImageDataset

SCHEDULES = ("step", "cosine")
_DECAY_AT = (0.6, 0.8)
_MOMENTUM = 0.9


@dataclass(frozen=True)
class Recipe:
    """How long and by which schedule to train; the learning rate is given apart, since it is what is chosen.

    Attributes:
        epochs: passes through the images.
        batch_size: images a step; fewer if there are not as many.
        schedule: `"step"` or `"cosine"`, changed once an epoch.
        weight_decay: L2 penalty of every weight that is trained.
        crop_min_scale: least share of an image's area that a crop shows; 1 leaves only the flips.

    Raises:
        ConfigError: a value out of range, or no such schedule.
    """

    epochs: int = 100
    batch_size: int = 256
    schedule: str = "step"
    weight_decay: float = 0.0
    crop_min_scale: float = 0.08

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"There is no schedule {self.schedule!r}", f"Choose one of {', '.join(SCHEDULES)}")
        if self.epochs < 1 or self.batch_size < 1 or not self.weight_decay >= 0:
            raise ConfigError(
                f"epochs={self.epochs}, batch_size={self.batch_size}, weight_decay={self.weight_decay} cannot train",
                "Use at least one epoch, a batch of at least one image, and a weight decay of 0 or more",
            )
        if not 0 < self.crop_min_scale <= 1:
            raise ConfigError(
                f"crop_min_scale={self.crop_min_scale} is no share of an image", "Use a number above 0, at most 1"
            )


@dataclass(frozen=True)
class Place:
    """Where a network runs, and what it is shown.

    Attributes:
        device: a torch device's name.
        precision: as `encode`'s.
        crop_size: side in pixels of the images; None: their own.
        num_workers: processes that read images.
    """

    device: str = "cpu"
    precision: str = "auto"
    crop_size: int | None = None
    num_workers: int = 0


def fit_heads(
    backbone: nn.Module, dataset: ImageDataset, rates: Sequence[float], recipe: Recipe, seed: int, place: Place
) -> list[nn.Linear | None]:
    """Train a linear classifier on the frozen backbone for each learning rate.

    The heads do not know of each other: all begin alike and see the same crops, so each is what it would be alone, and
    the backbone runs once for all of them. BatchNorm stays at its running statistics.

    Args:
        backbone: maps (B, 3, S, S) to (B, D).
        dataset: labelled images.
        rates: learning rates for a batch of 256.
        recipe: everything else.
        seed: of the initial weights, the order and the crops.
        place: device and input.

    Returns:
        A head (D → classes) for each rate, on the CPU; None where training diverged.

    Raises:
        ConfigError: a learning rate that is not positive, images of several sizes without a crop size.
        DataError, DeviceError, FeatureError: see `encode`.
    """
    target = find_device(place.device)
    width = _width(backbone, dataset, place)
    with seeded(seed, target), at_rest(backbone, target):
        first = nn.Linear(width, dataset.num_classes).to(target)
        heads = [copy.deepcopy(first) for _ in rates]
        groups = [_group(head, rate, recipe, dataset) for head, rate in zip(heads, rates, strict=True)]

        def losses(view: Tensor, targets: Tensor) -> Tensor:
            with torch.no_grad(), autocast(target, place.precision):
                features = backbone(view).float()
            return torch.stack([F.cross_entropy(head(features), targets) for head in heads])

        _descend(groups, losses, dataset, recipe, seed, place, f"linear_sgd, seed {seed}")
    return [head.cpu() if _finite(head) else None for head in heads]


def fit_network(
    backbone: nn.Module, dataset: ImageDataset, rate: float, recipe: Recipe, seed: int, place: Place
) -> nn.Sequential | None:
    """Train a copy of the backbone and a linear classifier together.

    Args:
        backbone: left as it is.
        dataset: labelled images.
        rate: learning rate for a batch of 256, of every weight.
        recipe: everything else.
        seed: of the head's initial weights, the order, the crops and dropout.
        place: device and input.

    Returns:
        Backbone and head, on the CPU; None where training diverged.

    Raises:
        ConfigError, DataError, DeviceError, FeatureError: see `fit_heads`.
    """
    if len(dataset) < 2:
        raise DataError("One image is too few to train a network on", "Fit on more images")  # BatchNorm needs two
    target = find_device(place.device)
    width = _width(backbone, dataset, place)
    with seeded(seed, target):
        network = nn.Sequential(copy.deepcopy(backbone), nn.Linear(width, dataset.num_classes)).to(target).train()
        network.requires_grad_()

        def loss(view: Tensor, targets: Tensor) -> Tensor:
            with autocast(target, place.precision):
                scores = network(view)
            return F.cross_entropy(scores.float(), targets)

        groups = [_group(network, rate, recipe, dataset)]
        _descend(groups, loss, dataset, recipe, seed, place, f"finetune at {rate:g}, seed {seed}")
    return network.cpu().eval() if _finite(network) else None


def _descend(
    groups: list[dict[str, Any]],
    losses: Callable[[Tensor, Tensor], Tensor],
    dataset: ImageDataset,
    recipe: Recipe,
    seed: int,
    place: Place,
    what: str,
) -> None:
    """Follow the gradient of the summed losses through the recipe's epochs."""
    optimizer = torch.optim.SGD(groups, momentum=_MOMENTUM, weight_decay=recipe.weight_decay)
    schedule = _schedule(optimizer, recipe)
    loader = _loader(dataset, recipe, seed, place)
    target = find_device(place.device)
    for epoch in progress(range(recipe.epochs), f"{what} (epochs)"):
        loader.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]
        for _, (view,), targets in loader:
            optimizer.zero_grad()
            losses(view.to(target), targets.to(target)).sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        schedule.step()


def _loader(dataset: ImageDataset, recipe: Recipe, seed: int, place: Place) -> DataLoader[Any]:
    size = place.crop_size or _common_size(dataset)
    crop = {"enabled": recipe.crop_min_scale < 1, "crop_min_scale": recipe.crop_min_scale}
    policy = Policy.from_config({"crop_size": size, "rrc": crop, "horizontal_flip": {"prob": 0.5}})
    batch = min(recipe.batch_size, len(dataset))
    return pair_loader(dataset, [policy], batch_size=batch, seed=seed, num_workers=place.num_workers)


def _common_size(dataset: ImageDataset) -> int:
    shape: tuple[int, ...] = getattr(dataset.images, "shape", ())
    if len(shape) != 4 or shape[1] != shape[2]:
        raise ConfigError(
            f"The images of {dataset.name} are not squares of one size, and nothing says how large to show them",
            "Give a crop size, for example --crop-size 224",
        )
    return shape[1]


def _schedule(optimizer: torch.optim.Optimizer, recipe: Recipe) -> LRScheduler:
    if recipe.schedule == "cosine":
        return CosineAnnealingLR(optimizer, recipe.epochs)
    milestones = [max(1, round(share * recipe.epochs)) for share in _DECAY_AT]
    return MultiStepLR(optimizer, milestones, gamma=0.1)


def _group(module: nn.Module, rate: float, recipe: Recipe, dataset: ImageDataset) -> dict[str, Any]:
    if not rate > 0:
        raise ConfigError(f"The learning rate is {rate}", "Use a number above 0")
    return {"params": list(module.parameters()), "lr": rate * min(recipe.batch_size, len(dataset)) / 256}


def _width(backbone: nn.Module, dataset: ImageDataset, place: Place) -> int:
    one = encode(backbone, dataset.take([0]), device=place.device, precision="float32", crop_size=place.crop_size)
    return int(one.shape[1])


def _finite(module: nn.Module) -> bool:
    return all(bool(torch.isfinite(value).all()) for value in module.state_dict().values())


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from `seed` inside the block, and leave the global generators as they were."""
    index = device.index if device.index is not None else 0
    with torch.random.fork_rng(devices=[index] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
