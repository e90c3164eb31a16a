"""`pal eval`: measure the representation of a checkpoint, or a prior."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from pal_plugin.commands.options import add_dataset, add_json, at_least, device_name, file_path, seed
from pal_plugin.commands.targets import check_figures
from pal_plugin.errors import ConfigError
from pal_plugin.io import write_json

if TYPE_CHECKING:
    from pal_plugin.evaluation import Recipe
    from pal_plugin.evaluation.measures import Measure
    from pal_plugin.evaluation.source import Source

MEASURES = ("knn", "linear", "linear_sgd", "retrieval", "finetune", "coarse", "attributes", "r2", "dci")


def add(commands: Any) -> None:
    """Add `pal eval` to the commands."""
    parser = commands.add_parser(
        "eval",
        help="measure the representation of a checkpoint, or a prior",
        description="Fit on one split, choose on val, read another split once. An option that takes several values "
        "(--k, --C, --lr) is chosen on val when it is given several, or by --choose. coarse is linear for the classes "
        "above the labels; attributes, r2 and dci are of attributes or factors, which few data sets have.",
    )
    parser.add_argument("measures", nargs="+", choices=MEASURES, help="one or more; features are made once")
    _add_source(parser)
    add_dataset(parser, required=False)
    _add_splits(parser)
    _add_measures(parser)
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 …")
    parser.add_argument(
        "--workers", type=at_least(0), default=0, metavar="N", help="processes that read images (default: 0)"
    )
    parser.add_argument("--out", type=file_path, metavar="FILE", help="JSON file to write")
    add_json(parser)
    parser.set_defaults(run=_eval)


def _add_source(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--checkpoint", type=file_path, metavar="PATH", help="ours, or plain solo-learn's of either host"
    )
    source.add_argument("--prior", metavar="SPEC", help="a prior as it is: lite0, pixels, pca:64, timm:NAME …")
    parser.add_argument(
        "--backbone", metavar="NAME", help="architecture, where the checkpoint does not say: resnet18 …"
    )
    parser.add_argument("--stem", choices=["cifar", "imagenet", "no_maxpool"], help="of a ResNet (default: by weights)")
    embedding = "features of the backbone (default), or what the projector makes of them, at unit length"
    parser.add_argument("--embedding", choices=["backbone", "projector"], default="backbone", help=embedding)
    parser.add_argument("--crop-size", type=int, metavar="S", help="pixels that images are shown at (default: trained)")


def _add_splits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fit", default="train", metavar="SPLIT", help="fit on train (default), val or test")
    parser.add_argument("--read", default="test", metavar="SPLIT", help="report on test (default) or val")
    parser.add_argument("--fit-subset", type=int, metavar="N", help="of it a stratified sample (default: as trained)")
    parser.add_argument("--label-fraction", type=float, default=1.0, metavar="F", help="share of its labels to fit on")
    parser.add_argument(
        "--labelled",
        type=file_path,
        metavar="FILE",
        help="fit on these alone: picks.csv of `pal select`, or one id a line",
    )
    parser.add_argument("--label-budget", type=at_least(1), metavar="N", help="only the first N of them (default: all)")
    parser.add_argument("--read-subset", type=int, metavar="N", help="read a stratified sample (default: all)")
    parser.add_argument("--seed", type=seed, metavar="S", help="of the samples (default: the checkpoint's, else 0)")


def _add_measures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--choose", action="store_true", help="choose k, C and lr on val from small grids")
    parser.add_argument("--k", type=int, nargs="+", metavar="K", help="knn: neighbours that vote (default: 20)")
    parser.add_argument(
        "--C", type=float, nargs="+", metavar="C", help="linear, coarse, attributes: inverse penalty (default: 1)"
    )
    rate = "linear_sgd, finetune: learning rate for a batch of 256 (default: 0.3, 0.05)"
    parser.add_argument("--lr", type=float, nargs="+", metavar="LR", help=rate)
    parser.add_argument("--epochs", type=int, metavar="E", help="linear_sgd, finetune (default: 100, 30)")
    parser.add_argument("--batch-size", type=int, default=256, metavar="B", help="linear_sgd, finetune (default: 256)")
    parser.add_argument("--schedule", choices=["step", "cosine"], default="step", help="linear_sgd, finetune")
    parser.add_argument(
        "--weight-decay", type=float, default=0.0, metavar="W", help="linear_sgd, finetune (default: 0)"
    )
    parser.add_argument("--seeds", type=seed, nargs="+", default=[0], metavar="S", help="runs of linear_sgd, finetune")
    parser.add_argument("--recall-at", type=int, nargs="+", metavar="K", help="retrieval (default: 1 5 10)")
    gallery = "retrieval: search the split that is read, each image among the others (own, default), or the fitted one"
    parser.add_argument("--gallery", choices=["own", "fit"], default="own", help=gallery)
    parser.add_argument("--metric", choices=["cosine", "euclidean"], default="cosine", help="knn, retrieval")


def _eval(args: argparse.Namespace) -> int:
    from pal_plugin.evaluation import Splits, evaluate, load_parts, merged_data

    if args.out is not None:
        check_figures(args.out)
    source, own = _source(args)
    data = merged_data(own, name=args.data, root=args.root, options=args.options, val_fraction=args.val_fraction)
    measures = _measures(args)
    splits = Splits(
        fit=args.fit,
        read=args.read,
        fit_subset=args.fit_subset,
        label_fraction=args.label_fraction,
        read_subset=args.read_subset,
        labelled=args.labelled,
        label_budget=args.label_budget,
        seed=data.get("subset_seed", 0) if args.seed is None else args.seed,
    )
    parts = load_parts(
        data,
        splits,
        fit=any(measure.fits for measure in measures),
        choose=any(measure.chooses for measure in measures),
        labelled=any(measure.reads_labels for measure in measures),
    )
    result = evaluate(source, parts, measures)
    try:
        if args.out is not None:
            write_json(args.out, result)
    finally:  # of a long measurement neither a full disk nor a closed pipe takes both
        print(json.dumps(result, indent=2, allow_nan=False) if args.json else _text(result), flush=True)
    return 0


def _source(args: argparse.Namespace) -> tuple[Source, dict[str, Any] | None]:
    """Return what is evaluated, and what its config says of its data set."""
    from pal_plugin.evaluation import from_checkpoint, from_prior

    if args.prior is not None:
        _refuse_options_of_checkpoints(args)
        return from_prior(args.prior, num_workers=args.workers), None
    from pal_plugin.host.config import plain

    network, cfg = from_checkpoint(
        args.checkpoint,
        backbone=args.backbone,
        stem=args.stem,
        crop_size=args.crop_size,
        embedding=args.embedding,
        device=device_name(args.device),
        num_workers=args.workers,
    )
    return network, plain(cfg).get("data")


def _refuse_options_of_checkpoints(args: argparse.Namespace) -> None:
    given = {"--backbone": args.backbone, "--stem": args.stem, "--crop-size": args.crop_size}
    given["--device"] = None if args.device == "auto" else args.device
    given["--embedding"] = None if args.embedding == "backbone" else args.embedding
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option} is for checkpoints, and {args.prior} is a prior",
                "Leave it out; what a prior can be told stands in its spec, for example 'lite0?device=cpu'",
            )


def _measures(args: argparse.Namespace) -> list[Measure]:
    from pal_plugin.evaluation import DCI, KNN, R2, Attributes, Coarse, Finetune, Linear, LinearSGD, Retrieval
    from pal_plugin.evaluation.measures import KNN_GRID, LINEAR_GRID
    from pal_plugin.evaluation.retrieval import DEFAULT_KS
    from pal_plugin.evaluation.trained import FINETUNE_GRID, SGD_GRID

    def values(given: Any, grid: Any, default: Any) -> Any:
        return given or (grid if args.choose else (default,))

    made: dict[str, Measure] = {
        "knn": KNN(values(args.k, KNN_GRID, 20), args.metric),
        "linear": Linear(values(args.C, LINEAR_GRID, 1.0)),
        "linear_sgd": LinearSGD(values(args.lr, SGD_GRID, 0.3), _recipe(args, 100), args.seeds),
        "finetune": Finetune(values(args.lr, FINETUNE_GRID, 0.05), _recipe(args, 30), args.seeds),
        "retrieval": Retrieval(args.recall_at or DEFAULT_KS, args.gallery, args.metric),
        "coarse": Coarse(values(args.C, LINEAR_GRID, 1.0)),
        "r2": R2(),
        "dci": DCI(),
    }
    if "attributes" in args.measures:
        made["attributes"] = Attributes(_only(args.C))
    return [made[name] for name in dict.fromkeys(args.measures)]


def _only(penalties: list[float] | None) -> float:
    if penalties and len(penalties) > 1:
        raise ConfigError("attributes chooses no C: there is one for all attributes", "Give one value of --C")
    return penalties[0] if penalties else 1.0


def _recipe(args: argparse.Namespace, epochs: int) -> Recipe:
    from pal_plugin.evaluation import Recipe

    return Recipe(
        epochs=epochs if args.epochs is None else args.epochs,
        batch_size=args.batch_size,
        schedule=args.schedule,
        weight_decay=args.weight_decay,
    )


def _text(result: dict[str, Any]) -> str:
    """Return the result in lines: of the classes only those with the least and the most."""
    lines = []
    for key, value in result.items():
        if key == "data":
            lines += [f"{role}: {_part(part)}" for role, part in value.items()]
        elif isinstance(value, dict):
            lines.append(f"{key}: {_figures(value)}")
        else:
            lines.append(f"{key}: {_number(value)}")
    return "\n".join(lines)


def _part(part: dict[str, Any]) -> str:
    without = f", {part['unlabelled_left_out']} without a label left out" if part["unlabelled_left_out"] else ""
    classes = f", {len(part['classes'])} classes" if part["classes"] else ""
    return f"{part['size']} images of {part['name']}/{part['split']}{classes}{without}"


def _figures(figures: dict[str, Any]) -> str:
    words = []
    for key, value in figures.items():
        if key.startswith("per_"):
            of = "" if key == "per_class" else f"{key.removeprefix('per_')} "
            ends = min(value.items(), key=_share), max(value.items(), key=_share)
            words += [
                f"{of}{word} {share:.2f} ({name})" for word, (name, share) in zip(("least", "most"), ends, strict=True)
            ]
        elif key == "std":
            spread = [f"{name} ±{_number(part)}" for name, part in value.items() if part is not None]
            words += [", ".join(spread)] if spread else []
        elif isinstance(value, list):
            words += [f"{key} of {len(value)}"] if value else []
        else:
            words.append(f"{key} {_number(value)}")
    return ", ".join(words)


def _share(item: tuple[str, float]) -> float:
    return item[1]


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) and abs(value) >= 0.01 else str(value)
