"""A network trained from nothing on labelled images, and read on test images; it goes on after a kill."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR

from pal_plugin.callbacks import AtomicCheckpointIO, quieten
from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation.features import autocast, encode, find_device
from pal_plugin.evaluation.sgd import seeded
from pal_plugin.evaluation.supervised.batches import LabelledBatches, in_memory, normalise, steps_of_epoch
from pal_plugin.evaluation.supervised.wide_resnet import headless, make_classifier
from pal_plugin.io import read_run
from pal_plugin.precision import fast_bfloat16

LAST = "last.ckpt"
SCHEDULES = ("step", "cosine")
_STEPS, _STEP = (0.3, 0.6, 0.8), 0.2  # of the schedule `step`: at which shares of the epochs, and by what


@dataclass(frozen=True)
class Protocol:
    """How a network is trained; the defaults are CutOut's for CIFAR-10.

    Attributes:
        network: see `make_classifier`.
        epochs: passes through the labelled images.
        batch_size: images a step.
        learning_rate: of SGD with Nesterov momentum .9.
        weight_decay: L2 penalty.
        schedule: `step`, the rate times .2 after 30, 60 and 80 % of the epochs; or `cosine`, changed once an epoch.
        dropout: between the convolutions of a wide block.
        padding: see `LabelledBatches`.
        hole: likewise.
        nesterov: whether the momentum is Nesterov's.

    Raises:
        ConfigError: a value out of range, or no such schedule.
    """

    network: str = "wrn-28-10"
    epochs: int = 200
    batch_size: int = 128
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    schedule: str = "step"
    dropout: float = 0.3
    padding: int = 4
    hole: int = 16
    nesterov: bool = True

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ConfigError(f"There is no schedule {self.schedule!r}", f"Choose one of {', '.join(SCHEDULES)}")
        if self.epochs < 1 or self.batch_size < 2 or min(self.padding, self.hole, self.weight_decay) < 0:
            raise ConfigError(
                f"{self} cannot train",
                "Use at least one epoch, batches of at least two, and no negative padding, hole or weight decay",
            )
        if not (self.learning_rate > 0 and 0 <= self.dropout < 1):
            raise ConfigError(
                f"A learning rate of {self.learning_rate} and a dropout of {self.dropout} cannot train",
                "Use a learning rate above 0 and a dropout in [0, 1)",
            )


# by name; both are other papers' trainers, since that of arXiv 2401.01690 was not to be had
PROTOCOLS = {
    "cutout": Protocol(),
    # TypiClust (Hacohen et al., arXiv 2202.02794), for few labels
    "low_budget": Protocol(
        "resnet18", 200, 100, 0.025, 3e-4, schedule="cosine", dropout=0.0, hole=0
    ),
}  # fmt: skip


def train_on_labels(
    train: ImageDataset,
    test: ImageDataset,
    protocol: Protocol,
    *,
    seed: int,
    folder: Path,
    device: str = "auto",
) -> dict[str, Any]:
    """Train on all of `train`'s images and read `test` once, after the last epoch.

    Equal arguments give equal weights, also where a run was killed and goes on. The network never sees a test image
    before.

    Args:
        train: labelled images of one size, in memory: those that a selection names.
        test: labelled images of the same classes.
        protocol: how.
        seed: of initial weights, order and augmentation.
        folder: for the checkpoint, written after every epoch; a run that is there goes on.
        device: cpu, cuda, or auto: cuda where it is.

    Returns:
        `{"top1", "top5"}` in percent, `"classes"` (of each class by name, in percent), `"images"`, `"steps"` and
        `"train_s"`.

    Raises:
        ConfigError: no such network.
        CheckpointError: `folder` holds another run.
        DataError: images or labels that cannot be trained on or read.
        DeviceError: a device that is not there.
    """
    if test.num_classes != train.num_classes:
        raise DataError(
            f"{train.num_classes} classes to train on and {test.num_classes} to read", "Pass one data set's"
        )
    target = _device(device)
    module = _trained(train, protocol, seed, folder, target)
    steps = steps_of_epoch(len(train), protocol.batch_size) * protocol.epochs
    return {**_scores(module, test, target), "images": len(train), "steps": steps, "train_s": round(module.spent, 1)}


def features_by_labels(
    train: ImageDataset,
    pool: ImageDataset,
    protocol: Protocol,
    *,
    seed: int,
    folder: Path,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Train as `train_on_labels` does, or take up what it left in `folder`, and embed `pool` before the last layer.

    Returns:
        (N, D) of the images of `pool`: what Core-Set selects by.

    Raises:
        ConfigError, CheckpointError, DataError, DeviceError: see `train_on_labels`.
    """
    target = _device(device)
    module = _trained(train, protocol, seed, folder, target)
    return encode(headless(module.network), pool, device=str(target))


def _device(name: str) -> torch.device:
    return find_device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def _trained(train: ImageDataset, protocol: Protocol, seed: int, folder: Path, target: torch.device) -> Classifier:
    """Train a classifier, or finish the run that is in `folder`."""
    batches = LabelledBatches(train, protocol.batch_size, seed, padding=protocol.padding, hole=protocol.hole)
    labels = hashlib.sha256(train.labels.astype("<i8").tobytes()).hexdigest()  # a manifest does not know them
    identity = {**dataclasses.asdict(protocol), "seed": seed, "images": train.manifest.digest, "labels": labels}
    with seeded(seed, target):
        module = Classifier(protocol, train.num_classes, identity)
        _trainer(protocol, folder, target).fit(module, batches, ckpt_path=_found(folder, identity))
    return module


class Classifier(LightningModule):
    """A classifier in training, as Lightning drives it.

    Args:
        protocol: how.
        num_classes: how many scores.
        identity: what a checkpoint has to agree in to be gone on from.
    """

    def __init__(self, protocol: Protocol, num_classes: int, identity: dict[str, Any]) -> None:
        super().__init__()
        network = make_classifier(protocol.network, num_classes, dropout=protocol.dropout)
        self.network = network.to(memory_format=torch.channels_last)
        self.protocol, self.identity = protocol, identity
        self.spent, self._begun = 0.0, time.monotonic()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the cross-entropy of a batch, images (B, 3, S, S) and labels (B,)."""
        images, labels = batch
        return F.cross_entropy(self.network(images.contiguous(memory_format=torch.channels_last)).float(), labels)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return SGD and its schedule, changed once an epoch."""
        how = self.protocol
        optimizer = SGD(
            self.parameters(),
            how.learning_rate,
            momentum=0.9,
            weight_decay=how.weight_decay,
            nesterov=how.nesterov,
        )
        schedule: LRScheduler
        if how.schedule == "cosine":
            schedule = CosineAnnealingLR(optimizer, how.epochs)
        else:
            schedule = MultiStepLR(optimizer, [max(1, round(share * how.epochs)) for share in _STEPS], gamma=_STEP)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_epoch_start(self) -> None:
        """Make order, augmentation and dropout functions of seed and epoch, so that a resumed run draws the same."""
        batches: Any = self.trainer.train_dataloader
        batches.set_epoch(self.current_epoch)
        torch.manual_seed(1_000_003 * self.identity["seed"] + self.current_epoch)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the run is, and its seconds so far."""
        now = time.monotonic()
        self.spent, self._begun = self.spent + now - self._begun, now
        checkpoint.update(run=self.identity, spent=self.spent)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the count of seconds."""
        self.spent, self._begun = checkpoint["spent"], time.monotonic()


class _EveryEpoch(Callback):
    """Writes the checkpoint after every epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)


def _trainer(protocol: Protocol, folder: Path, device: torch.device) -> Trainer:
    quieten()
    return Trainer(
        accelerator=device.type,
        devices=1 if device.index is None else [device.index],
        precision="bf16-mixed" if fast_bfloat16(device.type) else "32-true",
        max_epochs=protocol.epochs,
        callbacks=[_EveryEpoch(folder / LAST)],
        plugins=[AtomicCheckpointIO()],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )


def _found(folder: Path, identity: dict[str, Any]) -> Path | None:
    """Return the checkpoint to go on from, if there is one.

    Raises:
        CheckpointError: it cannot be read, or is of another run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LAST
    return None if read_run(path, identity) is None else path


@torch.inference_mode()
def _scores(module: Classifier, test: ImageDataset, device: torch.device) -> dict[str, Any]:
    """Return accuracies on labelled test images, in percent, computed in the precision of training."""
    images, labels = in_memory(test), torch.from_numpy(test.labels)
    if (labels < 0).any():
        raise DataError(f"{int((labels < 0).sum())} test images have no label", "Pass labelled ones")
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (test.mean, test.std))
    network = module.network.to(device).eval()
    with autocast(device, "auto"):
        parts = [network(normalise(part, mean, std).to(device)).float().cpu() for part in torch.split(images, 512)]
    best = torch.cat(parts).topk(min(5, test.num_classes)).indices
    hits = best == labels[:, None]
    classes = {
        name: round(100 * hits[labels == number, 0].double().mean().item(), 2)
        for number, name in enumerate(test.class_names)
        if (labels == number).any()
    }
    shares = {"top1": hits[:, :1], "top5": hits}
    return {name: round(100 * hit.any(1).double().mean().item(), 2) for name, hit in shares.items()} | {
        "classes": classes
    }
