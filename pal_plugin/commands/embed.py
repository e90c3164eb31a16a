"""`pal embed`: a data set in the space of a prior."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from pal_plugin.commands.options import add_dataset, add_json, show


def add(commands: Any) -> None:
    """Add `pal embed` to the commands."""
    embed = commands.add_parser("embed", help="embed a data set by a prior network into a feature store")
    add_dataset(embed, required=True)
    embed.add_argument("--split", choices=["train", "test"], default="train")
    embed.add_argument("--subset", type=int, metavar="N", help="a stratified sample of N images")
    embed.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (default: 0)")
    embed.add_argument("--prior", required=True, metavar="SPEC", help="lite0, pixels, or one that a plugin adds")
    embed.add_argument("--out", type=Path, metavar="DIR", help="feature store to write (default: the cache)")
    add_json(embed)
    embed.set_defaults(run=_embed)


def _embed(args: argparse.Namespace) -> int:
    from pal_plugin.data import load_dataset
    from pal_plugin.priors import embed, make_prior
    from pal_plugin.priors.base import cached_at

    started = time.perf_counter()
    prior = make_prior(args.prior)
    dataset = load_dataset(args.data, args.split, root=args.root, subset=args.subset, seed=args.seed)
    folder = args.out or cached_at(dataset, prior)
    rows, dimensions = embed(dataset, prior, out=args.out).features.shape
    figures = {"features": str(folder), "rows": rows, "dimensions": dimensions}
    show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0
