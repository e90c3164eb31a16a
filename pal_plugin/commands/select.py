"""`pal select`: which samples to label, in order."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pal_plugin.commands.options import (
    add_json,
    add_part,
    add_whereabouts,
    at_least,
    file_path,
    load_part,
    seed,
    show,
)
from pal_plugin.commands.targets import check_picks
from pal_plugin.errors import ConfigError, SelectionError

if TYPE_CHECKING:
    from pal_plugin.arrays import AnyArray
    from pal_plugin.data import ImageDataset
    from pal_plugin.graph.space import Longs
    from pal_plugin.selection import Coverage, Selection, Selector

_METHODS = """methods:
  kcenter     the sample furthest from all picks, again and again; exact, with a certificate
  typiclust   the most typical sample of each of as many clusters as labels
  probcover   whose ball covers the most samples that are not covered
  kmedoids    the sample nearest to the mean of each cluster
  facility    what lowers the mean squared distance to the nearest pick the most
  coreset     kcenter in rounds from a random start
  random      at random

Others come with plugins. --param KEY=VALUE sets what a method has of its own: delta of probcover, first of typiclust.

examples:
  pal select --data cifar10 --prior lite0 --budget 5000 --out picks.csv
  pal select --features features --method typiclust --budget 0.01 --out picks.csv
  pal eval linear --prior lite0 --data cifar10 --labelled picks.csv --label-budget 1000"""

_CERTIFIED = "kcenter"  # the only one whose radii bound what is possible


def add(commands: Any) -> None:
    """Add `pal select` to the commands."""
    parser = commands.add_parser(
        "select",
        help="choose which samples to label, in an order that serves every budget",
        epilog=_METHODS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_pool(parser)
    _add_method(parser)
    _add_samples(parser)
    parser.add_argument(
        "--out", type=file_path, required=True, metavar="FILE", help="picks.csv to write, and picks.json"
    )
    parser.add_argument(
        "--no-pictures",
        action="store_true",
        help="leave out picks.png, what a budget buys, and picks-sheet.png, the first picks",
    )
    add_json(parser)
    parser.set_defaults(run=_select)


def _add_pool(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--features", type=file_path, metavar="DIR", help="feature store of `pal embed`, or a .npy file"
    )
    source.add_argument("--prior", metavar="SPEC", help="what embeds --data, as for `pal embed`; or checkpoint:PATH")
    parser.add_argument("--data", metavar="NAME", help="the data set: for ids, classes and pictures, and for --prior")
    add_whereabouts(parser)
    add_part(parser)
    parser.add_argument(
        "--workers", type=at_least(0), default=0, metavar="N", help="processes that read images (default: 0)"
    )


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", default=_CERTIFIED, metavar="NAME", help="see below (default: kcenter)")
    parser.add_argument(
        "--budget", type=_budget, required=True, metavar="N", help="how many picks, or a share of all: 0.1, 1.0"
    )
    parser.add_argument("--metric", choices=["euclidean", "cosine"], help="(default: the method's)")
    parser.add_argument(
        "--start", type=_start, metavar="S", help="of kcenter, coreset: medoid, farthest, random, or a sample's number"
    )
    parser.add_argument("--draw-seed", type=seed, metavar="S", help="the method's seed (default: 0)")
    parser.add_argument("--trim", type=float, metavar="F", help="of kcenter: leave out this share, the least dense")
    parser.add_argument("--balanced", action="store_true", help="of kcenter: take turns between the classes of --data")
    parser.add_argument("--device", metavar="NAME", help="auto (default), cpu, cuda, cuda:1 …")
    parser.add_argument(
        "--param", type=_parameter, action="append", default=[], metavar="KEY=VALUE", help="another of the method's"
    )


def _add_samples(parser: argparse.ArgumentParser) -> None:
    listed = "picks.csv, or a file with one id of --data a line"
    parser.add_argument(
        "--labelled", type=file_path, metavar="FILE", help=f"samples that are labelled already: {listed}"
    )
    parser.add_argument(
        "--candidates", type=file_path, metavar="FILE", help=f"the only ones that can be picked: {listed}"
    )
    parser.add_argument(
        "--after", type=file_path, metavar="FILE", help="picks.csv to go on from: its picks come first and count"
    )


def _budget(text: str) -> int | float:
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _start(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _parameter(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, found {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value  # a word


def _select(args: argparse.Namespace) -> int:
    started = time.perf_counter()
    check_picks(args.out, [] if args.no_pictures else list(_pictured(args.out)))
    selector = _selector(args)
    dataset, features, reference = _pool(args)
    chosen: dict[str, Any] = {
        "labelled": _named(args.labelled, dataset, reference, "--labelled", len(features)),
        "candidates": _named(args.candidates, dataset, reference, "--candidates", len(features)),
        "after": _earlier(args.after, len(features)),
        "labels": None if dataset is None else dataset.labels,
    }
    began = time.perf_counter()
    picks = selector.select(features, args.budget, manifest=reference, **chosen)
    took = time.perf_counter() - began
    figures, covered, classes = _figures(args.method, selector, features, picks, chosen, dataset)
    labelled = dataset is not None and bool((dataset.labels >= 0).any())
    ids = None if dataset is None else dataset.ids
    picks.save(args.out, ids=ids, labels=dataset.labels if dataset is not None and labelled else None)
    figures = {"picks": str(args.out), **figures, "select_s": round(took, 3)}
    if not args.no_pictures:
        figures["files"] = _pictures(args, picks, covered, classes, dataset)
    show(figures | {"wall_s": round(time.perf_counter() - started, 1)}, as_json=args.json)
    return 0


def _pool(args: argparse.Namespace) -> tuple[ImageDataset | None, AnyArray, dict[str, Any] | None]:
    """Return the data set where one is named, the features, and what they say of their data set."""
    from pal_plugin.priors import embed, load_features, make_prior, ready

    dataset = load_part(args) if args.data else None
    if args.features is not None:
        store = load_features(args.features, None if dataset is None else dataset.manifest)
    elif dataset is None:
        raise ConfigError("--prior embeds a data set, and none is named", "Add --data NAME, or give --features")
    else:
        store = embed(dataset, ready(make_prior(args.prior), dataset), num_workers=args.workers)
    reference = store.manifest_reference or (dataset and dataset.manifest.reference())
    return dataset, store.features, reference or None


def _selector(args: argparse.Namespace) -> Selector:
    from pal_plugin.selection import make_selector

    given = {
        "metric": args.metric,
        "start": args.start,
        "seed": args.draw_seed,
        "trim": args.trim,
        "balanced": args.balanced or None,
        "device": args.device,
    }
    parameters = {name: value for name, value in given.items() if value is not None}
    for name, value in args.param:
        if name in parameters:
            raise ConfigError(f"The parameter {name} is given twice", "Leave one out: the option, or --param")
        parameters[name] = value
    return make_selector(args.method, **parameters)


def _named(
    path: Path | None, dataset: ImageDataset | None, reference: dict[str, Any] | None, option: str, samples: int
) -> Longs | None:
    """Return the samples that a file names, or None where there is no file."""
    from pal_plugin.selection import Selection, read_samples
    from pal_plugin.selection.base import check_picks as check_reference
    from pal_plugin.selection.base import checked_indices

    if path is None:
        return None
    if dataset is not None:
        return checked_indices(f"{option} {path}", read_samples(path, dataset.manifest), samples)
    if path.suffix != ".csv":
        raise ConfigError(f"{option} {path} names ids, and no data set has them", "Add --data NAME, or pass picks.csv")
    picks = Selection.load(path)
    check_reference(f"{option} {path}", picks, reference)
    return checked_indices(f"{option} {path}", picks, samples)


def _earlier(path: Path | None, samples: int) -> Selection | None:
    """Return the selection to go on from; rows may have been appended since, so its data set need not be this one."""
    from pal_plugin.selection import Selection
    from pal_plugin.selection.base import checked_indices

    if path is None:
        return None
    if path.suffix != ".csv":
        raise SelectionError(f"--after {path} is no selection", "Pass picks.csv as `pal select` wrote it")
    picks = Selection.load(path)
    checked_indices(f"--after {path}", picks, samples)  # which names the file; `select` knows of none
    return picks


def _figures(
    method: str,
    selector: Selector,
    features: AnyArray,
    picks: Selection,
    chosen: dict[str, Any],
    dataset: ImageDataset | None,
) -> tuple[dict[str, Any], Coverage, dict[str, int] | None]:
    """Return what is printed, the coverage, and how many picks each class has where there are classes."""
    import numpy as np

    from pal_plugin.selection import class_counts, coverage, kl_to_uniform
    from pal_plugin.selection.coverage import SHARES

    metric = str(selector.get_params().get("metric", "euclidean"))
    covered = coverage(features, picks, metric=metric, among=chosen["candidates"], labelled=chosen["labelled"])
    figures: dict[str, Any] = {"method": method, "samples": len(features), "budget": len(picks)}
    if len(picks):
        nearest = covered.distances[-1].tolist()
        figures["distance_to_nearest_pick"] = {
            f"{share:.0%}": value for share, value in zip(SHARES, nearest, strict=True)
        }
        if method == _CERTIFIED and picks.radii is not None and np.isfinite(picks.radii[-1]):
            figures["radius"] = float(picks.radii[-1])
            bound = float(picks.lower_bounds[-1])
            if np.isfinite(bound):
                figures["no_choice_below"] = bound
    classes = None
    if dataset is not None and dataset.num_classes and (dataset.labels >= 0).any():
        counts = class_counts(dataset.labels[picks.indices], dataset.num_classes)
        classes = dict(zip(dataset.class_names, counts.tolist(), strict=True))
        figures |= {"classes": classes, "kl_to_uniform": kl_to_uniform(counts)}
    return figures, covered, classes


def _pictures(
    args: argparse.Namespace,
    picks: Selection,
    covered: Coverage,
    classes: dict[str, int] | None,
    dataset: ImageDataset | None,
) -> dict[str, str]:
    from pal_plugin.sheet import write_budget_figure, write_picks_sheet

    # With trim the radius is that of the samples that are left, and the curve that of all.
    certified = args.method == _CERTIFIED and picks.radii is not None and not picks.selector["parameters"]["trim"]
    budget, sheet = _pictured(args.out)
    files = {"budget": str(write_budget_figure(budget, picks, covered, classes, certified=certified))}
    if dataset is not None:
        files["sheet"] = str(write_picks_sheet(sheet, dataset, picks))
    return files


def _pictured(out: Path) -> tuple[Path, Path]:
    """Return where the pictures of picks are: what a budget buys, and the first picks."""
    return out.with_suffix(".png"), out.with_name(f"{out.stem}-sheet.png")
