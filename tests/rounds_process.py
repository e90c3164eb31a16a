"""Run by the tests in a process of its own: `pal oracle run`, and die by SIGKILL where `ARGS` says.

`ARGS`: arguments (of the command), kill_at_answer, kill_at_batch (counts in this process, or None).
"""

import os
import signal
import sys
from typing import Any

from pal_plugin.cli import main
from pal_plugin.host import BaseMethod
from pal_plugin.oracle.answers import LabelOracle

ARGS: dict[str, Any] = globals()["ARGS"]


def kill_at(owner: type, name: str, count: int | None) -> None:
    """Let this process die when the method `name` is called for the time `count`, counted from 0."""
    method, seen = getattr(owner, name), iter(range(10**9))

    def counted(self: Any, *arguments: Any) -> Any:
        if next(seen) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(self, *arguments)

    setattr(owner, name, counted)


kill_at(LabelOracle, "_answer", ARGS["kill_at_answer"])
kill_at(BaseMethod, "training_step", ARGS["kill_at_batch"])
sys.exit(main(ARGS["arguments"]))
