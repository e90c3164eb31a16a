"""What every stage's command line shares: options by name, and errors as `pal` says them."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from pal_plugin.cli import guarded

OPTIONS: dict[str, type] = {
    "profile": str,
    "method": str,
    "augmentation": str,
    "arm": str,
    "seed": int,
    "prior": str,
    "graph": str,
    "cell": str,
    "experiment": str,
    "k": int,
}


def run(stage: Callable[..., None], *options: str) -> None:
    """Parse `--option value` for each of `options`, all of them needed, and call `stage` with them by name.

    Args:
        stage: the stage; its docstring's first line is the help text.
        *options: keys of `OPTIONS`.
    """
    parser = argparse.ArgumentParser(description=(stage.__doc__ or "").splitlines()[0])
    for option in options:
        parser.add_argument(f"--{option}", type=OPTIONS[option], required=True)
    arguments = vars(parser.parse_args())

    def work() -> int:
        stage(**arguments)
        return 0

    raise SystemExit(guarded(work))
