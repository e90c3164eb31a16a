"""Contact sheets: a graph's anchors with their neighbours, or a data set class by class, as PNG and as HTML."""

from __future__ import annotations

from pal_plugin.sheet.dataset import write_data_sheet
from pal_plugin.sheet.graph import write_graph_sheet

__all__ = ["write_data_sheet", "write_graph_sheet"]
