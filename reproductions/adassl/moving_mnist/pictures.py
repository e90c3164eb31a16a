"""Futures as pictures: the real clips that are nearest to what a model predicts, beside what came."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from reproductions.adassl.moving_mnist.banks import Clips, by_posterior, by_prior, embed
from reproductions.adassl.moving_mnist.generator import PART, Scenes, clips
from reproductions.adassl.moving_mnist.network import WorldModel

SOURCES, DRAWS = 6, 6
LEAST_SPEED = 1.0  # px a frame on both axes, of the sources shown: slower ones hardly change
FUTURES, OTHERS = 64, 2048  # clips that can be found: futures of every source shown, and clips of other sources
COLOURS = torch.tensor([[90, 90, 90]] * PART + [[247, 208, 96], [236, 126, 62], [206, 48, 92]])  # frames 1–6, RGB
MARGIN = 2
SHOWN = 48  # pixels of the canvas from its corner, where digits begin: few leave it by frame 6
TILE = SHOWN + MARGIN
Picture = npt.NDArray[np.uint8]


def futures(model: WorldModel, of: Clips) -> Picture:
    """Return a row of tiles for each of some test sources, (H, W, 3): what came, and what the model says comes.

    The first tile is the truth. The second is the real clip whose embedding by the teacher is nearest to the prediction
    with r from the posterior; of BYOL, to its one prediction. AdaSSL-V has another for each of some draws of the prior.
    A tile shows x in grey, and frames 4, 5 and 6 in yellow, orange and red.
    """
    fast = np.flatnonzero(of.scenes["queries"].velocity.min(axis=1) >= LEAST_SPEED)[:SOURCES]
    sources, candidates = of.scenes["queries"].take(fast), _candidates(of, fast)
    known = embed(model, of.digits("queries"), candidates).target
    bank = embed(model, of.digits("queries"), sources)
    predicted = [by_posterior(model, bank).predicted]
    if model.has_posterior and model.adassl.latent.has_prior:
        predicted += by_prior(model, bank.x, DRAWS).unbind()
    shown = [sources, *(candidates.take(nearest(rows, known)) for rows in predicted)]
    columns = [_tiles(of, sources, column) for column in shown]
    return _framed(torch.cat([column.flatten(0, 1) for column in columns], dim=1))


def nearest(predicted: Tensor, known: Tensor) -> npt.NDArray[np.int64]:
    """Return for each of (B, D) the row of (N, D) with the largest cosine, (B,)."""
    return (F.normalize(predicted) @ F.normalize(known).T).argmax(dim=1).numpy()


def _candidates(of: Clips, shown: npt.NDArray[np.int64]) -> Scenes:
    """Return clips that can be found: other futures of the sources shown, and clips of other sources."""
    parts = [of.draw("queries", shown, 1 + copy) for copy in range(FUTURES)] + [of.draw("bank", np.arange(OTHERS))]
    return Scenes(*(np.concatenate(rows) for rows in zip(*parts, strict=True)))


def _tiles(of: Clips, sources: Scenes, shown: Scenes) -> Tensor:
    """Return tiles (B, 50, 50, 3) of x of the sources and the three frames after it of others."""
    digits = of.digits("queries")
    x, y = clips(digits, sources)[0], clips(digits, shown)[1]
    frames = torch.cat([x, y], dim=2)[:, 0, :, :SHOWN, :SHOWN].cpu()  # (B, 6, 48, 48)
    ink = frames[..., None] * (255 - COLOURS)[:, None, None]  # what a frame takes from white
    tiles = 255 - ink.amax(dim=1)
    return F.pad(tiles, (0, 0, 0, MARGIN, 0, MARGIN), value=225.0)


def _framed(tiles: Tensor) -> Picture:
    return F.pad(tiles, (0, 0, MARGIN, 0, MARGIN, 0), value=225.0).round().to(torch.uint8).numpy()
