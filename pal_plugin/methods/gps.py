"""GPS-SSL (Feizi et al., arXiv 2401.01990): any joint-embedding method on pairs of neighbours.

View 1 shows the anchor, view 2 one of its neighbours in the graph; the method, its loss and its networks are the
host's. Only the online probe changes, where each view is scored against the label of the image that it shows, and what
`pal_plugin.host.pairs` lists: memories by sample index, and losses that read labels.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

from torch import nn

from pal_plugin.errors import ConfigError
from pal_plugin.host import PAIR_REPAIRS, PairBatch

PREFIX = "gps_"


class GraphPairs(nn.Module):
    """Mixed into a host's method, lets it train on the pair batches of the graph-aware loader.

    The host's loss sees the anchors' indices and labels, so that memories kept by sample index stay right. `on_pairs`
    mixes it in, with the repair that some methods need; derive from what that returns.
    """

    wants_pair_batch: ClassVar[bool] = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Refuse a class that leaves its method's repair out.

        Raises:
            ConfigError: the method needs a repair, and it does not stand between this class and the method.
        """
        super().__init_subclass__(**keywords)
        name = getattr(cls, "host_name", "")
        order = [GraphPairs, PAIR_REPAIRS.get(name), getattr(cls, "solo_class", None)]
        if name in PAIR_REPAIRS and [base for base in cls.__mro__ if base in order] != order:
            raise ConfigError(
                f"{cls.__qualname__} puts {name} on pairs of neighbours without the repair that {name} needs there",
                f'Write class {cls.__name__}(on_pairs(METHODS["{name}"])), with on_pairs of pal_plugin.methods',
            )

    def training_step(self, batch: Sequence[Any], batch_idx: int) -> Any:
        """Take one training step.

        Args:
            batch: `[index (B, V), [view_1, …, view_V] each (B, 3, S, S), targets (B, V)]`.
            batch_idx: position in the epoch.
        """
        return super().training_step(PairBatch(batch), batch_idx)  # type: ignore[misc]


@functools.cache
def on_pairs(method: Any) -> type:
    """Return the class of `method` on pairs of neighbours; the same class at every call.

    It is the base of a third party's own, too: `class Mine(on_pairs(METHODS["deepclusterv2"]))`.

    Args:
        method: a subclass of `BaseMethod` that takes plain batches.
    """
    repair = PAIR_REPAIRS.get(getattr(method, "host_name", ""))
    bases = (GraphPairs, method) if repair is None else (GraphPairs, repair, method)
    doc = f"{method.__name__} on neighbour pairs."
    return type(f"GPS{method.__name__}", bases, {"__module__": __name__, "__doc__": doc})
