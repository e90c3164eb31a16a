"""Contact sheets of graphs, data sets and selections, as PNG and as HTML, and pictures of walks along a latent."""

from __future__ import annotations

from pal_plugin.sheet.budget import write_budget_figure
from pal_plugin.sheet.dataset import write_data_sheet
from pal_plugin.sheet.graph import write_graph_sheet
from pal_plugin.sheet.picks import write_picks_sheet
from pal_plugin.sheet.traversal import write_traversal

__all__ = [
    "write_budget_figure",
    "write_data_sheet",
    "write_graph_sheet",
    "write_picks_sheet",
    "write_traversal",
]
