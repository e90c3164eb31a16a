"""`pal eval`: measure the frozen representation of a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pal_plugin.commands.options import add_dataset, add_json, show
from pal_plugin.io import write_json


def add(commands: Any) -> None:
    """Add `pal eval` to the commands."""
    evaluate = commands.add_parser("eval", help="measure the frozen representation of a checkpoint")
    evaluate.add_argument("measures", nargs="+", choices=["knn", "linear"], help="one or both; features are made once")
    evaluate.add_argument("--checkpoint", type=Path, required=True, metavar="PATH")
    add_dataset(evaluate, required=False)
    evaluate.add_argument(
        "--train-subset", type=int, metavar="N", help="fit on a stratified sample (default: the checkpoint's own)"
    )
    evaluate.add_argument("--test-subset", type=int, metavar="N", help="read on a stratified sample (default: all)")
    evaluate.add_argument("--seed", type=int, metavar="S", help="of the samples (default: the checkpoint's own)")
    evaluate.add_argument("--k", type=int, default=20, metavar="K", help="neighbours that vote (default: 20)")
    evaluate.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 …")
    evaluate.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write")
    add_json(evaluate)
    evaluate.set_defaults(run=_eval)


def _eval(args: argparse.Namespace) -> int:
    from pal_plugin.evaluation.checkpoint import evaluate

    result = evaluate(
        args.checkpoint,
        args.measures,
        data=args.data,
        root=args.root,
        train_subset=args.train_subset,
        test_subset=args.test_subset,
        seed=args.seed,
        k=args.k,
        device=args.device,
    )
    if args.out is not None:
        write_json(args.out, result)
    show(result, as_json=args.json)
    return 0
