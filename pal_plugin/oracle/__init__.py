"""Who knows which samples are related, what to ask, and what it costs."""

from __future__ import annotations

from pal_plugin.oracle.known import oracle_graph

__all__ = ["oracle_graph"]
