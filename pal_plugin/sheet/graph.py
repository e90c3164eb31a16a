"""The sheet of a graph: anchors with their neighbours, those of the same class and those of another marked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data import ImageDataset, check_reference
from pal_plugin.errors import ConfigError
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.inspect import choose_anchors, in_degree, inspect
from pal_plugin.sheet.graph_html import Report, write_report
from pal_plugin.sheet.graph_png import draw_rows
from pal_plugin.sheet.page import percent
from pal_plugin.sheet.samples import Row, read_rows, read_samples

_HUBS = 12


def write_graph_sheet(
    folder: str | os.PathLike[str],
    graph: SimilarityGraph,
    dataset: ImageDataset | None = None,
    *,
    anchors: int = 10,
    columns: int = 8,
    pick: str = "random",
    seed: int = 0,
) -> list[Path]:
    """Write `graph.html`, and with a data set `graph.png`.

    Args:
        folder: where to; it is made where there is none.
        graph: N nodes.
        dataset: the N samples; without them there are figures only.
        anchors: rows of the picture; fewer where fewer nodes have a neighbour.
        columns: neighbours of each that are shown at most.
        pick: which anchors: `"random"` (class by class), `"worst"` or `"hubs"`, see `choose_anchors`.
        seed: of the random choice.

    Returns:
        The files.

    Raises:
        ManifestError: the graph was made for another data set.
        ConfigError: no such pick, fewer than one row or column, or the worst of a graph without labels.
        GraphError: the graph has no nodes, or not as many as there are samples.
    """
    if columns < 1:
        raise ConfigError(f"{columns} columns were asked for", "Choose 1 or more")
    target = Path(folder)
    page, image = target / "graph.html", target / "graph.png"
    if dataset is None:
        write_report(page, Report(graph, inspect(graph)))
        return [page]
    if graph.manifest is not None:
        check_reference(graph.manifest, dataset.manifest, what="The graph")
    figures = inspect(graph, dataset.labels, ks=(1, 4, 16, columns))
    chosen = choose_anchors(graph, anchors, labels=dataset.labels, pick=pick, seed=seed)
    rows = read_rows(graph, dataset, chosen, columns)
    popularity = in_degree(graph)
    hubs = [node for node in np.argsort(-popularity, kind="stable")[:_HUBS].tolist() if popularity[node]]
    report = Report(graph, figures, dataset, rows, _how(pick, rows, popularity, seed), read_samples(dataset, hubs))
    draw_rows(rows, _note(report, columns), nearest_first=report.nearest_first).save(image)
    write_report(page, report)
    return [image, page]


def _how(pick: str, rows: Sequence[Row], popularity: NDArray[np.int64], seed: int) -> str:
    """Say in words how the anchors of a sheet were chosen."""
    if not rows:
        return "No node has a neighbour"
    nodes = "The node" if len(rows) == 1 else f"The {len(rows)} nodes"
    classes = ", class by class" if any(row.anchor.class_name is not None for row in rows) else ""
    most, least = (int(popularity[rows[place].anchor.node]) for place in (0, -1))
    return {
        "random": f"Anchors drawn at random{classes} (seed {seed})",
        "worst": f"{nodes} with the smallest share of neighbours of their class (ties at random, seed {seed})",
        "hubs": f"{nodes} that most others have as a neighbour ({most:,} to {least:,} of them)",
    }[pick]


def _note(report: Report, columns: int) -> str:
    """Return the line below the picture."""
    figures = report.figures
    k = min(columns, figures["degree"]["max"])
    purity = figures.get(f"purity@{k}")
    agreement = "" if purity is None else f" Purity@{k} {percent(purity)}, chance {percent(figures['chance'])}."
    return f"{report.source}. {report.how}.{agreement}"
