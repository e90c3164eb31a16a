"""What every stage's command line shares: options by name, and our errors as one paragraph with exit status 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from pal_plugin.errors import PalError

OPTIONS: dict[str, type] = {
    "profile": str,
    "method": str,
    "augmentation": str,
    "arm": str,
    "seed": int,
    "prior": str,
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
    try:
        stage(**vars(parser.parse_args()))
    except PalError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        print("error: interrupted; run the same command again to go on from here", file=sys.stderr)
        raise SystemExit(2) from None
