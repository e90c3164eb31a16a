"""`pal oracle serve`: a web page on which people answer questions about a data set."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pal_plugin.commands.options import (
    add_dataset,
    add_part,
    add_policy,
    add_prices,
    file_path,
    load_part,
    seed,
    store_place,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from pal_plugin.data import ImageDataset
    from pal_plugin.oracle.store import RelationStore
    from pal_plugin.oracle.strategies import Strategy
    from pal_plugin.page.api import Room

STRATEGIES = ("merging", "uncertainty", "active", "grids", "random")


def add(actions: Any) -> None:
    """Add `pal oracle serve`."""
    serve = actions.add_parser("serve", help="a web page on which people answer questions; resumes where it stopped")
    serve.add_argument(
        "--store",
        type=store_place,
        required=True,
        metavar="FILE|URL",
        help="where answers are kept: an SQLite file, made where it is not there, or postgresql://… for a team",
    )
    add_dataset(serve, required=True)
    add_part(serve)
    _add_questions(serve)
    add_prices(serve.add_argument_group("prices"))
    _add_server(serve)
    serve.set_defaults(run=_serve)


def _add_questions(serve: argparse.ArgumentParser) -> None:
    questions = serve.add_argument_group("questions")
    questions.add_argument(
        "--features",
        type=file_path,
        metavar="DIR",
        help="feature store of `pal embed`: which images are alike, at a guess",
    )
    questions.add_argument(
        "--strategy",
        default="merging",
        metavar="NAME",
        help=f"what is asked next: {', '.join(STRATEGIES)} (default: merging)",
    )
    questions.add_argument("--grid", type=int, default=12, metavar="M", help="candidates of a grid (default: 12)")
    questions.add_argument("--order", type=file_path, metavar="FILE", help="ask about these samples first (picks.csv)")
    questions.add_argument("--stop", type=float, metavar="J", help="of merging: stop when a grid joins fewer than this")
    questions.add_argument("--draw-seed", type=seed, default=0, metavar="S", help="which questions (default: 0)")
    add_policy(questions)
    questions.add_argument(
        "--overlap",
        type=float,
        default=0.0,
        metavar="F",
        help="share of the questions that a second annotator is asked too, to see whether they agree (default: 0)",
    )
    questions.add_argument("--budget", type=int, metavar="N", help="stop after N questions in all (default: none)")


def _add_server(serve: argparse.ArgumentParser) -> None:
    server = serve.add_argument_group("server")
    server.add_argument(
        "--host", default="127.0.0.1", metavar="NAME", help="where to listen (default: 127.0.0.1, this machine only)"
    )
    server.add_argument("--port", type=int, default=8080, metavar="P", help="0: any that is free (default: 8080)")
    server.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name by which browsers call this server: of a proxy, or an alias; can be repeated",
    )
    server.add_argument(
        "--token", action="store_true", help="ask for a token on this machine too: where other people work on it"
    )


def _serve(args: argparse.Namespace) -> int:
    from pal_plugin.oracle.store import RelationStore
    from pal_plugin.page.app import make_app
    from pal_plugin.page.serve import address, alone, listen, make_access, serve

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(listen(args.host, args.port)))
        access = make_access(listener, args.host, args.allow_host, always_token=args.token)
        url = address(access, listener)
        dataset = load_part(args)
        if "://" not in args.store:
            stack.enter_context(alone(Path(args.store), url.partition("?")[0]))
        store = stack.enter_context(RelationStore.ensure(args.store, dataset.manifest))
        app = make_app(_room(args, dataset, store), access)
        print(f"The page is at {url}\nCtrl-C stops it; answers are kept as they come.", flush=True)
        serve(app, listener)
    print(f"Stopped. Nothing is lost: the same command goes on with {store.place}.", file=sys.stderr)
    return 0


def _room(args: argparse.Namespace, dataset: ImageDataset, store: RelationStore) -> Room:
    from pal_plugin.oracle.accounting import Prices
    from pal_plugin.oracle.desk import Desk
    from pal_plugin.page.api import Room
    from pal_plugin.page.images import Pictures

    prices = Prices(args.per_click, args.per_second, args.currency)
    desk = Desk(
        store,
        _strategy(args, dataset, store),
        policy=args.policy,
        features=_features(args, dataset),
        overlap=args.overlap,
        seed=args.draw_seed,
        budget=args.budget,
        prices=prices if prices.per_click or prices.per_second else None,
    )
    pictures = Pictures(dataset, store.secret)
    return Room(desk, pictures, dataset.name, dataset.split, len(dataset), args.currency)


def _strategy(args: argparse.Namespace, dataset: ImageDataset, store: RelationStore) -> Strategy:
    from pal_plugin.oracle.strategies import make_strategy

    options = {"grid": args.grid, "seed": args.draw_seed, "order": args.order, "stop": args.stop}
    if args.strategy == "active":
        options["seeds"] = _seeds(dataset, store)
    return make_strategy(args.strategy, len(dataset), **options)


def _seeds(dataset: ImageDataset, store: RelationStore) -> npt.NDArray[np.int64]:
    """Return one sample of each class, and let the store know that they are unrelated."""
    from pal_plugin.errors import ConfigError
    from pal_plugin.oracle.checks import first_of_each_class
    from pal_plugin.oracle.seeds import tell_seeds

    if not (dataset.labels >= 0).any():
        raise ConfigError(
            f"The strategy active starts from a known sample of each class, and no image of {dataset.name} has a label",
            "Choose another: --strategy merging",
        )
    seeds = first_of_each_class(dataset.labels)
    tell_seeds(store, seeds)
    return seeds


def _features(args: argparse.Namespace, dataset: ImageDataset) -> npt.NDArray[np.float32] | None:
    if args.features is None:
        return None
    from pal_plugin.data import check_reference
    from pal_plugin.priors import load_features

    found = load_features(args.features)
    if found.manifest_reference:  # a bare .npy names no data set
        check_reference(found.manifest_reference, dataset.manifest, what="The features", path=args.features)
    return found.features
