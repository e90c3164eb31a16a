"""One rank of a `pal_simclr` run, started by the tests in a process of its own; what it says goes to `out/said.<rank>`.

`ARGS`: rank, port, overrides, out.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

from pal_plugin.launch import compose
from pal_plugin.train import train

ARGS: dict[str, Any] = globals()["ARGS"]

rank = ARGS["rank"]
os.environ["PAL_CACHE"] = f"{ARGS['out']}/cache.{rank}"
with Path(f"{ARGS['out']}/said.{rank}").open("w", encoding="utf-8") as file, contextlib.redirect_stderr(file):
    train(compose("pal_simclr", [*ARGS["overrides"], f"run_dir={ARGS['out']}/run.{rank}"]))
