"""What every stage's command line shares: options by name, errors as `pal` says them, and what a machine lacks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pal_plugin.cli import guarded
from pal_plugin.errors import ConfigError, DataError, DeviceError
from reproductions import not_run

Named = TypeVar("Named")
NO_GPU = "Needs a GPU, and the machine has none"
OPTIONS: dict[str, type] = {
    "profile": str,
    "method": str,
    "augmentation": str,
    "arm": str,
    "seed": int,
    "prior": str,
    "graph": str,
    "features": str,
    "cell": str,
    "experiment": str,
    "k": int,
}


def run(stage: Callable[..., None], *options: str, trains: bool = False) -> None:
    """Parse `--option value` for each of `options`, all of them needed, and call `stage` with them by name.

    Where the machine lacks something, a GPU or a data set, the stage fails, and the report says why its cell is empty.

    Args:
        stage: the stage; its docstring's first line is the help text.
        *options: keys of `OPTIONS`, the profile among them.
        trains: what it does in the profile `paper` takes a GPU, and is refused without one.
    """
    parser = argparse.ArgumentParser(description=(stage.__doc__ or "").splitlines()[0])
    for option in options:
        parser.add_argument(f"--{option}", type=OPTIONS[option], required=True)
    arguments = vars(parser.parse_args())

    def work() -> int:
        profile = arguments["profile"]
        on_gpu = trains and profile == "paper"
        try:
            if on_gpu:
                _need_gpu()
            stage(**arguments)
        except (DataError, DeviceError) as error:
            not_run.remember(profile, _kind(), error.what)
            raise
        not_run.forget(profile, _kind(), *([NO_GPU] if on_gpu else []))
        return 0

    raise SystemExit(guarded(work))


def named(parse: Callable[[str], Named], name: str, example: str) -> Named:
    """Return what `parse` makes of a name that params.yaml gave.

    Raises:
        ConfigError: there is nothing of that name.
    """
    try:
        return parse(name)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Nothing is called {name!r} here: {error}", f"Name it as, for example, {example}") from error


def _kind() -> str:
    """Return the module that this process runs, of those of the reproductions: `pal.images`."""
    module = getattr(sys.modules["__main__"].__spec__, "name", None) or Path(sys.argv[0]).stem
    return module.removeprefix("reproductions.")


def _need_gpu() -> None:
    import torch  # heavy, and tables do without

    if not torch.cuda.is_available():
        raise DeviceError(
            NO_GPU,
            "Run the profile paper on a machine with one (dvc repro --keep-going does what needs none), or another",
        )
