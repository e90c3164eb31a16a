"""What several commands share: options, and how figures are printed."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_dataset(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add `--data` and `--root`."""
    default = "" if required else " (default: the checkpoint's own)"
    parser.add_argument("--data", required=required, metavar="NAME", help=f"cifar10 or digits{default}")
    add_root(parser)


def add_root(parser: argparse.ArgumentParser) -> None:
    """Add `--root`."""
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="where data sets are kept (default: in the cache folder)"
    )


def show(values: dict[str, Any], *, as_json: bool) -> None:
    """Print figures, a line each, or as JSON."""
    if as_json:
        print(json.dumps(values, indent=2, allow_nan=False))
        return
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {_text(part)}" for name, part in value.items())
        print(f"{key}: {_text(value)}")


def _text(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
