"""A graph as a page: its figures, anchors with their neighbours, degrees, classes and hubs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pal_plugin.data import ImageDataset
from pal_plugin.graph import SimilarityGraph
from pal_plugin.graph.inspect import in_degree, inspect_classes, out_degree
from pal_plugin.sheet.page import (
    bins,
    escaped,
    figures_tables,
    histogram,
    number,
    paragraph,
    percent,
    picture,
    section,
    table,
    write_page,
)
from pal_plugin.sheet.samples import Row, Sample
from pal_plugin.sheet.tiles import longest_side

_BY_DISTANCE = ("knn", "radius")
_KEEP_ORDER = ("subgraph", "mutual")  # of the graph that they are made from


@dataclass(frozen=True)
class Report:
    """What a page about a graph is made from.

    Attributes:
        graph: the graph.
        figures: what `inspect` says of it.
        dataset: its samples; None where they are not at hand, and then there are no pictures.
        rows: anchors with their neighbours.
        how: how the anchors were chosen.
        hubs: the nodes of highest in-degree, first the highest.
    """

    graph: SimilarityGraph
    figures: dict[str, Any]
    dataset: ImageDataset | None = None
    rows: Sequence[Row] = ()
    how: str = ""
    hubs: Sequence[Sample] = ()

    @property
    def source(self) -> str:
        """What graph of what data this is, in one line."""
        parameters = self.graph.builder.get("parameters", {})
        settings = ", ".join(f"{name}={value}" for name, value in parameters.items() if _plain(value))
        built = f"{self.graph.builder.get('name', 'unknown builder')} graph" + (f" ({settings})" if settings else "")
        if self.dataset is None:
            return f"{built} of {number(self.graph.num_nodes)} nodes"
        return f"{built} of {self.dataset.name}/{self.dataset.split}, {number(len(self.dataset))} images"

    @property
    def nearest_first(self) -> bool:
        """Whether neighbours are in order of distance: those of a pair list, say, are not."""
        builder = self.graph.builder
        while builder.get("name") in _KEEP_ORDER and builder.get("parents"):
            builder = builder["parents"][0]
        return builder.get("name") in _BY_DISTANCE


def write_report(path: Path, report: Report) -> None:
    """Write the page."""
    images = [sample.image for row in report.rows for sample in row.samples]
    sections = [section("Figures", figures_tables(_figures(report.figures)))]
    if report.dataset is not None:
        sections.append(_neighbours(report))
    sections.append(_degrees(report.graph))
    if report.dataset is not None:
        sections += [_classes(report.graph, report.dataset), _hubs(report)]
    title = "A similarity graph" if report.dataset is None else f"Neighbours in {report.dataset.name}"
    write_page(path, title, f"{report.source}.", filter(None, sections), longest=longest_side(images))


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _figures(figures: dict[str, Any]) -> dict[str, list[tuple[str, str, str]]]:
    degree, hubness = figures["degree"], figures["hubness"]
    spread = f"{number(degree['min'])} / {number(degree['median'])} / {number(degree['max'])}"
    size = [
        ("Nodes", number(figures["nodes"]), "samples"),
        ("Edges", number(figures["edges"]), "directed, all of them"),
        ("Positive edges", number(figures["positive_edges"]), "to other nodes; all that follows is about these"),
        ("Negative edges", number(figures["negative_edges"]), "between samples said to be unrelated"),
        ("Self edges", number(figures["self_edges"]), "a sample as its own positive"),
        ("Degree", spread, f"smallest, median, largest; {number(degree['mean'])} on average"),
        ("Without edges", number(figures["without_edges"]), "nodes paired with themselves only"),
    ]
    shape = [
        ("Components", number(figures["components"]), "parts that no edge connects"),
        ("Largest component", number(figures["largest_component"]), "nodes"),
        ("Reciprocity", percent(figures["reciprocity"]), "edges that run both ways"),
        ("Hubness", number(hubness["skewness"]), "skewness of the in-degree: 0 where nobody is favoured"),
        ("Largest in-degree", number(hubness["max_in_degree"]), "nodes that share one neighbour"),
        ("Orphans", number(hubness["orphans"]), "nodes that are nobody's neighbour"),
    ]
    groups = {"Size": size, "Shape": shape}
    return groups if not figures.get("labelled") else {"Agreement with labels": _agreement(figures)} | groups


def _agreement(figures: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = []
    for key, value in figures.items():
        if key.startswith("purity@"):
            k = key.removeprefix("purity@")
            whom = "nearest neighbours" if k == "1" else f"{k} nearest neighbours"
            rows.append((f"Purity at {k}", percent(value), f"{whom} of the same class"))
    rows.append(("Chance", percent(figures["chance"]), "the same of random pairs"))
    if "negatives_right" in figures:
        rows.append(
            ("Negatives right", percent(figures["negatives_right"]), "negative edges between different classes")
        )
    return [*rows, ("Labelled", number(figures["labelled"]), "nodes whose class is known; edges between these count")]


def _neighbours(report: Report) -> str:
    marked = any(sample.right is not None for row in report.rows for sample in row.neighbours)
    key = '<ul class="key"><li>✓ class of the anchor</li><li class="wrong">✗ another class</li></ul>' if marked else ""
    rows = "\n".join(_row(row) for row in report.rows)
    order = "nearest first" if report.nearest_first else "in the order of the graph"
    lede = paragraph(f"{report.how}. Each is followed by its neighbours, {order}.") if report.rows else ""
    none = "" if report.rows else paragraph("No node has a neighbour.")
    return section("Anchors and their neighbours", lede, none, key, f'<ol class="rows">\n{rows}\n</ol>')


def _row(row: Row) -> str:
    anchor = row.anchor
    name = f"node {anchor.node}" if anchor.class_name is None else anchor.class_name
    shown = f", first {len(row.neighbours)} of {row.degree}" if row.degree > len(row.neighbours) else ""
    where = anchor.id if anchor.class_name is None else f"node {anchor.node}"
    tiles = "\n".join(_tile(rank, sample) for rank, sample in enumerate(row.neighbours, start=1))
    return (
        f'<li><div class="lead">{picture(anchor.image, f"Anchor: {_words(anchor)}", anchor.id)}'
        f"<div><h3>{escaped(name)}</h3><small>{escaped(where)}{shown}</small></div></div>\n"
        f'<ol class="tiles">\n{tiles}\n</ol></li>'
    )


def _tile(rank: int, sample: Sample) -> str:
    kind = {True: ' class="right"', False: ' class="wrong"', None: ""}[sample.right]
    verdict = {True: ", class of the anchor", False: ", another class", None: ""}[sample.right]
    weight = "" if sample.weight == 1 else f"<br>{sample.weight:.3g}"
    caption = f"<span>{escaped(sample.caption)}{weight}</span>" if sample.caption or weight else ""
    image = picture(sample.image, f"Neighbour {rank}: {_words(sample)}{verdict}", sample.id)
    return f"<li{kind}><small>{rank}</small>{image}{caption}</li>"


def _words(sample: Sample) -> str:
    return f"{'unlabelled' if sample.class_name is None else sample.class_name}, node {sample.node}, {sample.id}"


def _degrees(graph: SimilarityGraph) -> str:
    plots = []
    for values, caption, xlabel in (
        (out_degree(graph), "How many neighbours a node has.", "degree"),
        (in_degree(graph), "How many nodes have a node as their neighbour (its in-degree).", "in-degree"),
    ):
        if (values == values[0]).all():
            plots.append(paragraph(f"Every node has the {xlabel} {number(int(values[0]))}."))
        else:
            counts, width = bins(values)
            plots.append(histogram(counts, width, f"{caption} Nodes, on a logarithmic scale.", xlabel))
    return section("Degrees", f'<div class="plots">{"".join(plots)}</div>')


def _classes(graph: SimilarityGraph, dataset: ImageDataset) -> str:
    names = dataset.class_names
    rows = []
    for found in inspect_classes(graph, dataset.labels):
        other = found["mistaken_for"]
        mistaken = "–" if other is None else f"{names[other]} ({percent(found['mistaken_share'])})"
        rows.append(
            [
                names[found["label"]],
                number(found["nodes"]),
                percent(found["purity"]),
                number(found["in_degree"]),
                mistaken,
            ]
        )
    if not rows:
        return ""
    caption = "Purity over all neighbours, and the class that wrong neighbours come from most often"
    header = ["Class", "Nodes", "Purity", "Mean in-degree", "Most often taken for"]
    return section("Classes", table(caption, header, rows, numbers=(1, 2, 3)))


def _hubs(report: Report) -> str:
    if not report.hubs:
        return ""
    popularity = in_degree(report.graph)
    tiles = []
    for sample in report.hubs:
        count = number(int(popularity[sample.node]))
        image = picture(sample.image, f"Hub: {_words(sample)}, neighbour of {count} others", sample.id)
        name = f"<br>{escaped(sample.class_name)}" if sample.class_name is not None else ""
        tiles.append(f"<li>{image}<span>{count}×{name}</span></li>")
    lede = paragraph("The nodes that most others have as a neighbour, and how many these are.")
    return section("Hubs", lede, '<ol class="tiles">\n' + "\n".join(tiles) + "\n</ol>")
