"""The store of answers: in an SQLite file for one, in PostgreSQL for a team."""

from __future__ import annotations

from pal_plugin.oracle.policies import Answers
from pal_plugin.oracle.store.agreement import Agreement
from pal_plugin.oracle.store.entries import Entry
from pal_plugin.oracle.store.merge import Merged
from pal_plugin.oracle.store.repair import Health, check, recover
from pal_plugin.oracle.store.store import RelationStore

__all__ = ["Agreement", "Answers", "Entry", "Health", "Merged", "RelationStore", "check", "recover"]
