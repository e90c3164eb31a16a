"""Run by the tests in a process of its own: move a run aside, and die by SIGKILL where `ARGS` says.

`ARGS`: folder, what a run writes there, how many parts are moved before the end.
"""

import os
import shutil
import signal
from typing import Any

from pal_plugin.resume import set_aside

FOLDER, WRITTEN, LEFT = globals()["ARGS"]
move, seen = shutil.move, iter(range(10**9))


def counted(*names: Any) -> Any:
    if next(seen) == LEFT:
        os.kill(os.getpid(), signal.SIGKILL)
    return move(*names)


shutil.move = counted
set_aside(FOLDER, WRITTEN)
