"""What a second image does to the hosts' methods, one by one, and the repairs that three of them need.

On a pair batch view 1 shows the anchor and the others its neighbours; a host's method reads the anchors' indices and
labels. Read in both solo-learns:

- `nnclr`, `nnbyol`, `nnsiam`, `all4one` queue the embedding of view 1 under the anchor's label and index: right as they
  are. The neighbour's embedding is looked up in the queue and never enters it.
- `mocov2plus`, `swav` keep a queue for each view and `ressl` one of view 2, without indices or labels: what is in them
  are embeddings of anchors, or of neighbours. Right as they are; a graph's hubs are in a neighbours' queue more often.
- `dino` keeps a running mean of the teacher's outputs over all views; the methods not named here keep nothing.
- `deepclusterv2` keeps the embedding of every view under the anchor's index, clusters the views' memories in turn, and
  teaches both views the anchor's cluster: with a neighbour in view 2 that would be another image's cluster.
  `DeepClusterPairs` keeps the anchor's own.
- `supcon` (main), and `simclr` with `supervised=true` (the release), repeat the anchor's label for every view: with a
  neighbour of another class that would pull two classes together. `SupConPairs` and `SimCLRPairs` take the label of the
  image shown; images without one are drawn to no other by it.
- `mae` (main) compares no two views: its pairs are nothing but more images.
"""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pal_plugin.errors import DataError
from pal_plugin.host.base import PairBatch


class DeepClusterPairs(nn.Module):
    """DeepCluster v2 whose memory holds, under an index, embeddings of that image alone.

    Where a view shows a neighbour, the embedding of view 1 takes its place in that view's memory, so every anchor has a
    cluster; it is the anchor's, and the neighbour is taught it as the other view of the anchor would be.
    """

    def training_step(self, batch: PairBatch, batch_idx: int) -> Any:
        """Remember which views show their anchor, for the update at the end of the step."""
        self._shows_anchor = batch.view_indices == batch.view_indices[:, :1]
        return super().training_step(batch, batch_idx)  # type: ignore[misc]

    def update_memory_banks(self, idxs: Tensor, z: list[Tensor], batch_idx: int) -> None:
        """Write one batch of embeddings, z V × (B, D), into the memories."""
        own = [torch.where(self._shows_anchor[:, view, None], z[view], z[0]) for view in range(len(z))]
        super().update_memory_banks(idxs, own, batch_idx)  # type: ignore[misc]


class SimCLRPairs(nn.Module):
    """The release's SimCLR whose extra positives, with `supervised=true`, follow the labels of the images shown."""

    def training_step(self, batch: PairBatch, batch_idx: int) -> Any:
        """Remember the labels of all views."""
        self._view_labels = batch.view_targets.T.reshape(-1)
        return super().training_step(batch, batch_idx)  # type: ignore[misc]

    def gen_extra_positives_gt(self, Y: Tensor) -> Tensor:
        """Return (V·B, V·B): which two views show images of one known class."""
        same = self._view_labels[:, None] == self._view_labels
        return (same & (self._view_labels >= 0)).fill_diagonal_(False)


class SupConPairs(nn.Module):
    """Main's SupCon (arXiv 2004.11362) on the labels of the images shown.

    A view of a class that no other view of the batch has, which plain SupCon does not know, has no positive: it is a
    negative for the others and has no loss of its own.
    """

    solo_class: type

    def training_step(self, batch: PairBatch, batch_idx: int) -> Any:
        """Take main's step with the views' labels.

        Raises:
            DataError: an image without a label.
        """
        if (batch.view_targets < 0).any():
            raise DataError("supcon needs labels, and some images have none", "Choose a method without labels")
        out = super(self.solo_class, self).training_step(batch, batch_idx)  # type: ignore[arg-type]
        labels = batch.view_targets.T.reshape(-1)
        loss = supcon_loss(torch.cat(out["z"]), labels, self.temperature)  # type: ignore[arg-type]
        self.log("train_nce_loss", loss, on_epoch=True, sync_dist=True)  # type: ignore[operator]
        return loss + out["loss"]


def supcon_loss(z: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Return main's `simclr_loss_func(z, labels)`, over the rows that have a positive.

    Args:
        z: (M, D) embeddings of this process.
        labels: (M,) classes.
        temperature: τ.
    """
    misc = importlib.import_module("solo.utils.misc")
    z = F.normalize(z, dim=-1)
    similarity = torch.exp(torch.einsum("if, jf -> ij", z, misc.gather(z)) / temperature)
    same = labels[:, None] == misc.gather(labels)
    positive = same.clone()
    positive[:, len(z) * misc.get_rank() :].fill_diagonal_(False)
    attract, repel = (similarity * positive).sum(1), (similarity * ~same).sum(1)
    some = attract > 0
    ratio = attract[some] / (attract + repel)[some]
    return -torch.log(ratio).mean() if len(ratio) else 0 * z.sum()


PAIR_REPAIRS: dict[str, type[nn.Module]] = {
    "deepclusterv2": DeepClusterPairs,
    "simclr": SimCLRPairs,
    "supcon": SupConPairs,
}


def needs_pair_batch(method: Any) -> bool:
    """Return whether a graph's pairs must reach `method` as a pair batch.

    It would take them for views of one image otherwise: it keeps a memory by sample index, or its loss reads labels.

    Args:
        method: a method as it is trained; `supervised` is an option of the release's SimCLR.
    """
    name = getattr(method, "host_name", "")
    return name in ("deepclusterv2", "supcon") or (name == "simclr" and bool(getattr(method, "supervised", False)))
