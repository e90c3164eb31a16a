"""`pal graph union|mix|mutual|symmetrise|hop`: graphs from graphs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pal_plugin.commands.options import file_path

if TYPE_CHECKING:
    from pal_plugin.graph import SimilarityGraph

Finish: TypeAlias = Callable[[argparse.ArgumentParser, "Callable[[argparse.Namespace], SimilarityGraph]"], None]


def add(actions: Any, finish: Finish) -> None:
    """Add the combinations to the actions of `pal graph`.

    Args:
        actions: of `pal graph`.
        finish: adds what every builder has, and lets the parser run it.
    """
    union = actions.add_parser("union", help="all edges of several graphs; of a pair in several, the strongest weight")
    _add_several(union)
    finish(union, _union)
    mix = actions.add_parser("mix", help="several graphs, each in its share of weighted draws (graph.draw=weighted)")
    _add_several(mix)
    mix.add_argument(
        "--shares", type=float, nargs="+", required=True, metavar="S", help="one a graph, divided by their sum"
    )
    finish(mix, _mix)
    mutual = actions.add_parser("mutual", help="the edges whose reverse is there too")
    symmetrise = actions.add_parser("symmetrise", help="every edge in both directions")
    hop = actions.add_parser("hop", help="whom a node reaches in at most N steps")
    for parser in (mutual, symmetrise, hop):
        parser.add_argument("graph", type=file_path, metavar="GRAPH", help="graph folder")
    hop.add_argument("--n", type=int, default=2, metavar="N", help="steps (default: 2)")
    finish(mutual, _mutual)
    finish(symmetrise, _symmetrise)
    finish(hop, _hop)


def _add_several(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("graphs", type=file_path, nargs="+", metavar="GRAPH", help="graph folders of one data set")


def _load(path: Path) -> SimilarityGraph:
    from pal_plugin.graph import SimilarityGraph

    return SimilarityGraph.load(path)


def _union(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import union

    return union(*map(_load, args.graphs))


def _mix(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import mix

    return mix([_load(path) for path in args.graphs], args.shares)


def _mutual(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import mutual

    return mutual(_load(args.graph))


def _symmetrise(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import symmetrise

    return symmetrise(_load(args.graph))


def _hop(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import hop

    return hop(_load(args.graph), args.n)
