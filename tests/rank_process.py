"""One rank of a process group on this machine: sets what Lightning reads, and runs `SCRIPT` with `ARGS`."""

import os
import runpy
from typing import Any

ARGS: dict[str, Any] = globals()["ARGS"]

os.environ |= {
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": str(ARGS["port"]),
    "WORLD_SIZE": str(ARGS["world"]),
    "NODE_RANK": "0",
    "LOCAL_RANK": str(ARGS["rank"]),
    "RANK": str(ARGS["rank"]),
}
runpy.run_path(globals()["SCRIPT"], {"ARGS": ARGS})
