"""What the ablation over graphs trains, and how its graphs are called. Light: the table needs no torch."""

from __future__ import annotations

METHOD, AUGMENTATION = "simclr", "flip_only"  # where the graph matters most, and the cheapest


def graph_name(prior: str, k: int) -> str:
    """Return the name of a graph, such as `lite0-k16`."""
    return f"{prior}-k{k}"


def parsed(graph: str) -> tuple[str, int]:
    """Return prior and k of a graph's name.

    Raises:
        ValueError: it is not a name of a graph.
    """
    prior, _, k = graph.rpartition("-k")
    return prior, int(k)
