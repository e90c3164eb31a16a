"""PAL (Cabannes et al., arXiv 2303.15256): a host's networks with a loss that takes a graph of known relations.

A batch comes as it does for the host, except that a share of it is composed along known relations. The loss sees the
batch graph of all ranks together; it is ours, the host's own is stepped over. With α = 0 it is the host's.
"""

from __future__ import annotations

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from pal_plugin.data.related import PairComposition
from pal_plugin.errors import ConfigError
from pal_plugin.graph.relations import Relations
from pal_plugin.host import METHODS, PairBatch
from pal_plugin.host.base import Outputs
from pal_plugin.host.projections import predict, project, project_by_teacher
from pal_plugin.losses import (
    BatchGraph,
    PairImportance,
    gather_samples,
    gather_views,
    graph_barlow_loss,
    graph_byol_loss,
    graph_simclr_loss,
    graph_spectral_loss,
    graph_vicreg_loss,
)
from pal_plugin.methods.known import KnownRelations

_BarlowTwins: Any = METHODS["barlow_twins"]
_BYOL: Any = METHODS["byol"]
_SimCLR: Any = METHODS["simclr"]
_VICReg: Any = METHODS["vicreg"]


class GraphSettings(NamedTuple):
    """What `method_kwargs` of a `pal_*` says beside what its host reads.

    Attributes:
        graph_alpha: α, the weight of the known relations against the views' own.
        related_share: the share of every batch that is composed along known relations.
        importance: whether pairs are weighted so that the loss of a batch has the loss of the data set for its mean.
    """

    graph_alpha: float = 0.9
    related_share: float = 0.25
    importance: bool = False


class GraphLoss(nn.Module):
    """Mixed into a host's method, replaces its loss by one that takes the graph of known relations.

    It trains on pair batches whose views all show one sample. `relate` has to be called before the first step; `pal
    train` does.
    """

    wants_pair_batch: ClassVar[bool] = True
    wants_relations: ClassVar[bool] = True
    sums_over_pairs: ClassVar[bool] = False
    across_views: ClassVar[bool] = False
    takes_small_crops: ClassVar[bool] = False
    solo_class: ClassVar[type]
    num_crops: int
    num_large_crops: int
    trainer: Any

    def __init__(self, cfg: DictConfig) -> None:
        self.settings_of(cfg)
        super().__init__(self.host_config(cfg))
        self.settings = self.settings_of(cfg)
        small = self.num_crops - self.num_large_crops
        if small and not self.takes_small_crops:
            raise ConfigError(
                f"{cfg.method} takes no small crops, and the augmentations make {small}",
                "Give all augmentations one crop_size",
            )
        self._known: KnownRelations | None = None
        self._composition: PairComposition | None = None

    @classmethod
    def settings_of(cls, cfg: DictConfig) -> GraphSettings:
        """Return the settings in `cfg.method_kwargs`.

        Raises:
            ConfigError: α outside [0, 1], a share outside [0, 1), importance weights that the loss cannot use or that
                correct for nothing, or supervision by labels, which the release's SimCLR offers.
        """
        given = {key: cfg.method_kwargs[key] for key in GraphSettings._fields if key in cfg.method_kwargs}
        settings = GraphSettings(**given)
        _check_share("graph_alpha", settings.graph_alpha, end=True)
        _check_share("related_share", settings.related_share, end=False)
        if not isinstance(settings.importance, bool):
            raise ConfigError(f"method_kwargs.importance is {settings.importance!r}", "Set it to true or false")
        if settings.importance and not cls.sums_over_pairs:
            raise ConfigError(
                f"{cfg.method} has no importance weights: they keep a sum over pairs unbiased, and its loss is none",
                "Set method_kwargs.importance=false, or choose pal_spectral or pal_byol",
            )
        if settings.importance and not settings.related_share:
            raise ConfigError(
                "method_kwargs.importance corrects for batches composed along relations, and related_share is 0",
                "Set method_kwargs.importance=false",
            )
        if cfg.method_kwargs.get("supervised"):
            raise ConfigError(
                f"{cfg.method} learns from its graph, not from labels by method_kwargs.supervised",
                "Leave it out; graph=oracle graph.relations=1 gives it all labels",
            )
        return settings

    @classmethod
    def host_config(cls, cfg: DictConfig) -> DictConfig:
        """Return `cfg` without what is not the host's."""
        theirs = copy.deepcopy(cfg)
        OmegaConf.set_struct(theirs, False)
        for key in GraphSettings._fields:
            theirs.method_kwargs.pop(key, None)
        return theirs

    def relate(self, relations: Relations, composition: PairComposition | None) -> None:
        """Say what is known about the samples that batches name by index.

        Args:
            relations: the known ones of the data set.
            composition: how the loader composes its batches along them; None where it does not.

        Raises:
            ConfigError: importance weights, and nothing that they could correct for; or α = 1, and batches that may
                hold no image with a related one: nothing would have a positive there.
        """
        if self.settings.importance and composition is None:
            raise ConfigError(
                "method_kwargs.importance corrects for batches composed along relations, and these are not",
                "Set method_kwargs.importance=false",
            )
        if self.settings.graph_alpha == 1 and composition is None and not relations.known.all():
            unknown = relations.num_nodes - int(relations.known.sum())
            raise ConfigError(
                f"method_kwargs.graph_alpha=1 learns from known relations alone, {unknown} of {relations.num_nodes} "
                "images have none, and no share of a batch is composed along them: in a batch of such images there "
                "would be nothing to learn from",
                "Set method_kwargs.graph_alpha below 1, or method_kwargs.related_share above 0",
            )
        self._known = KnownRelations(relations, alpha=self.settings.graph_alpha, views=self.num_crops)
        self._composition = composition

    def on_train_start(self) -> None:
        """Take the relations from the loader of a script of solo-learn's own, which does not know `relate`."""
        super().on_train_start()  # type: ignore[misc]
        loader = self.trainer.train_dataloader
        if self._known is None and hasattr(getattr(loader, "dataset", None), "relations"):
            self.relate(loader.dataset.relations, getattr(loader.batch_sampler, "composition", None))

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Tensor:
        """Take one training step.

        Args:
            batch: `[index (B, V), [view_1, …, view_V] each (B, 3, S, S), targets (B, V)]`, all views of a row of one
                sample.
            batch_idx: position in the epoch.

        Raises:
            ConfigError: nobody has called `relate`.
        """
        if self._known is None:
            raise ConfigError(
                f"{type(self).__name__} has no relations to learn from",
                "Train it by `pal train`, or call its relate() first",
            )
        pairs = PairBatch(batch)
        out: Outputs = super(self.solo_class, self).training_step(pairs, batch_idx)  # type: ignore[arg-type]
        index = gather_samples(pairs.view_indices[:, 0])
        graph, oracle_edges = self._known.batch(index)
        importance = None
        if self.settings.importance:
            assert self._composition is not None  # `relate` has seen to it
            importance = self._known.importance(index, self._composition, across_views=self.across_views)
        loss = self.graph_loss(out, graph, importance)
        # of the global batch, the same on every rank
        metrics = {"graph_loss": loss, "oracle_edges": oracle_edges.float()}
        self.log_dict(metrics, on_epoch=True, sync_dist=True)  # type: ignore[operator]
        probe: Tensor = out["loss"]
        return loss + probe

    @abstractmethod
    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """Return the loss of the batch of all ranks.

        Args:
            out: what the host's step made of this rank's views.
            graph: among the rows of the batch of all ranks, view-major.
            importance: the pairs' weights, where the settings ask for them.
        """

    def _rows(self, views: list[Tensor]) -> Tensor:
        return gather_views(torch.cat(views), len(views))


class PALSimCLR(GraphLoss, _SimCLR):  # type: ignore[misc]
    """SimCLR's networks, and NT-Xent whose positives are the graph's edges."""

    takes_small_crops = True
    temperature: float

    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """See `GraphLoss.graph_loss`."""
        return graph_simclr_loss(self._rows(project(self, out)), graph, temperature=self.temperature)


class PALBYOL(GraphLoss, _BYOL):  # type: ignore[misc]
    """BYOL's networks; the predictor of a view regresses on the teacher's views of related samples."""

    sums_over_pairs = True
    across_views = True

    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """See `GraphLoss.graph_loss`."""
        rows, targets = self._rows(predict(self, out)), self._rows(project_by_teacher(self, out))
        return graph_byol_loss(rows, targets, graph, views=self.num_crops, importance=importance)


class PALVICReg(GraphLoss, _VICReg):  # type: ignore[misc]
    """VICReg's networks; the invariance term draws related samples together."""

    sim_loss_weight: float
    var_loss_weight: float
    cov_loss_weight: float

    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """See `GraphLoss.graph_loss`."""
        return graph_vicreg_loss(
            self._rows(project(self, out)),
            graph,
            views=self.num_crops,
            sim_weight=self.sim_loss_weight,
            var_weight=self.var_loss_weight,
            cov_weight=self.cov_loss_weight,
        )


class PALBarlowTwins(GraphLoss, _BarlowTwins):  # type: ignore[misc]
    """Barlow Twins' networks; the cross-correlation is taken along the graph's edges."""

    lamb: float
    scale_loss: float

    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """See `GraphLoss.graph_loss`."""
        rows = self._rows(project(self, out))
        return graph_barlow_loss(rows, graph, views=self.num_crops, lamb=self.lamb, scale=self.scale_loss)


class PALSpectral(GraphLoss, _SimCLR):  # type: ignore[misc]
    """SimCLR's networks with the spectral contrastive loss (HaoChen et al., arXiv 2106.04156).

    Rows longer than √μ are cut to that length, as its authors do (μ = 1 on CIFAR-10, 10 on ImageNet); the others are
    compared as they are.
    """

    sums_over_pairs = True
    takes_small_crops = True

    def __init__(self, cfg: DictConfig) -> None:
        self._mu_of(cfg)
        super().__init__(cfg)
        self.mu = self._mu_of(cfg)

    @classmethod
    def host_config(cls, cfg: DictConfig) -> DictConfig:
        """Return `cfg` for SimCLR, whose temperature this loss does not have."""
        theirs = super().host_config(cfg)
        theirs.method_kwargs.pop("mu", None)
        theirs.method_kwargs.temperature = 1.0
        return theirs

    def graph_loss(self, out: Outputs, graph: BatchGraph, importance: PairImportance | None) -> Tensor:
        """See `GraphLoss.graph_loss`."""
        rows = self._rows(project(self, out)).float()
        longest = math.sqrt(self.mu)
        rows = rows * (longest / rows.norm(dim=1, keepdim=True).clamp(min=longest))
        return graph_spectral_loss(rows, graph, importance=importance)

    @staticmethod
    def _mu_of(cfg: DictConfig) -> float:
        mu = cfg.method_kwargs.get("mu", 1.0)
        if isinstance(mu, bool) or not isinstance(mu, (int, float)) or not 0 < mu < math.inf:
            raise ConfigError(f"method_kwargs.mu is {mu!r}", "Set it to a number above 0")
        return float(mu)


PAL_METHODS: dict[str, type] = {
    "pal_barlow_twins": PALBarlowTwins,
    "pal_byol": PALBYOL,
    "pal_simclr": PALSimCLR,
    "pal_spectral": PALSpectral,
    "pal_vicreg": PALVICReg,
}


def _check_share(name: str, value: Any, *, end: bool) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not (number and 0 <= value <= 1 and (end or value < 1)):  # NaN is refused as well
        raise ConfigError(f"method_kwargs.{name} is {value!r}", f"Set it to a number in [0, 1{']' if end else ')'}")
