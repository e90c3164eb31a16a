"""GPS-SSL (Feizi et al., arXiv 2401.01990): any joint-embedding method on pairs of neighbours.

View 1 shows the anchor, view 2 one of its neighbours in the graph; the method, its loss and its networks are the
host's. Only the online probe changes: each view is scored against the label of the image that it shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from pal_plugin.host import METHODS, PairBatch


class GraphPairs(nn.Module):
    """Mixed into a host's method, lets it train on the pair batches of the graph-aware loader.

    The host's loss sees the anchors' indices and labels, so that memories kept by sample index stay right.
    """

    wants_pair_batch: ClassVar[bool] = True

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Any:
        """Take one training step.

        Args:
            batch: `[index (B, V), [view_1, …, view_V] each (B, 3, S, S), targets (B, V)]`.
            batch_idx: position in the epoch.
        """
        return super().training_step(PairBatch(batch), batch_idx)  # type: ignore[misc]


class GPSSimCLR(GraphPairs, METHODS["simclr"]):  # type: ignore
    """SimCLR on neighbour pairs."""


class GPSBYOL(GraphPairs, METHODS["byol"]):  # type: ignore
    """BYOL on neighbour pairs."""
