"""`pal graph inspect` and `pal data show`: figures and pictures of what there is."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pal_plugin.commands.options import (
    DATASETS,
    add_json,
    add_part,
    add_whereabouts,
    at_least,
    file_path,
    load_part,
    seed,
    show,
)


def add_graph(builders: Any) -> None:
    """Add `pal graph inspect` to the actions of `pal graph`."""
    parser = builders.add_parser("inspect", help="figures of a graph, and pictures of samples with their neighbours")
    parser.add_argument("graph", type=file_path, metavar="GRAPH", help="graph folder")
    parser.add_argument("--data", metavar="NAME", help="the graph's data set: for labels and pictures")
    add_whereabouts(parser)
    add_part(parser)
    parser.add_argument(
        "--anchors", type=at_least(1), default=10, metavar="N", help="rows of the picture (default: 10)"
    )
    parser.add_argument(
        "--columns", type=at_least(1), default=8, metavar="K", help="neighbours shown at most (default: 8)"
    )
    parser.add_argument(
        "--pick",
        choices=["random", "worst", "hubs"],
        default="random",
        help="anchors: at random, class by class (default); those whose neighbours agree least; those that most "
        "others have as a neighbour",
    )
    parser.add_argument("--pick-seed", type=seed, default=0, metavar="S", help="of the anchors (default: 0)")
    parser.add_argument(
        "--out",
        type=file_path,
        metavar="DIR",
        help="folder to write graph.html to, and with --data graph.png (default: figures only)",
    )
    add_json(parser)
    parser.set_defaults(run=_graph)


def add_data(actions: Any) -> None:
    """Add `pal data show` to the actions of `pal data`."""
    parser = actions.add_parser("show", help="figures of a data set, and a contact sheet, class by class")
    parser.add_argument("data", metavar="NAME", help=DATASETS)
    add_whereabouts(parser)
    add_part(parser)
    parser.add_argument("--per-class", type=int, metavar="N", help="images of a class (default: what fits the page)")
    parser.add_argument("--pick-seed", type=seed, default=0, metavar="S", help="of the images shown (default: 0)")
    parser.add_argument(
        "--out",
        type=file_path,
        default=Path(),
        metavar="DIR",
        help="folder to write data.png and data.html to (default: .)",
    )
    add_json(parser)
    parser.set_defaults(run=_data)


def _graph(args: argparse.Namespace) -> int:
    from pal_plugin.data import check_reference
    from pal_plugin.graph import SimilarityGraph
    from pal_plugin.graph.inspect import inspect
    from pal_plugin.sheet import write_graph_sheet

    graph = SimilarityGraph.load(args.graph)
    dataset = load_part(args) if args.data else None
    if dataset is not None and graph.manifest is not None:
        check_reference(graph.manifest, dataset.manifest, what="The graph", path=args.graph)
    labelled = dataset is not None and bool((dataset.labels >= 0).any())
    figures = inspect(graph, dataset.labels if dataset is not None and labelled else None)
    if args.out is not None:
        files = write_graph_sheet(
            args.out,
            graph,
            dataset,
            anchors=args.anchors,
            columns=args.columns,
            pick=args.pick,
            seed=args.pick_seed,
        )
        figures |= {"files": _by_kind(files)}
    show(figures, as_json=args.json)
    return 0


def _data(args: argparse.Namespace) -> int:
    from pal_plugin.sheet import write_data_sheet
    from pal_plugin.sheet.measures import measure

    dataset = load_part(args)
    measures = measure(dataset, args.pick_seed)
    files = write_data_sheet(args.out, dataset, per_class=args.per_class, seed=args.pick_seed, measures=measures)
    heights, widths = zip(*(size for size, _ in measures.sizes), strict=True)
    figures = {
        "data": args.data,
        "split": args.split,
        "images": measures.images,
        "unlabelled": measures.unlabelled,
        "classes": dict(measures.classes),
        "measured": measures.read,
        "mean": dict(zip(("red", "green", "blue"), measures.mean, strict=True)),
        "std": dict(zip(("red", "green", "blue"), measures.std, strict=True)),
        "sizes": len(measures.sizes),
        "height": {"min": min(heights), "max": max(heights)},
        "width": {"min": min(widths), "max": max(widths)},
        "files": _by_kind(files),
    }
    show(figures, as_json=args.json)
    return 0


def _by_kind(files: Sequence[Path]) -> dict[str, str]:
    return {file.suffix.removeprefix("."): str(file) for file in files}
