"""What AdaSSL's latent r does, in images: r is moved along its dimensions, or drawn, and the nearest image retrieved.

Images are shown as in validation, and embedded as the method's loss does: contexts by the network that learns, what
they are compared with by the teacher where there is one. The nearest is the one of the largest cosine, also where the
host's loss, as VICReg's, is another. An image is never retrieved for itself, as in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError
from pal_plugin.evaluation.features import at_rest, encode, find_device
from pal_plugin.losses.adassl import GaussianLatent, kl_divergence, retrieve, sample_targets, traverse
from pal_plugin.losses.adassl.monitor import LEAST_KL

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Walk:
    """One anchor's images.

    Attributes:
        anchor: its number in the data set.
        partner: that of the image it is paired with.
        place_posterior: among how many images the partner is the best fit, 1 for the best, with the posterior's mean r.
        place_prior: the same with the prior's mean r, which knows the anchor alone.
        along: (dimensions, steps) numbers of the images retrieved, r moved.
        drawn: (samples,) those for draws of r from the prior.
    """

    anchor: int
    partner: int
    place_posterior: int
    place_prior: int
    along: Rows
    drawn: Rows


@dataclass(frozen=True)
class Traversal:
    """Walks along r.

    Attributes:
        kl: (d_r,) nats of every dimension, means over the pairs.
        pairs: how many pairs these are of.
        dimensions: those that were walked along, the most active first.
        deviations: (steps,) by which r was moved, in the prior's standard deviations.
        walks: an anchor each.
    """

    kl: NDArray[np.float64]
    pairs: int
    dimensions: tuple[int, ...]
    deviations: tuple[float, ...]
    walks: tuple[Walk, ...]

    @property
    def active(self) -> int:
        """How many dimensions have a KL of 0.01 nats or more."""
        return int((self.kl >= LEAST_KL).sum())

    @property
    def moves(self) -> float:
        """The mean number of images along a dimension: 1 where moving r changes nothing."""
        return float(np.mean([len(set(row.tolist())) for walk in self.walks for row in walk.along]))

    def finding(self) -> str:
        """Return in a sentence what this says about r."""
        seen = (
            f"{self.active} of {len(self.kl)} dimensions of r have {LEAST_KL} nats or more ({self.kl.sum():.2f} in all)"
        )
        if not self.active:
            return f"r has collapsed onto the prior: {seen}; what is told of the target is told by the anchor alone"
        if self.moves == 1:
            return f"{seen}, and moving r changes no image: the editor does not use it, or the images are too few"
        return f"{seen}; a walk along one shows {self.moves:.1f} different images of {len(self.deviations)}"


@torch.no_grad()
def walk_latent(
    method: Any,
    dataset: ImageDataset,
    anchors: Sequence[int],
    partners: Sequence[int],
    *,
    shown: int,
    dimensions: int = 6,
    deviations: Sequence[float] = (-3, -2, -1, 0, 1, 2, 3),
    samples: int = 0,
    seed: int = 0,
    crop_size: int | None = None,
    device: str = "cpu",
    num_workers: int = 0,
) -> Traversal:
    """Walk along the most active dimensions of r, and retrieve the image that every edited embedding is closest to.

    Args:
        method: a trained `adassl_*` of variant v (`pal_plugin.methods.trained.load_method`).
        dataset: where images are retrieved from, N of them.
        anchors: numbers of images; the KL of every dimension is the mean over all these pairs.
        partners: the other image of each pair.
        shown: how many of the anchors, the first ones, are walked from.
        dimensions: how many dimensions, the largest KL first; all of them where there are fewer.
        deviations: how far r is moved from the prior's mean, in the prior's standard deviations.
        samples: draws of r from the prior, each retrieved by itself.
        seed: of these draws.
        crop_size: see `encode`.
        device: likewise.
        num_workers: likewise.

    Raises:
        ConfigError: another variant, or numbers that leave nothing to show.
        DataError, DeviceError, FeatureError: see `encode`.
    """
    check_latent(method)
    _check(len(dataset), shown, dimensions, len(deviations), samples)
    options: dict[str, Any] = {"crop_size": crop_size, "device": device, "num_workers": num_workers}
    options["precision"] = "float32"
    contexts, targets = method.embedding_networks()
    context = torch.from_numpy(encode(contexts, dataset, **options))
    bank = context if targets is contexts else torch.from_numpy(encode(targets, dataset, **options))
    place = find_device(device)
    with at_rest(method, place):
        bank, pairs = bank.to(place), (context[list(anchors)].to(place), bank[list(partners)].to(place))
        adassl = method.adassl
        prior, posterior = adassl.latent.prior(pairs[0]), adassl.latent.posterior(*pairs)
        kl = kl_divergence(posterior, prior).double().mean(0).cpu().numpy()
        most = np.argsort(-kl, kind="stable")[:dimensions].tolist()
        x = pairs[0][:shown]
        tops = [
            place_of(method, adassl.editor(x, of.mean[:shown]), bank, anchors, partners) for of in (posterior, prior)
        ]
        steps = torch.tensor(list(deviations), dtype=x.dtype, device=place)
        along = [nearest(method, traverse(adassl, x, dimension, steps), bank, anchors) for dimension in most]
        generator = torch.Generator(place).manual_seed(seed)
        drawn = sample_targets(adassl, x, samples, generator=generator) if samples else x.new_zeros(0, *x.shape)
        of_draws = nearest(method, drawn, bank, anchors)
    walks = [
        Walk(anchors[row], partners[row], tops[0][row], tops[1][row], np.stack([part[:, row] for part in along]), draws)
        for row, draws in enumerate(of_draws.T)
    ]
    return Traversal(kl, len(anchors), tuple(most), tuple(map(float, deviations)), tuple(walks))


def nearest(method: Any, edited: Tensor, bank: Tensor, anchors: Sequence[int]) -> Rows:
    """Return (S, B): the image that every edited embedding (S, B, D) is closest to, its anchor left out."""
    found = [retrieve(method.predicted(step)[None], bank, 2).rows.cpu().numpy() for step in edited]
    own = np.asarray(anchors)[: edited.shape[1]]
    picked = [np.where(rows[:, 0] == own, rows[:, 1], rows[:, 0]) for rows in found]
    return np.stack(picked) if picked else np.zeros((0, len(own)), np.int64)


def place_of(method: Any, edited: Tensor, bank: Tensor, anchors: Sequence[int], partners: Sequence[int]) -> list[int]:
    """Return each partner's place among the images by how close they are to edited embeddings (B, D), 1 for the best.

    The anchor is left out, and an equal score does not push the partner back.
    """
    scores = retrieve(method.predicted(edited)[None], bank, len(bank))
    places = []
    for row, (rows, score) in enumerate(zip(scores.rows.cpu(), scores.score.cpu(), strict=True)):
        own = score[rows == partners[row]]
        places.append(1 + int(((score > own) & (rows != anchors[row])).sum()))
    return places


def check_latent(method: Any) -> None:
    """Check that a method has an r that can be moved and drawn.

    Raises:
        ConfigError: it has none, or one without a prior.
    """
    adassl = getattr(method, "adassl", None)
    if adassl is None:
        raise ConfigError(f"{method.cfg.method} has no latent r to move", "Name a checkpoint of an adassl_*")
    if not isinstance(adassl.latent, GaussianLatent):
        raise ConfigError(
            f"Variant {adassl.variant} has no prior to move r along or to draw it from",
            "Name a checkpoint of an adassl_* that was trained with method_kwargs.variant=v",
        )


def _check(size: int, shown: int, dimensions: int, steps: int, samples: int) -> None:
    least = {"anchors": shown, "dimensions": dimensions, "steps": steps}
    for name, value in least.items():
        if value < 1:
            raise ConfigError(f"{value} {name} were asked for", "Choose 1 or more")
    if samples < 0:
        raise ConfigError(f"{samples} samples were asked for", "Choose 0 or more")
    if size < 2:
        raise ConfigError("There is one image, and nothing to retrieve beside it", "Choose a larger subset")
