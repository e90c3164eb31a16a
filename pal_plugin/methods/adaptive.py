"""What AdaSSL adds to a host's method: a latent for every pair, and the host's loss of edited embeddings."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from pal_plugin.data import ImageDataset
from pal_plugin.data.draws import LATENT, uniforms
from pal_plugin.errors import ConfigError, LossError
from pal_plugin.host import BaseMomentumMethod, PairBatch
from pal_plugin.host.base import Outputs
from pal_plugin.host.projections import project, project_by_teacher
from pal_plugin.losses import AdaSSL, BetaSchedule
from pal_plugin.losses.adassl import Edited, loss_by_source
from pal_plugin.losses.adassl.monitor import evaluating
from pal_plugin.methods.adassl_settings import AdaSSLSettings, check_batches, read_settings

POSTERIOR = ("v", "s")  # variants that have one
MONITOR_EVERY = 10  # steps, as often as `pal train` has its loggers write; and at the first batch of every epoch


class AdaptiveLatent(nn.Module):
    """Mixed into a host's method, edits the embeddings of every pair before the host's loss compares them.

    A step's loss is the host's of the edited embeddings, plus `reg_factor`·β·L_reg, plus the online probe's.

    Attributes:
        adassl: the heads, for `sample_targets`, `retrieve` and `traverse` of `pal_plugin.losses.adassl`; the embeddings
            that they take are the projector's.
        contrastive: whether the loss is AdaSSL's contrastive one, which has λ and a clamp.
        reg_factor: how often the host's loss has the paper's in it.
    """

    wants_pair_batch: ClassVar[bool] = True
    needs_graph: ClassVar[bool] = True
    contrastive: ClassVar[bool] = False
    reg_factor: ClassVar[float] = 1.0
    solo_class: ClassVar[type]
    cfg: DictConfig
    device: torch.device
    global_rank: int
    global_step: int
    num_crops: int
    log_dict: Any
    step_without_heads: Any
    backbone_features: Any
    backbone: nn.Module
    projector: nn.Module

    def __init__(self, cfg: DictConfig) -> None:
        settings = self.settings_of(cfg)
        super().__init__(_host_config(cfg))
        self.settings = settings
        self.extra_views = self.needs_extra_views(cfg)
        self.wants_factors = settings.variant == "gt"
        self._factors: Tensor | None = None
        self.adassl = AdaSSL(
            cfg.method_kwargs.proj_output_dim,
            settings.variant,
            settings.latent_dim,
            latent_hidden_dims=settings.latent_hidden_dims,
            editor=settings.editor,
            editor_hidden_dims=settings.editor_hidden_dims,
        )
        self.beta = BetaSchedule(
            settings.reg_beta,
            settings.reg_beta_warmup_steps,
            kl_target=settings.reg_kl_target,
            free_bits=settings.reg_free_bits,
        )

    @classmethod
    def settings_of(cls, cfg: DictConfig) -> AdaSSLSettings:
        """Return the settings in `cfg.method_kwargs`.

        Raises:
            ConfigError: see `read_settings` and `check_batches`.
        """
        check_batches(cfg)
        return read_settings(cfg, contrastive=cls.contrastive)

    @classmethod
    def needs_extra_views(cls, cfg: DictConfig) -> bool:
        """Return whether `cfg` has a posterior, and it is to see other views than the loss; errors as `settings_of`."""
        settings = cls.settings_of(cfg)
        return settings.additional_view and settings.variant in POSTERIOR

    @property
    def learnable_params(self) -> list[dict[str, Any]]:
        """The host's, and those of the heads."""
        heads = {"name": "adassl", "params": list(self.adassl.parameters())}
        return [*super().learnable_params, *([heads] if heads["params"] else [])]  # type: ignore[misc]

    def use_factors(self, dataset: ImageDataset) -> None:
        """Take the true factors of the images that batches name by index; variant gt is given their differences.

        Raises:
            ConfigError: they are not known, or there are not `latent_dim` of them.
        """
        if dataset.factors is None:
            raise ConfigError(
                f"Variant gt is told what the images were made from, and {dataset.name} has no factors",
                "Set method_kwargs.variant=v, or give ImageDataset its factors",
            )
        factors = torch.from_numpy(dataset.factors)
        if factors.shape[1] != self.settings.latent_dim:
            raise ConfigError(
                f"{dataset.name} has {factors.shape[1]} factors, and method_kwargs.latent_dim is "
                f"{self.settings.latent_dim}",
                f"Set method_kwargs.latent_dim={factors.shape[1]} for variant gt",
            )
        self._factors = factors

    def embedding_networks(self) -> tuple[nn.Module, nn.Module]:
        """Return what makes of images (B, 3, S, S) contexts, and what they are compared with; it may be the same."""
        contexts = nn.Sequential(self.backbone, self.projector)
        return contexts, contexts

    def predicted(self, edited: Tensor) -> Tensor:
        """Return what the loss compares with the targets, of edited embeddings (B, D): themselves, where no head is."""
        return edited

    def base_training_step(self, X: Tensor, targets: Tensor) -> Outputs:
        """Forward one view, past the host's heads: BYOL's predictor is to see edited embeddings alone."""
        outs: Outputs = self.step_without_heads(X, targets)
        return outs

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """Take one training step.

        Args:
            batch: `[index (B, V), [view_1, …, view_V] each (B, 3, S, S), targets (B, V)]`, V = 2, view 1 of the anchor
                and view 2 of its partner; V = 4 with `extra_views`: both once more.
            batch_idx: position in the epoch.

        Raises:
            ConfigError: a batch without pairs or with other views, or variant gt without factors.
            LossError: a batch of one, or an L_reg that is not finite; it says at which step and in which dimension.
        """
        pairs, extra = self._pairs_of(batch)
        out: Outputs = super(self.solo_class, self).training_step(pairs, batch_idx)  # type: ignore[arg-type]
        x, y = project(self, out)
        targets = self.targets(out, x, y)
        edited = self._edit((x, y), self._seen(pairs, extra, targets), targets, batch_idx)
        loss = self.ssl_loss(edited.edited_x, edited.edited_y, *targets)
        self.after_loss(*targets)
        penalty = self.reg_factor * self.beta(edited.per_dimension, self.global_step)
        figures = {"ssl_loss": loss, "penalty": edited.penalty, "beta": self.beta.at(self.global_step)}
        self._log(figures)
        total: Tensor = loss + penalty + out["loss"]
        return total

    def targets(self, out: Outputs, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return what edited embeddings are compared with, and what the posterior sees where there is no extra view.

        Args:
            out: what the host's step made of the views.
            x: (B, D), the projector's, of view 1.
            y: (B, D), of view 2.
        """
        return x, y

    @abstractmethod
    def ssl_loss(self, edited_x: Tensor, edited_y: Tensor, target_x: Tensor, target_y: Tensor) -> Tensor:
        """Return the host's loss of both directions; edited embeddings take the place of the context's, (B, D) all."""

    def after_loss(self, target_x: Tensor, target_y: Tensor) -> None:
        """Do what the host does with the targets, (B, D) both, once they were compared."""

    def figures(self, edited: Edited, targets: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Return what the host's loss has to show in the log."""
        return {}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of the networks' gradient; the online probes, of which they learn nothing, do not count."""
        if gradient_clip_val:  # 0 is Lightning's word for none
            groups = [group for group in optimizer.param_groups if "classifier" not in group.get("name", "")]
            clip_grad_norm_([parameter for group in groups for parameter in group["params"]], gradient_clip_val)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to write weights that are not finite over a checkpoint of some that are.

        Raises:
            LossError: which ones.
        """
        super().on_save_checkpoint(checkpoint)  # type: ignore[misc]
        state = checkpoint["state_dict"].items()
        bad = [name for name, value in state if value.is_floating_point() and not value.isfinite().all()]
        if bad:
            raise LossError(
                f"After step {self.global_step}, {len(bad)} of the networks' tensors are not finite, {bad[0]} first",
                "The last checkpoint is kept as it was; lower the learning rate, clip the gradient, or warm β up for "
                "longer",
            )

    def _pairs_of(self, batch: Sequence[Any]) -> tuple[PairBatch, list[Tensor]]:
        """Split a batch into the pairs and the extra views."""
        index, views, labels = batch
        expected = self.num_crops * (2 if self.extra_views else 1)
        if index.ndim != 2 or len(views) != expected or index.shape[1] != expected:
            raise ConfigError(
                f"{self.cfg.method} takes batches of pairs, [index (B, {expected}), {expected} views, labels "
                f"(B, {expected})], and was given an index of shape {tuple(index.shape)} and {len(views)} views",
                "Train it by `pal train`, or use pair_loader(…, pair_batch=True, extra_views=method.extra_views)",
            )
        if len(index) < 2:
            raise LossError("AdaSSL was given a batch of one pair", "Use batches of two or more")
        number = self.num_crops
        return PairBatch([index[:, :number], views[:number], labels[:, :number]]), list(views[number:])

    def _seen(self, pairs: PairBatch, extra: list[Tensor], targets: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return what the posterior sees of x and of y as targets."""
        if self.wants_factors:
            if self._factors is None:
                raise ConfigError("Variant gt has been told no factors", "Call use_factors first; `pal train` does")
            x, y = self._factors[pairs.view_indices.cpu()].to(self.device).unbind(1)
            return x - y, y - x
        if not self.extra_views:
            return targets
        x, y = (self.projector(self.backbone_features(view)) for view in extra)
        return x, y

    def _edit(
        self, embeddings: tuple[Tensor, Tensor], seen: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor], batch: int
    ) -> Edited:
        """Edit both embeddings, and log what becomes of r now and then."""
        try:
            edited: Edited = self.adassl(*embeddings, *seen, generator=self._generator(batch))
        except LossError as error:
            raise LossError(f"Step {self.global_step}: {error.what}", error.mend) from error
        if batch == 0 or (self.global_step + 1) % MONITOR_EVERY == 0:
            self._log({**edited.diagnostics, **self.figures(edited, targets)})
            if self.settings.variant in POSTERIOR:
                self._log_sources(embeddings, seen, targets)
        return edited

    @torch.no_grad()
    def _log_sources(
        self, embeddings: tuple[Tensor, Tensor], seen: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]
    ) -> None:
        with evaluating(self):  # the predictor of a host, too, is not to count these
            losses = loss_by_source(self.adassl, *embeddings, *seen, lambda x, y: self.ssl_loss(x, y, *targets))
        self._log({f"loss_{source}": loss for source, loss in losses.items()})

    def _log(self, figures: dict[str, Any]) -> None:
        self.log_dict({f"adassl_{name}": value for name, value in figures.items()}, on_epoch=True, sync_dist=True)

    def _generator(self, batch_idx: int) -> torch.Generator:
        """Return the source of r's noise: a function of seed, step, micro-batch and rank, as after a resume."""
        parts = self.cfg.accumulate_grad_batches
        place = np.array([self.global_rank * parts + batch_idx % parts])
        number = uniforms(self.cfg.seed, self.global_step, place, LATENT, 1)
        return torch.Generator(self.device).manual_seed(int(number.item() * 2**53))


class TaughtLatent(AdaptiveLatent):
    """`AdaptiveLatent` for hosts with an EMA teacher: targets are its embeddings, and so is what the posterior sees."""

    momentum_backbone: nn.Module
    momentum_projector: nn.Module

    def embedding_networks(self) -> tuple[nn.Module, nn.Module]:
        """See `AdaptiveLatent.embedding_networks`: targets are the teacher's."""
        contexts, _ = super().embedding_networks()
        return contexts, nn.Sequential(self.momentum_backbone, self.momentum_projector)

    def momentum_forward(self, X: Tensor) -> Outputs:
        """Forward one view through the teacher, past its head, which `targets` does."""
        outs: Outputs = BaseMomentumMethod.momentum_forward(self, X)  # type: ignore[arg-type]
        return outs

    def targets(self, out: Outputs, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See `AdaptiveLatent.targets`."""
        target_x, target_y = project_by_teacher(self, out)
        return target_x, target_y


def _host_config(cfg: DictConfig) -> DictConfig:
    """Return `cfg` without what is not the host's."""
    theirs = copy.deepcopy(cfg)
    OmegaConf.set_struct(theirs, False)
    for key in AdaSSLSettings._fields:
        theirs.method_kwargs.pop(key, None)
    return theirs
