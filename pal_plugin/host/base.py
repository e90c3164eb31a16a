"""What every method of either solo-learn does the same way: steps, probes, EMA, optimiser and schedule.

These classes are put between a host's method and the host's base class (`adapt.py` builds the order), so that
`super().training_step(…)` inside `solo`'s SimCLR arrives here. A host's loss and architecture stay its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from pal_plugin.errors import ConfigError
from pal_plugin.host.config import plain
from pal_plugin.host.optim import check_scheduler, make_optimizer, make_scheduler
from pal_plugin.host.solo import INFO, SoloBase, SoloMomentum
from pal_plugin.host.teacher import move_teacher

Outputs = dict[str, Any]


class PairBatch(list[Any]):
    """A pair batch as a host's method reads it: `[index (B,), views, targets (B,)]` of the anchors.

    Args:
        batch: `(index (B, V), views, targets (B, V))` as the graph-aware loader gives it.

    Attributes:
        view_indices: (B, V) which sample each view shows.
        view_targets: (B, V) label of the image behind each view, -1 where unknown; read by the online probe.
    """

    def __init__(self, batch: Sequence[Any]) -> None:
        index, views, targets = batch
        super().__init__([index[:, 0], views, targets[:, 0]])
        self.view_indices: Tensor = index
        self.view_targets: Tensor = targets


class HostBase(SoloBase):  # type: ignore[misc]
    """Base of every method: main's `BaseMethod(cfg)` as the plugin presents it on both solo-learns.

    Attributes:
        wants_pair_batch: whether the method takes the graph-aware loader's pair batches.
        wants_relations: whether it learns from a graph's relations: its views then all show the anchor.
        needs_graph: whether it is nothing without a graph, from which its pairs come.
        extra_views: whether its pair batches hold every view once more, augmented anew, after the others.
        wants_factors: whether it takes the images' true factors, by `use_factors`.
        anchor_probe_only: set when the views of a plain batch are of different images; the probe then sees view 1 only,
            whose label is known.
    """

    wants_pair_batch: ClassVar[bool] = False
    wants_relations: ClassVar[bool] = False
    needs_graph: ClassVar[bool] = False
    extra_views: bool = False
    wants_factors: bool = False
    anchor_probe_only: bool = False
    cfg: DictConfig
    # The release defines this hook and Lightning 2 refuses to run a module that has it.
    validation_epoch_end = None

    def base_training_step(self, X: Tensor, targets: Tensor) -> Outputs:
        """Forward one view in training; main's methods may override it."""
        return self._base_shared_step(X, targets)

    def base_validation_step(self, X: Tensor, targets: Tensor) -> Outputs:
        """Forward one batch in validation; main's methods may override it."""
        return self._base_shared_step(X, targets)

    def multicrop_forward(self, X: Tensor) -> Outputs:
        """Forward a small crop."""
        return {"feats": self.backbone_features(X)}

    def backbone_features(self, X: Tensor) -> Tensor:
        """Return what the backbone makes of one view, (B, D)."""
        features: Tensor = self.backbone(self._layout(X))
        return features

    def step_without_heads(self, X: Tensor, targets: Tensor) -> Outputs:
        """Forward one view in training through backbone and probe, and through nothing that the method adds."""
        feats = self.backbone_features(X)
        logits = self.classifier(feats.detach())
        return {"feats": feats, "logits": logits, **probe_statistics(logits, targets)}

    def _base_shared_step(self, X: Tensor, targets: Tensor) -> Outputs:
        X = self._layout(X)
        out: Outputs = self.base_forward(X) if INFO.kind == "release" else self(X)
        return {**out, **probe_statistics(out["logits"], targets)}

    def _layout(self, X: Tensor) -> Tensor:
        if self.cfg.performance.disable_channel_last:
            return X
        return X.contiguous(memory_format=torch.channels_last)

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Outputs:
        """Forward every view and train the online probe.

        Args:
            batch: `[index (B,), [views (B, C, H, W)], targets (B,)]`, or a `PairBatch`.
            batch_idx: position in the epoch.

        Returns:
            Lists per view (`feats` and what the method's forward adds), and the probe's mean `loss`, `acc1`, `acc5`.

        Raises:
            ConfigError: the batch has another number of views than the augmentations promise.
        """
        views = [batch[1]] if isinstance(batch[1], Tensor) else batch[1]
        if len(views) != self.num_crops:
            raise ConfigError(
                f"The batch has {len(views)} views, the augmentations make {self.num_crops}",
                "Let augmentations.*.num_crops add up to the loader's views",
            )
        targets = self._targets_of_views(batch)
        # A pass for each view, as in the hosts: BatchNorm's statistics are those of one view.
        steps = [
            self.base_training_step(view, target)
            for view, target in zip(views[: self.num_large_crops], targets, strict=True)
        ]
        outs: Outputs = {key: [step[key] for step in steps] for key in steps[0]}
        for small in (self.multicrop_forward(view) for view in views[self.num_large_crops :]):
            for key, value in small.items():
                outs.setdefault(key, []).append(value)
        probed = 1 if self.anchor_probe_only else self.num_large_crops
        for key in ("loss", "acc1", "acc5"):
            outs[key] = sum(outs[key]) / probed
        self._log_probe("train_", outs, class_loss="class_loss")
        if self.knn_eval and self.trainer.enable_validation:
            self.knn.add_train(torch.cat(outs["feats"][: self.num_large_crops]), torch.cat(targets))
        return outs

    def _targets_of_views(self, batch: Sequence[Any]) -> list[Tensor]:
        if isinstance(batch, PairBatch):
            return list(batch.view_targets[:, : self.num_large_crops].unbind(1))
        anchor = batch[2]
        rest = torch.full_like(anchor, -1) if self.anchor_probe_only else anchor
        return [anchor] + [rest] * (self.num_large_crops - 1)

    def _log_probe(self, prefix: str, outs: Outputs, class_loss: str) -> None:
        metrics = {f"{prefix}{class_loss}": outs["loss"], f"{prefix}acc1": outs["acc1"], f"{prefix}acc5": outs["acc5"]}
        self.log_dict(metrics, on_epoch=True, sync_dist=True)

    def validation_step(self, batch: Sequence[Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score the probe on a batch `[images, targets]` of the validation set."""
        X, targets = batch
        out = self.base_validation_step(X, targets)
        if self.knn_eval:
            self.knn.add_test(out["feats"], targets)
        self._log_validation("val_", out, targets)

    def _log_validation(self, prefix: str, out: Outputs, targets: Tensor) -> None:
        metrics = {f"{prefix}{key}": out[key] for key in ("loss", "acc1", "acc5")}
        # The statistics are means over labelled images. A float: Lightning cuts a mean of whole numbers over ranks.
        count: Any = float((targets >= 0).sum())
        self.log_dict(metrics, on_step=False, on_epoch=True, sync_dist=True, batch_size=count)

    def on_validation_epoch_end(self) -> None:
        """Log the online k-NN's accuracy, where it is switched on."""
        if self.knn_eval and not self.trainer.sanity_checking:
            accuracy = self.knn.compute()
            self.log_dict({"val_knn_acc1": accuracy["top1"], "val_knn_acc5": accuracy["top5"]}, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Build optimiser and schedule from the config (see `optim.py`).

        Raises:
            ConfigError: see `check_scheduler` and `make_optimizer`.
        """
        check_scheduler(self.cfg.scheduler)
        optimizer, constant = make_optimizer(
            self.cfg.optimizer.name,
            self.learnable_params,
            lr=self.lr,
            weight_decay=self.weight_decay,
            exclude_bias_n_norm_wd=self.cfg.optimizer.exclude_bias_n_norm_wd,
            **plain(self.cfg.optimizer.kwargs),
        )
        steps = self.trainer.estimated_stepping_batches
        scheduler = make_scheduler(
            self.cfg.scheduler.name,
            optimizer,
            decay_steps=self._decay_steps(),
            constant_groups=constant,
            warmup_steps=self.warmup_epochs * steps / self.max_epochs,
            total_steps=steps,
            warmup_start_lr=self.warmup_start_lr if self.warmup_epochs > 0 else self.lr,
            min_lr=self.min_lr,
        )
        if scheduler is None:
            return optimizer
        return [optimizer], [{"scheduler": scheduler, "interval": "step", "frequency": 1}]

    def _decay_steps(self) -> list[float]:
        """Return the first steps of the epochs in which the schedule `step` lowers the rate."""
        if self.cfg.scheduler.name != "step":
            return []
        if self.trainer.train_dataloader is None:  # a run that ends by steps alone has not asked for it
            self.trainer.fit_loop.setup_data()
        # not a share of all steps: max_steps may end the run within an epoch
        steps = math.ceil(self.trainer.num_training_batches / self.trainer.accumulate_grad_batches)
        return [epoch * steps for epoch in self.cfg.scheduler.lr_decay_steps]


class HostMomentum(SoloMomentum, HostBase):  # type: ignore[misc]
    """Base of the methods with an EMA teacher: main's `BaseMomentumMethod(cfg)` on both solo-learns."""

    validation_epoch_end = None

    def momentum_forward(self, X: Tensor) -> Outputs:
        """Forward one view through the teacher; main's methods add their projections."""
        with torch.no_grad():
            return {"feats": self.momentum_backbone(self._layout(X))}

    def _shared_step_momentum(self, X: Tensor, targets: Tensor) -> Outputs:
        out = self.momentum_forward(X)
        if self.momentum_classifier is not None:
            out.update(probe_statistics(self.momentum_classifier(out["feats"]), targets))
        return out

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Outputs:
        """Forward every view through both networks; see `HostBase.training_step`."""
        outs = HostBase.training_step(self, batch, batch_idx)
        targets = self._targets_of_views(batch)
        views = [batch[1]] if isinstance(batch[1], Tensor) else batch[1]
        steps = [
            self._shared_step_momentum(view, target)
            for view, target in zip(views[: self.num_large_crops], targets, strict=True)
        ]
        teacher: Outputs = {key: [step[key] for step in steps] for key in steps[0]}
        if self.momentum_classifier is not None:
            probed = 1 if self.anchor_probe_only else self.num_large_crops
            for key in ("loss", "acc1", "acc5"):
                teacher[key] = sum(teacher[key]) / probed
            self._log_probe("train_momentum_", teacher, class_loss="class_loss")
            outs["loss"] = outs["loss"] + teacher["loss"]
        return {**outs, **{f"momentum_{key}": value for key, value in teacher.items()}}

    def validation_step(self, batch: Sequence[Any], batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score both probes on a validation batch."""
        HostBase.validation_step(self, batch, batch_idx, dataloader_idx)
        if self.momentum_classifier is not None:
            out = self._shared_step_momentum(batch[0], batch[1])
            self._log_validation("momentum_val_", out, batch[1])

    def on_validation_epoch_end(self) -> None:
        """Log the online k-NN's accuracy; the release's hook of this name is passed over."""
        HostBase.on_validation_epoch_end(self)

    def on_train_start(self) -> None:
        """Set τ and the step counter from the trainer's step, so that a resumed run goes on where it stopped."""
        self.last_step = self.trainer.global_step
        self._update_tau()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Move the teacher towards the student after every optimiser step (not after every accumulated batch)."""
        if self.trainer.global_step > self.last_step:
            move_teacher(self.momentum_pairs, self.momentum_updater.cur_tau)
            self.log("tau", self.momentum_updater.cur_tau)
            self._update_tau()
        self.last_step = self.trainer.global_step

    def _update_tau(self) -> None:
        self.momentum_updater.update_tau(
            cur_step=self.trainer.global_step, max_steps=self.trainer.estimated_stepping_batches
        )


def probe_statistics(logits: Tensor, targets: Tensor) -> Outputs:
    """Return loss and accuracies (percent) of a linear probe over the labelled rows.

    Args:
        logits: (B, C).
        targets: (B,) labels, -1 where unknown; with none known all three are 0, where the hosts' are NaN.
    """
    labelled = targets >= 0
    count = labelled.sum().clamp(min=1)
    loss = F.cross_entropy(logits, targets, ignore_index=-1, reduction="sum") / count
    with torch.no_grad():
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices
        hits = (best == targets[:, None]) & labelled[:, None]
        acc1, acc5 = 100 * hits[:, 0].sum() / count, 100 * hits.any(dim=1).sum() / count
    return {"loss": loss, "acc1": acc1, "acc5": acc5}
