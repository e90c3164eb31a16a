"""Run benchmarks by name, print their figures, and write them with the machine that they were taken on."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import knn, loader, losses, selection, step
from benchmarks.machine import machine
from benchmarks.plot import plot
from pal_plugin.io import write_json

BENCHMARKS: dict[str, Callable[[], dict[str, Any]]] = {
    "knn": knn.run,
    "loader": loader.run,
    "losses": losses.run,
    "selection": selection.run,
    "step": step.run,
}
"""Each returns figures for JSON; under `"curves"`, if it likes, what `plot` draws."""


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the cost curves there, as PNG")
    arguments = parser.parse_args()
    found: dict[str, Any] = {name: BENCHMARKS[name]() for name in arguments.names}
    found["machine"] = machine()
    if arguments.json:
        write_json(arguments.json, found)
    curves = {name: found[name]["curves"] for name in arguments.names if "curves" in found[name]}
    if arguments.plot and curves:
        plot(curves, arguments.plot)
    elif arguments.plot:
        print(f"{arguments.plot} is not written: {', '.join(arguments.names)} has no curves", file=sys.stderr)


if __name__ == "__main__":
    main()
