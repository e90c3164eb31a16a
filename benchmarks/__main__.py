"""Run benchmarks by name, print their figures, and write them with the machine that they were taken on."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import losses, selection
from benchmarks.machine import machine
from pal_plugin.io import write_json

BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {"losses": losses.run, "selection": selection.run}


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    found: dict[str, Any] = {name: BENCHMARKS[name]() for name in arguments.names}
    found["machine"] = machine()
    if arguments.json:
        write_json(arguments.json, found)


if __name__ == "__main__":
    main()
