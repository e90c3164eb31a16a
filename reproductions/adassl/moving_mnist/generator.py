"""Clips of one digit that moves and once changes its velocity, made where the network is, a batch at a time.

The law is the replication's reading of the paper (Tonelli, github leonardotonelli/gaussian-residual-prediction). On a
canvas of 64×64, pixel centres at whole numbers, y downwards: the digit's centre begins at c ~ U[8, 16]², and moves by
v ~ U[0, 3]² a frame in frames 1–3. After frame 3 one axis k changes, v′_k = v_k + ⅔·v_k·ε with ε ~ N(0, 1), and
frames 4–9 move by v′. There are no walls: a digit that leaves the canvas is cut, and nothing is drawn again; `cut`
says which frames are. A clip is a function of a seed, a purpose and its number.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from pal_plugin.data import load_dataset, uniforms

CANVAS, DIGIT = 64, 16
PART = 3  # frames of x, of y and of u
FRAMES = 3 * PART
FIRST, FASTEST = (8.0, 16.0), 3.0  # of the centre, and px a frame
CHANGE = 2 / 3  # standard deviation of the change, as a share of the velocity

PURPOSES = ("train", "fit", "choose", "test", "queries", "bank")
Numbers: TypeAlias = NDArray[np.integer]
_NUMBERS = 7  # uniform numbers a clip


class Digits(NamedTuple):
    """Digits to be moved.

    Attributes:
        images: (N, 16, 16) in [0, 1], float32, on the device that clips are made on.
        labels: (N,) int64.
    """

    images: Tensor
    labels: NDArray[np.int64]


class Scenes(NamedTuple):
    """What clips are made from.

    Attributes:
        identity: (B,) which of the digits.
        label: (B,) what it shows.
        centre: (B, 2) float64, x and y of the digit's centre in frame 1.
        velocity: (B, 2) float64, px a frame, until frame 3.
        after: (B, 2) float64, px a frame, from frame 3 on.
    """

    identity: NDArray[np.int64]
    label: NDArray[np.int64]
    centre: NDArray[np.float64]
    velocity: NDArray[np.float64]
    after: NDArray[np.float64]

    @property
    def acceleration(self) -> NDArray[np.float64]:
        """(B, 2), the change of velocity."""
        return self.after - self.velocity

    def take(self, rows: Any) -> Scenes:
        """Return some of the scenes."""
        return Scenes(*(part[rows] for part in self))


def load_digits(data: str, device: torch.device) -> dict[str, Digits]:
    """Return the digits for training, for choosing and for testing, resized to 16×16 by an antialiased bilinear filter.

    The first five sixths of the training split in an order that is always the same are trained on, 50,000 of MNIST;
    the rest is to choose by; the test split is for tests.

    Args:
        data: mnist or digits.
        device: of the images.
    """
    train, test = load_dataset(data, "train"), load_dataset(data, "test")
    order = np.random.default_rng(0).permutation(len(train))
    cut_at = len(order) * 5 // 6
    parts = {"train": train.take(np.sort(order[:cut_at])), "choose": train.take(np.sort(order[cut_at:])), "test": test}
    return {
        name: Digits(_resized(np.asarray(part.images)[..., 0]).to(device), part.labels) for name, part in parts.items()
    }


def draw(
    seed: int, purpose: str, numbers: Numbers, labels: NDArray[np.int64], setting: str, futures: int = 0
) -> Scenes:
    """Return the scenes of clips by their numbers.

    Args:
        seed: of the run.
        purpose: one of `PURPOSES`; each has clips of its own.
        numbers: (B,), not negative.
        labels: (N,) of the digits to draw from, with replacement.
        setting: A: either axis changes as often. B: the vertical one with probability .1 + .8·label/9.
        futures: 0 for the clips themselves; other values change what comes after frame 3, by the same law.
    """
    place = PURPOSES.index(purpose)
    source = uniforms(seed, place, numbers, 0, _NUMBERS)
    copies = np.full(len(numbers), futures)
    axis, change = uniforms(seed, place, numbers, 0, _NUMBERS, copies)[:, 5:].T
    identity = (source[:, 0] * len(labels)).astype(np.int64)
    label = labels[identity]
    vertical = axis < (0.5 if setting == "A" else 0.1 + 0.8 * label / 9)
    velocity = FASTEST * source[:, 3:5]
    changes = np.stack([~vertical, vertical], axis=1)
    noise = ndtri(np.maximum(change, 2.0**-54))[:, None]  # the least number that is drawn is 0
    return Scenes(
        identity,
        label,
        FIRST[0] + (FIRST[1] - FIRST[0]) * source[:, 1:3],
        velocity,
        velocity + changes * CHANGE * velocity * noise,
    )


def centres(scenes: Scenes) -> NDArray[np.float64]:
    """Return the digit's centre in each of the nine frames, (B, 9, 2): c + min(t, 2)·v + max(t − 2, 0)·v′, t from 0."""
    time = np.arange(FRAMES)[:, None]
    before, after = np.minimum(time, PART - 1), np.maximum(time - PART + 1, 0)
    return scenes.centre[:, None] + before * scenes.velocity[:, None] + after * scenes.after[:, None]


def cut(scenes: Scenes) -> NDArray[np.bool_]:
    """Return in which frames the digit's 16×16 pixels are not wholly on the canvas, (B, 9)."""
    first = centres(scenes) - (DIGIT - 1) / 2
    outside = (first < 0) | (first + DIGIT - 1 > CANVAS - 1)
    return np.asarray(outside.any(axis=2))


def render(images: Tensor, places: Tensor) -> Tensor:
    """Return frames of digits at places between pixels, by bilinear interpolation; what is off the canvas is cut.

    Bilinear weights are a product of one for the row and one for the column, max(0, 1 − distance) each: a frame is
    rows·digit·columnsᵀ, exactly.

    Args:
        images: (B, 16, 16).
        places: (B, T, 2), x and y of the digit's centre.

    Returns:
        (B, T, 64, 64).
    """
    canvas = torch.arange(CANVAS, device=images.device)
    offsets = torch.arange(DIGIT, device=images.device) - (DIGIT - 1) / 2
    distance = canvas[:, None] - (places[..., None, None] + offsets)  # (B, T, 2, 64, 16)
    columns, rows = (1 - distance.abs()).clamp(min=0).to(images.dtype).unbind(2)
    return rows @ images[:, None] @ columns.mT


def clips(digits: Digits, scenes: Scenes) -> tuple[Tensor, Tensor, Tensor]:
    """Return x, y and u, frames 1–3, 4–6 and 7–9 of every scene, (B, 1, 3, 64, 64) each."""
    device = digits.images.device
    images = digits.images[torch.from_numpy(scenes.identity).to(device)]
    # in single precision a place is off by 4·10⁻⁶ px at most, and GPUs are made for it
    places = torch.from_numpy(centres(scenes)).to(device, images.dtype)
    x, y, u = torch.split(render(images, places)[:, None], PART, dim=2)
    return x, y, u


def _resized(gray: NDArray[np.uint8]) -> Tensor:
    images = torch.from_numpy(gray)[:, None].float() / 255
    return F.interpolate(images, size=(DIGIT, DIGIT), mode="bilinear", antialias=True, align_corners=False)[:, 0]
