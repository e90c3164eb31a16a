"""`pal graph`: build similarity graphs."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from pal_plugin.commands import inspect
from pal_plugin.commands.options import add_json, show


def add(commands: Any) -> None:
    """Add `pal graph` to the commands."""
    graph = commands.add_parser("graph", help="build a similarity graph")
    builders = graph.add_subparsers(metavar="BUILDER", required=True)
    knn = builders.add_parser("knn", help="the exact k nearest neighbours of every sample")
    knn.add_argument(
        "--features", type=Path, required=True, metavar="DIR", help="feature store of `pal embed`, or a .npy file"
    )
    knn.add_argument("--k", type=int, required=True, metavar="K", help="neighbours of a sample")
    knn.add_argument("--metric", choices=["euclidean", "cosine"], default="euclidean")
    knn.add_argument("--include-self", action="store_true", help="count a sample among its own neighbours")
    knn.add_argument("--out", type=Path, required=True, metavar="DIR", help="graph folder to write")
    add_json(knn)
    knn.set_defaults(run=_graph_knn)
    inspect.add_graph(builders)


def _graph_knn(args: argparse.Namespace) -> int:
    from pal_plugin.graph import knn_graph
    from pal_plugin.priors import load_features

    started = time.perf_counter()
    store = load_features(args.features)
    manifest = store.manifest_reference or None  # a bare .npy names no data set
    graph = knn_graph(store.features, args.k, metric=args.metric, include_self=args.include_self, manifest=manifest)
    graph.save(args.out)
    figures = {"graph": str(args.out), "nodes": graph.num_nodes, "edges": graph.num_edges}
    show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0
