"""Run by the tests in a process of its own: save picks, and die by SIGKILL where `ARGS` says.

`ARGS`: the path, the picks, and how many renames come before the end.
"""

import os
import signal
from typing import Any

import numpy as np

from pal_plugin.selection import Selection

PATH, PICKS, RENAMES = globals()["ARGS"]
replace, seen = os.replace, iter(range(10**9))


def counted(*names: Any) -> None:
    if next(seen) == RENAMES:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)


os.replace = counted
Selection(np.array(PICKS)).save(PATH)
