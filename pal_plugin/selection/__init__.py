"""Which samples to label, in order: selectors on features that are computed once."""

from __future__ import annotations

from pal_plugin.selection.base import Selector
from pal_plugin.selection.kcenter import KCenterGreedy
from pal_plugin.selection.random import RandomSelection
from pal_plugin.selection.result import Selection

__all__ = ["KCenterGreedy", "RandomSelection", "Selection", "Selector"]
