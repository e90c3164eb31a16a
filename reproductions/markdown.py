"""Lines of a table in Markdown."""

from __future__ import annotations


def heading(names: list[str]) -> list[str]:
    """Return the first two lines of a table with columns `names`."""
    return [row(names), "|" + "---|" * len(names)]


def row(entries: list[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(entries)} |"
