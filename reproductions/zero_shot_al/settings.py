"""How much is labelled and how a network is trained on it, in each profile."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError
from pal_plugin.evaluation.supervised import PROTOCOLS, Protocol
from pal_plugin.evaluation.supervised.batches import steps_of_epoch
from reproductions.gps_ssl.settings import dataset


@dataclass(frozen=True)
class Sizes:
    """The sizes of a profile.

    Attributes:
        budgets: how many images are labelled, ascending.
        trainer: how a network is trained on them.
        steps: about how many steps, in whole epochs, whatever the budget; None: the trainer's epochs.
    """

    budgets: tuple[int, ...]
    trainer: Protocol
    steps: int | None = None

    def protocol(self, images: int) -> Protocol:
        """Return how a network is trained on so many images."""
        if self.steps is None:
            return self.trainer
        epochs = max(1, round(self.steps / steps_of_epoch(images, self.trainer.batch_size)))
        return dataclasses.replace(self.trainer, epochs=epochs)


# A small network, and as many steps for every budget. None of it was chosen by looking at accuracies.
_SHORT = Protocol("wrn-16-1", batch_size=64, schedule="cosine", dropout=0.0)
SIZES = {
    "debug": Sizes((20, 60), Protocol("wrn-10-1", batch_size=20, dropout=0.0, hole=4, padding=1), steps=20),
    "smoke": Sizes((250, 1000), _SHORT, steps=250),
    "cpu": Sizes((100, 300, 1000, 3000), _SHORT, steps=600),
    "paper": Sizes((1000, 5000, 10_000, 20_000, 30_000), PROTOCOLS["cutout"]),
}


def images(profile: str) -> tuple[ImageDataset, ImageDataset]:
    """Return the pool, which is the profile's training images, and the test images."""
    return dataset(profile, "train"), dataset(profile, "test")


def sizes_of(profile: str) -> Sizes:
    """Return how much is labelled and trained in a profile.

    Raises:
        ConfigError: there is no such profile.
    """
    if profile not in SIZES:
        raise ConfigError(f"There is no profile {profile!r} of this paper", f"Pass --profile {' | '.join(SIZES)}")
    return SIZES[profile]
