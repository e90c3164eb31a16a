"""Rounds of questions and training, by turns: what `pal oracle run` does."""

from __future__ import annotations

from pal_plugin.rounds.loop import rounds
from pal_plugin.rounds.points import RoundPoint
from pal_plugin.rounds.settings import Settings

__all__ = ["RoundPoint", "Settings", "rounds"]
