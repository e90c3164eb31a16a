"""One rank of a process group on this machine: sets what Lightning reads, and runs `SCRIPT` with `ARGS`.

The group's store is the test's, at `port`: torch takes it for that of an elastic agent, and no rank makes one.
"""

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
    "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RESTART_COUNT": "0",  # torch 2.4 reads it then
}
runpy.run_path(globals()["SCRIPT"], {"ARGS": ARGS})
