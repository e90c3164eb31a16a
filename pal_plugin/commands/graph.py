"""`pal graph`: build similarity graphs, combine them, look at them."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pal_plugin.commands import combine, inspect
from pal_plugin.commands.options import add_dataset, add_json, add_part, file_path, load_part, seed, show
from pal_plugin.commands.targets import check_folder
from pal_plugin.errors import GraphError

if TYPE_CHECKING:
    from pal_plugin.graph import SimilarityGraph
    from pal_plugin.priors.store import FeatureStore


def add(commands: Any) -> None:
    """Add `pal graph` to the commands."""
    graph = commands.add_parser("graph", help="build a similarity graph, combine several, or look at one")
    actions = graph.add_subparsers(metavar="ACTION", required=True)
    _add_knn(actions)
    _add_radius(actions)
    _add_labels(actions)
    _add_hierarchy(actions)
    _add_factors(actions)
    _add_oracle(actions)
    _add_pairs(actions)
    _add_adjacent(actions)
    combine.add(actions, _finish)
    inspect.add_graph(actions)


def _finish(parser: argparse.ArgumentParser, build: Callable[[argparse.Namespace], SimilarityGraph]) -> None:
    """Add what every builder has, and let the parser run it."""
    parser.add_argument("--out", type=file_path, required=True, metavar="DIR", help="graph folder to write")
    add_json(parser)
    parser.set_defaults(run=_run, build=build)


def _run(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    check_folder(args.out, "graph.json", GraphError)
    graph: SimilarityGraph = args.build(args)
    graph.save(args.out)
    if not (graph.weights > 0).any():
        warnings.warn(
            f"THE GRAPH {args.out} HAS NO POSITIVE EDGE: no sample gets a partner from it, and "
            "training with it alone is plain self-supervised learning",
            stacklevel=1,
        )
    figures = {"graph": str(args.out), "nodes": graph.num_nodes, "edges": graph.num_edges}
    figures["without_edges"] = int((graph.degree == 0).sum())
    parameters = graph.builder["parameters"]
    figures |= {name: parameters[name] for name in ("recall", "tau", "must_link", "cannot_link") if name in parameters}
    show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0


def _add_knn(actions: Any) -> None:
    knn = actions.add_parser("knn", help="the k nearest neighbours of every sample")
    _add_features(knn)
    knn.add_argument("--k", type=int, required=True, metavar="K", help="neighbours of a sample")
    knn.add_argument("--include-self", action="store_true", help="count a sample among its own neighbours")
    knn.add_argument(
        "--engine",
        default="auto",
        metavar="NAME",
        help="auto (default): exact below 100,000 samples, approximate from there on, with its recall measured; "
        "faiss (exact), torch (exact, on a GPU where there is one), faiss_ivf, faiss_hnsw, pynndescent, cuvs, or one "
        "that a plugin adds",
    )
    knn.add_argument(
        "--min-recall",
        type=float,
        metavar="R",
        help="refuse the graph of an engine that finds less than this share of sampled neighbours (default: warn "
        "below 0.95)",
    )
    _finish(knn, _knn)


def _add_radius(actions: Any) -> None:
    radius = actions.add_parser("radius", help="all samples within the distance tau of each other")
    _add_features(radius)
    radius.add_argument(
        "--tau",
        type=_tau,
        default="adaptive",
        metavar="TAU",
        help="a distance (one minus the cosine for --metric cosine), or adaptive (default): the one within which half "
        "of the samples have K others",
    )
    radius.add_argument("--k", type=int, default=4, metavar="K", help="of the adaptive tau (default: 4)")
    radius.add_argument("--max-neighbours", type=int, metavar="M", help="keep the M nearest of each (default: all)")
    _finish(radius, _radius)


def _add_labels(actions: Any) -> None:
    labels = actions.add_parser("labels", help="others of the same class: the bound for any prior's neighbours")
    add_dataset(labels, required=True)
    add_part(labels)
    labels.add_argument(
        "--k", type=int, default=4, metavar="K", help="others of a sample, drawn at random (default: 4)"
    )
    labels.add_argument("--draw-seed", type=seed, default=0, metavar="S", help="which others (default: 0)")
    _finish(labels, _labels)


def _add_hierarchy(actions: Any) -> None:
    hierarchy = actions.add_parser(
        "hierarchy", help="others of the same class, some of them only of the class above it"
    )
    add_dataset(hierarchy, required=True)
    add_part(hierarchy)
    hierarchy.add_argument(
        "--k", type=int, default=64, metavar="K", help="draws for a sample, with replacement (default: 64)"
    )
    hierarchy.add_argument(
        "--noise", type=float, default=0.0, metavar="P", help="probability of the class above (default: 0)"
    )
    hierarchy.add_argument("--draw-seed", type=seed, default=0, metavar="S", help="which others (default: 0)")
    _finish(hierarchy, _hierarchy)


def _add_factors(actions: Any) -> None:
    factors = actions.add_parser("factors", help="others that differ in a few factors")
    add_dataset(factors, required=True)
    add_part(factors)
    factors.add_argument("--k", type=int, default=16, metavar="K", help="draws for a sample (default: 16)")
    factors.add_argument(
        "--probability", type=float, default=0.2, metavar="P", help="of every factor to be another's (default: 0.2)"
    )
    factors.add_argument("--draw-seed", type=seed, default=0, metavar="S", help="of the draws (default: 0)")
    _finish(factors, _factors)


def _add_oracle(actions: Any) -> None:
    oracle = actions.add_parser("oracle", help="which of some samples are of one class, as an oracle of labels says")
    add_dataset(oracle, required=True)
    add_part(oracle)
    asked = oracle.add_mutually_exclusive_group()
    asked.add_argument(
        "--relations", type=float, default=0.01, metavar="F", help="share of all pairs that it tells (default: 0.01)"
    )
    asked.add_argument(
        "--labelled",
        type=file_path,
        metavar="FILE",
        help="those of these samples: picks.csv of `pal select`, or one id a line",
    )
    oracle.add_argument("--budget", type=int, metavar="N", help="only the first N of --labelled (default: all)")
    oracle.add_argument("--noise", type=float, default=0.0, metavar="F", help="share of them told a wrong class")
    oracle.add_argument("--draw-seed", type=seed, default=0, metavar="S", help="which samples, and which mistakes")
    _finish(oracle, _oracle)


def _add_pairs(actions: Any) -> None:
    pairs = actions.add_parser("pairs", help="the pairs that a CSV or Parquet file lists")
    pairs.add_argument(
        "pairs",
        type=file_path,
        metavar="FILE",
        help="columns id_a,id_b or index_a,index_b, and optionally relation (must-link, cannot-link) and weight",
    )
    add_dataset(pairs, required=True)
    add_part(pairs)
    pairs.add_argument(
        "--transitive",
        action="store_true",
        help="a must-link b and b must-link c give a must-link c: being related is an equivalence",
    )
    _finish(pairs, _pairs)


def _add_adjacent(actions: Any) -> None:
    adjacent = actions.add_parser("adjacent", help="frames next to each other in a sequence, told by the samples' ids")
    add_dataset(adjacent, required=True)
    add_part(adjacent)
    adjacent.add_argument(
        "--window",
        type=int,
        default=1,
        metavar="W",
        help="how far the numbers of two frames differ at most, not how many frames: frames numbered 0, 5, 10 … need 5 "
        "(default: 1)",
    )
    _finish(adjacent, _adjacent)


def _add_features(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--features", type=file_path, required=True, metavar="DIR", help="feature store of `pal embed`, or a .npy file"
    )
    parser.add_argument("--metric", choices=["euclidean", "cosine"], default="euclidean")


def _tau(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text  # radius_graph knows the words


def _features(args: argparse.Namespace) -> tuple[FeatureStore, dict[str, Any] | None]:
    from pal_plugin.priors import load_features

    store = load_features(args.features)
    return store, store.manifest_reference or None  # a bare .npy names no data set


def _knn(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import knn_graph

    store, manifest = _features(args)
    options = {"metric": args.metric, "include_self": args.include_self, "engine": args.engine}
    options["min_recall"] = args.min_recall
    return knn_graph(store.features, args.k, **options, manifest=manifest)


def _radius(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import radius_graph

    store, manifest = _features(args)
    options = {"metric": args.metric, "k": args.k, "max_neighbours": args.max_neighbours}
    return radius_graph(store.features, args.tau, **options, manifest=manifest)


def _labels(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import label_graph

    dataset = load_part(args)
    return label_graph(dataset.labels, args.k, seed=args.draw_seed, manifest=dataset.manifest)


def _hierarchy(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import hierarchy_graph

    dataset = load_part(args)
    options = {"noise": args.noise, "seed": args.draw_seed, "manifest": dataset.manifest}
    return hierarchy_graph(dataset.labels, dataset.known_coarse_labels, args.k, **options)


def _factors(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import factors_graph

    dataset = load_part(args)
    options = {"probability": args.probability, "seed": args.draw_seed, "manifest": dataset.manifest}
    return factors_graph(dataset.known_factors, args.k, **options)


def _oracle(args: argparse.Namespace) -> SimilarityGraph:
    from omegaconf import DictConfig

    from pal_plugin.graphs import make_graph

    labelled = None if args.labelled is None else str(args.labelled)
    graph = {"builder": "oracle", "path": None, "relations": args.relations, "labelled": labelled}
    graph |= {"budget": args.budget, "noise": args.noise, "seed": args.draw_seed}
    return make_graph(DictConfig(graph), load_part(args))


def _pairs(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import pairs_graph

    dataset = load_part(args)
    return pairs_graph(args.pairs, dataset.ids, dataset.manifest, transitive=args.transitive)


def _adjacent(args: argparse.Namespace) -> SimilarityGraph:
    from pal_plugin.graph import adjacent_graph

    dataset = load_part(args)
    return adjacent_graph(dataset.ids, args.window, dataset.manifest)
