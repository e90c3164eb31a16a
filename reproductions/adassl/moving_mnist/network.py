"""A 3-D convolutional encoder, its slow copy, and what predicts one clip's embedding from another's.

Sizes and wiring are the replication's reading of the paper (Tonelli, github
leonardotonelli/gaussian-residual-prediction): one direction, from x to y, and a posterior that sees what the network
that learns makes of x and u.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pal_plugin.errors import LossError
from pal_plugin.host.view_losses import byol_loss
from pal_plugin.losses.adassl import AdaSSL, LatentDraw, mlp, sample_targets
from reproductions.adassl.moving_mnist.cells import VARIANTS, Sizes
from reproductions.adassl.moving_mnist.generator import CANVAS, PART

REG_FACTOR = 2  # the host's BYOL loss is 2 − 2·cos and the paper's −cos, so its L_reg counts twice
# kernel and stride of each convolution; frames are never strided
LAYERS = (
    ((1, 3, 3), 2),
    ((1, 3, 3), 2),
    ((3, 1, 1), 1),
    ((3, 1, 1), 1),
    ((1, 3, 3), 2),
)


class Embedded(NamedTuple):
    """What an encoder makes of clips.

    Attributes:
        backbone: (B, 3·W), the last width W of every frame.
        projector: (B, D).
    """

    backbone: Tensor
    projector: Tensor


class Encoder(nn.Module):
    """Five convolutions, the mean over the canvas, and a projector with BatchNorm on its output too.

    Args:
        sizes: widths of the convolutions and the projector.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for width, (kernel, stride) in zip(sizes.widths, LAYERS, strict=True):
            frames, height, wide = kernel
            padding = frames // 2, height // 2, wide // 2
            layers += [
                nn.Conv3d(channels, width, kernel, (1, stride, stride), padding, bias=False),
                nn.BatchNorm3d(width),
                nn.ReLU(inplace=True),
            ]
            channels = width
        self.backbone = nn.Sequential(*layers)
        dims = (PART * channels, sizes.hidden, sizes.hidden, sizes.dim)
        self.projector = mlp(dims, output_bias=False, output_norm=True)

    def embed(self, clips: Tensor) -> Embedded:
        """Return what backbone and projector make of clips (B, 1, 3, 64, 64).

        Raises:
            LossError: another shape or type; it says which part.
        """
        clips = checked(clips).contiguous(memory_format=torch.channels_last_3d)  # what CPUs convolve faster
        features = self.backbone(clips).mean(dim=(3, 4)).flatten(1)
        return Embedded(features, self.projector(features))

    def forward(self, clips: Tensor) -> Tensor:
        """Return the embeddings (B, D) of clips; see `embed`."""
        return self.embed(clips).projector


class WorldModel(nn.Module):
    """Predicts the teacher's embedding of y from x, with a latent r of what x cannot tell.

    The predictor of AdaSSL-V reads [embedding; r], and so is AdaSSL's own editor mlp; nothing follows it. AdaSSL-S
    edits the embedding, and a predictor like BYOL's reads that. BYOL's reads the embedding.

    Args:
        method: a key of `VARIANTS`.
        sizes: of the networks.
    """

    def __init__(self, method: str, sizes: Sizes) -> None:
        super().__init__()
        hidden = (sizes.hidden,) * 2
        self.encoder = Encoder(sizes)
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)
        self.adassl = AdaSSL(
            sizes.dim,
            VARIANTS[method],
            sizes.latent_dim,
            latent_hidden_dims=hidden[:1],
            editor_hidden_dims=hidden,
        )
        self.predictor = nn.Identity() if method == "v" else mlp((sizes.dim, *hidden, sizes.dim))
        self.beta, self.momentum = sizes.beta, sizes.momentum

    @property
    def has_posterior(self) -> bool:
        """Whether r is drawn from what is seen of the future."""
        return self.adassl.variant != "vanilla"

    def forward(
        self, x: Tensor, y: Tensor, u: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LatentDraw]:
        """Return the loss of a batch, a scalar, and its draw of r.

        The loss is 2 − 2·cos of prediction and target, the host's, plus 2·β·L_reg.

        Args:
            x: (B, 1, 3, 64, 64), what is predicted from.
            y: the same, what is predicted.
            u: the same, what the posterior sees beside x; without one it is not read.
            generator: of the clips' device; PyTorch's own where there is none.

        Raises:
            LossError: clips of another shape.
        """
        context = self.encoder(x)
        with torch.no_grad():
            target = self.teacher(y)
        predicted, drawn = self.predict(context, self.encoder(u) if self.has_posterior else context, generator)
        loss = byol_loss(predicted.float(), target.float()) + REG_FACTOR * self.beta * drawn.penalty.sum(1).mean()
        return loss, drawn

    def predict(
        self, context: Tensor, seen: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, LatentDraw]:
        """Return predictions (B, D) from embeddings (B, D) of x and of u, and the draw of r that they were made by."""
        edited, drawn = self.adassl.edit(context, seen, generator=generator)
        return self.predictor(edited), drawn

    def sample(self, context: Tensor, draws: int, generator: torch.Generator) -> Tensor:
        """Return predictions (draws, B, D) from embeddings (B, D) of x alone, r from the prior; in evaluation mode.

        BYOL has no r: its predictions are as many copies of one.

        Raises:
            LossError: AdaSSL-S, which has no prior.
        """
        return self.predict_edited(sample_targets(self.adassl, context, draws, generator=generator))

    def predict_edited(self, edited: Tensor) -> Tensor:
        """Return predictions (n, B, D) from edited embeddings (n, B, D)."""
        predicted: Tensor = self.predictor(edited.flatten(0, 1)).view(edited.shape)
        return predicted

    @torch.no_grad()
    def update_teacher(self) -> None:
        """Move the teacher's parameters towards the encoder's; BatchNorm's statistics are its own."""
        for theirs, ours in zip(self.teacher.parameters(), self.encoder.parameters(), strict=True):
            theirs.lerp_(ours, 1 - self.momentum)


def make_model(method: str, sizes: Sizes, seed: int) -> WorldModel:
    """Return a model as it is before training; methods of one seed have the same encoder."""
    torch.manual_seed(seed)
    return WorldModel(method, sizes).to(memory_format=torch.channels_last_3d)


def checked(clips: Tensor) -> Tensor:
    """Return clips (B, 1, 3, 64, 64) as they are.

    Raises:
        LossError: another rank, number of channels or frames, height or width, or no floating-point numbers.
    """
    wanted = {"channels": 1, "frames": PART, "height": CANVAS, "width": CANVAS}
    mend = f"Pass floating-point clips (B, {', '.join(str(size) for size in wanted.values())})"
    if clips.ndim != 5 or not clips.is_floating_point():
        raise LossError(f"Clips of rank {clips.ndim}, shape {tuple(clips.shape)} and type {clips.dtype}", mend)
    found = dict(zip(wanted, clips.shape[1:], strict=True))
    wrong = [f"{name} {size} in place of {wanted[name]}" for name, size in found.items() if size != wanted[name]]
    if wrong:
        raise LossError(f"Clips of shape {tuple(clips.shape)}: {', '.join(wrong)}", mend)
    return clips
