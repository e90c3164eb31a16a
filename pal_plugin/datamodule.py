"""The images of a run, their graph, and the loaders that the trainer asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from pal_plugin.data import ImageDataset, Policy, dataset_from_config, eval_loader, pair_loader
from pal_plugin.data.lazy import LazyImages
from pal_plugin.data.sources import available_splits
from pal_plugin.errors import ConfigError, GraphError
from pal_plugin.evaluation import encode
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.relations import Relations, relations
from pal_plugin.graphs import graph_of_features

SHARE_OF_GPU = 0.25
"""Of the free memory of a GPU, what images may take without being asked for there: the rest is for training."""
_ARRAYS = ("indptr", "indices", "weights")


class PairData(LightningDataModule):
    """The loaders of a run.

    Args:
        cfg: a composed config.
        dataset: the training images.
        graph: where the views' neighbours come from; None pairs every image with itself.
        validation: labelled images for the online probe.
        pair_batch: whether the method takes pair batches.
        extra_views: whether a batch holds every view once more, augmented anew.
        related_share: the share of a batch that is composed along the graph's relations, for a method that learns from
            them: every view then shows the anchor. None for one that learns from pairs of neighbours.

    Attributes:
        graph: the one of the epoch at hand: `refresh` replaces it.
        relations: what the graph says of pairs; None where the method does not learn from them.
        cursor: the epoch and batch that training starts with.
        without_edges: how many anchors have no edge in the graph of the last loader made: see `PairDataset`.
    """

    def __init__(
        self,
        cfg: DictConfig,
        dataset: ImageDataset,
        graph: SimilarityGraph | None,
        validation: ImageDataset | None,
        *,
        pair_batch: bool,
        extra_views: bool = False,
        related_share: float | None = None,
    ) -> None:
        super().__init__()
        self.cfg = cfg
        self.dataset = dataset
        self.related_share = related_share
        self._set_graph(graph)
        self.validation = validation
        self.pair_batch = pair_batch
        self.extra_views = extra_views
        self.cursor: tuple[int, int] = (0, 0)
        self.without_edges = 0
        self._refreshed = False

    def _set_graph(self, graph: SimilarityGraph | None) -> None:
        self.graph = graph
        self.relations: Relations | None = None
        if graph is not None and self.related_share is not None:
            self.relations = relations(graph)

    def train_dataloader(self) -> DataLoader[Any]:
        """Return the graph-aware loader of this rank, set to the cursor, and tell the method what is known."""
        trainer: Any = self.trainer
        neighbours = self.graph if self.relations is None else None
        device = images_device(self.cfg.data.get("on_device", "auto"), self.dataset, trainer.strategy.root_device)
        loader = pair_loader(
            self.dataset,
            [Policy.from_config(policy) for policy in self.cfg.augmentations],
            batch_size=self.cfg.optimizer.batch_size,
            seed=self.cfg.seed,
            graph=neighbours,
            pair_batch=self.pair_batch,
            extra_views=self.extra_views,
            draw="uniform" if neighbours is None else self.cfg.graph.draw,
            relations=self.relations,
            related_share=self.related_share or 0.0,
            num_workers=self.cfg.data.num_workers if device is None else 0,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            device=device,
        )
        pairs: Any = loader.dataset
        self.without_edges = pairs.without_edges
        sampler: Any = loader.batch_sampler
        sampler.resume(*max(self.cursor, (trainer.current_epoch, 0)))  # after a refresh loaders are made again
        if self.relations is not None:
            trainer.lightning_module.relate(self.relations, sampler.composition)
        return loader

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Return the images that the online probe is read on: a diagnostic, nothing is chosen by it."""
        if self.validation is None:
            return []
        return eval_loader(
            self.validation,
            self.cfg.optimizer.batch_size,
            self.cfg.data.crop_size,
            num_workers=self.cfg.data.num_workers,
        )

    def refresh(self, backbone: torch.nn.Module) -> float:
        """Build the graph anew from what `backbone` makes of the unaugmented training images.

        The network is read in eval mode and without gradients, so nothing in it changes. Under DDP rank 0, whose
        BatchNorm statistics are the ones that count, builds the graph for all; if it cannot, all stop.

        Returns:
            The share of its edges that were not there before.

        Raises:
            GraphError: rank 0 could not build it and this is another; rank 0 raises what went wrong.
        """
        trainer: Any = self.trainer
        graph: SimilarityGraph | None = None
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                graph = self._rebuilt(backbone)
            except Exception as error:  # whatever it is: the others wait for this process
                failure = error
        # as text, since not every exception can be pickled
        graph, reason = trainer.strategy.broadcast((graph, failure and f"{type(failure).__name__}: {failure}"))
        if failure is not None:
            raise failure
        if graph is None:
            raise GraphError(f"Rank 0 could not refresh the graph: {reason}", "Mend what it says, and resume the run")
        old = self.graph
        self._set_graph(graph)
        self._refreshed = True
        return _share_of_new(old, graph)

    def _rebuilt(self, backbone: torch.nn.Module) -> SimilarityGraph:
        features = encode(
            backbone,
            self.dataset,
            batch_size=self.cfg.optimizer.batch_size,
            device=str(next(backbone.parameters()).device),
            crop_size=self.cfg.data.crop_size,
            num_workers=self.cfg.data.num_workers,
        )
        return graph_of_features(self.cfg.graph, features, self.dataset)

    def state_dict(self) -> dict[str, Any]:
        """Return the refreshed graph, for the checkpoint; one that was never refreshed is built again at a resume."""
        if self.graph is None or not self._refreshed:
            return {}
        return {name: torch.from_numpy(getattr(self.graph, name).copy()) for name in _ARRAYS}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put a refreshed graph back, before a loader is made."""
        arrays = {name: state_dict[name].numpy() for name in _ARRAYS}
        self._set_graph(SimilarityGraph(**arrays, manifest=self.dataset.manifest.reference()))
        self._refreshed = True


def images_device(wanted: bool | str, dataset: ImageDataset, device: torch.device) -> torch.device | None:
    """Return where the training images are to be kept and augmented; None is in memory.

    Args:
        wanted: `data.on_device`: `auto` keeps them on a GPU if they are in memory and take at most `SHARE_OF_GPU` of
            what is free on it; true and false decide it.
        dataset: the training images.
        device: that the run trains on.

    Raises:
        ConfigError: true for a run on the CPU.
    """
    if wanted is True:
        if device.type == "cpu":
            raise ConfigError("data.on_device is true, but the run is on the CPU", "Set data.on_device=auto")
        return device
    images = dataset.images
    if wanted is False or device.type != "cuda" or isinstance(images, LazyImages):
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return device if images.nbytes <= SHARE_OF_GPU * free else None


def validation_images(cfg: DictConfig, dataset: ImageDataset) -> tuple[ImageDataset | None, str]:
    """Return the images that the online probe is read on, those of `validation_split`, or why there are none.

    Args:
        cfg: a composed config.
        dataset: the training images, whose labels the probe learns from.
    """
    if not cfg.validation.enabled:
        return None, ""
    if not labelled(dataset):
        return None, "the images have no labels"
    split = validation_split(cfg.data)
    if split is None:
        return None, f"{dataset.name} has neither a val nor a test split (data.val_fraction=0.1 makes one)"
    images = dataset_from_config(cfg.data, split)
    if not labelled(images):
        return None, f"the {split} split has no labels"
    wanted = cfg.validation.subset
    # a subset that is larger than a small data set means all of it
    return images if wanted is None or wanted >= len(images) else images.subset(wanted, cfg.data.subset_seed), ""


def validation_split(data: Mapping[str, Any]) -> str | None:
    """Return `val`, where the data set has it or `data.val_fraction` holds it out, else `test`; None without both.

    Args:
        data: the config group `data`.
    """
    return next((split for split in ("val", "test") if split in available_splits(data)), None)


def labelled(dataset: ImageDataset) -> bool:
    """Return whether any image has a label."""
    return bool((dataset.labels >= 0).any())


def _share_of_new(old: SimilarityGraph | None, new: SimilarityGraph) -> float:
    before = np.empty(0, dtype=np.int64) if old is None else _edges(old)
    return float(np.isin(_edges(new), before, invert=True).mean()) if new.num_edges else 0.0


def _edges(graph: SimilarityGraph) -> NDArray[np.int64]:
    rows = np.repeat(np.arange(graph.num_nodes, dtype=np.int64), graph.degree)
    return rows * graph.num_nodes + graph.indices
