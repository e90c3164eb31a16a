"""What the hosts assert in the middle of a run, asked before anything is fetched."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from pal_plugin.devices import device_count
from pal_plugin.errors import ConfigError

QUEUED = ("all4one", "mocov2plus", "nnbyol", "nnclr", "nnsiam", "ressl")  # whole batches of all devices enter a queue
OF_ONE_SIZE = ("vit_", "swin_")  # backbones whose position embeddings, or windows, are made for one size of images
# what either host takes where a config is silent
QUEUE_SIZE, WHITENING_SIZE, IMAGE_SIZE = 65536, 256, 224


def check_limits(method: Any, cfg: DictConfig) -> None:
    """Refuse batches and images that the host's method, or its backbone, would stop at.

    Args:
        method: the class that `cfg.method` names.
        cfg: a composed config.

    Raises:
        ConfigError: which value does not fit which other.
    """
    name = getattr(method, "host_name", "")
    if name in QUEUED:
        _check_queue(cfg)
    if name == "wmse":
        _check_whitening(cfg)
    if cfg.backbone.name.startswith(OF_ONE_SIZE) and not cfg.backbone.kwargs.get("dynamic_img_size"):
        _check_image_size(cfg)


def _check_queue(cfg: DictConfig) -> None:
    size = cfg.method_kwargs.get("queue_size", QUEUE_SIZE)
    batch = cfg.optimizer.batch_size * device_count(cfg) * cfg.num_nodes
    if not isinstance(size, int) or size < 1 or size % batch:
        raise ConfigError(
            f"method_kwargs.queue_size is {size!r}, and {cfg.method} fills its queue with whole batches of {batch} "
            "(batch_size × devices × num_nodes)",
            f"Set it to a multiple of {batch}, or choose another optimizer.batch_size",
        )


def _check_whitening(cfg: DictConfig) -> None:
    size, batch = cfg.method_kwargs.get("whitening_size", WHITENING_SIZE), cfg.optimizer.batch_size
    if not isinstance(size, int) or size < 1 or batch % size:
        raise ConfigError(
            f"method_kwargs.whitening_size is {size!r}, and {cfg.method} whitens a batch of {batch} in parts of that "
            "size",
            f"Set it to a divisor of {batch}, or choose another optimizer.batch_size",
        )


def _check_image_size(cfg: DictConfig) -> None:
    made_for = cfg.backbone.kwargs.get("img_size", IMAGE_SIZE)
    sizes = sorted({cfg.data.crop_size, *(pipeline.crop_size for pipeline in cfg.augmentations)})
    if sizes != [made_for]:
        raise ConfigError(
            f"{cfg.backbone.name} is made for images of size {made_for}, and it is to see some of size "
            f"{' and '.join(map(str, sizes))}",
            f"Set ++backbone.kwargs.img_size={cfg.data.crop_size} and one crop_size, or choose a resnet",
        )
