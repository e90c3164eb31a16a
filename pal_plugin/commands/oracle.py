"""`pal oracle`: ask people, labels or files which samples are related, and keep what they answer."""

from __future__ import annotations

from typing import Any

from pal_plugin.commands import oracle_run, oracle_serve, oracle_store


def add(commands: Any) -> None:
    """Add `pal oracle` to the commands."""
    oracle = commands.add_parser("oracle", help="ask which samples are related: a page for people, or a simulation")
    actions = oracle.add_subparsers(metavar="ACTION", required=True)
    oracle_serve.add(actions)
    oracle_run.add(actions)
    oracle_store.add(actions)
