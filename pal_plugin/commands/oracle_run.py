"""`pal oracle run`: ask, train on the answers, ask again."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pal_plugin.commands.options import add_dataset, add_json, add_policy, add_prices, file_path, seed, store_place

if TYPE_CHECKING:
    from pal_plugin.rounds import RoundPoint, Settings

_AFTER = """what follows -- are Hydra's overrides of the training, for example

  pal oracle run --data digits --store answers.db --budget 40 --rounds 2 -- profile=debug

The images are those that such a training sees: the profile smoke, for one, takes a part of the data set. Killed at any
moment, the same command goes on where it was."""


def add(actions: Any) -> None:
    """Add `pal oracle run` to the actions of `pal oracle`."""
    parser = actions.add_parser(
        "run",
        help="ask an oracle, train on its answers, ask again: accuracy against what was asked",
        epilog=_AFTER,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_dataset(parser, required=True)
    parser.add_argument("--subset", type=int, metavar="N", help="a stratified sample of N images (default: profile's)")
    parser.add_argument(
        "--store", type=store_place, required=True, metavar="FILE|URL", help="where answers are kept; made if it is new"
    )
    parser.add_argument(
        "--out", type=file_path, metavar="DIR", help="folder of the rounds (default: STORE's name, -rounds)"
    )
    _add_questions(parser)
    _add_oracle(parser)
    _add_training(parser)
    add_json(parser)
    parser.set_defaults(run=_run)


def _add_questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        default="active",
        metavar="NAME",
        help="what is asked: random (pairs), grids (random), active (default), uncertainty, merging",
    )
    parser.add_argument("--budget", type=int, default=200, metavar="N", help="questions in all (default: 200)")
    parser.add_argument("--rounds", type=int, default=4, metavar="K", help="parts they are asked in (default: 4)")
    parser.add_argument("--grid", type=int, default=10, metavar="M", help="candidates of a grid (default: 10)")
    parser.add_argument(
        "--stop", type=float, metavar="X", help="of merging: stop where a grid is expected to join less"
    )
    parser.add_argument("--order", type=file_path, metavar="FILE", help="picks.csv: ask about these samples first")
    parser.add_argument(
        "--features",
        type=file_path,
        metavar="DIR",
        help="space in which the first questions are chosen (`pal embed`); without it a first training makes one",
    )


def _add_oracle(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--oracle",
        default="labels",
        metavar="WHO",
        help="who answers: labels (default), human (by `pal oracle serve` on the same store), a file of relations, or "
        "a plugin's",
    )
    parser.add_argument("--noise", type=float, default=0.0, metavar="F", help="share of answers turned into wrong ones")
    add_policy(parser)
    add_prices(parser)


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--method", default="pal_simclr", metavar="NAME", help="config that is trained, a pal_…")
    parser.add_argument("--no-train", action="store_true", help="only ask")
    parser.add_argument("--seed", type=seed, default=0, metavar="S", help="of questions, mistakes and training")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="of the training's config, after --")


def settings_of(args: argparse.Namespace) -> Settings:
    """Return what the command line says."""
    from pal_plugin.rounds import Settings

    data = {
        "dataset": args.data,
        "root": None if args.root is None else str(args.root),
        "options": args.options,
        "val_fraction": args.val_fraction,
        "subset": args.subset,
    }
    same = ["strategy", "budget", "rounds", "grid", "stop", "order", "features", "oracle", "noise", "policy"]
    same += ["per_click", "per_second", "currency", "seed", "store"]
    return Settings(
        data={key: value for key, value in data.items() if value is not None},
        out=args.out or default_out(args.store),
        method=None if args.no_train else args.method,
        overrides=tuple(args.overrides),
        **{name: getattr(args, name) for name in same},
    )


def default_out(store: str) -> Path:
    """Return the folder of the rounds where none is named: beside a store's file, or named like its database."""
    if "://" in store:
        return Path(f"{urlsplit(store).path.rpartition('/')[2] or 'answers'}-rounds")
    return Path(store).with_name(f"{Path(store).stem}-rounds")


def _run(args: argparse.Namespace) -> int:
    from pal_plugin.rounds import rounds

    settings = settings_of(args)
    points = rounds(settings)
    if args.json:
        print(json.dumps({"out": str(settings.out), "rounds": [point.row() for point in points]}, indent=2))
    else:
        print(_table(points))
        print(f"curve: {settings.out / 'curve.csv'}")
    return 0


def _table(points: list[RoundPoint]) -> str:
    """Return the curve in aligned columns; one that no point has anything in is left out."""
    rows = [point.row() for point in points]
    names = [name for name in _SHOWN if any(row[name] is not None for row in rows)]
    if not any(row["cost"] for row in rows):
        names.remove("cost")
    cells = [[_SHOWN[name] for name in names], *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


_SHOWN = {
    "round": "round",
    "questions": "questions",
    "clicks": "clicks",
    "answers": "answers",
    "related": "related pairs",
    "unrelated": "unrelated pairs",
    "known_per_answer": "known per answer",
    "related_purity": "related rightly",
    "cost": "cost",
    "accuracy": "k-NN %",
}


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
