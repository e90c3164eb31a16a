"""Run by the tests in a process of its own: save picks, and die by SIGKILL where `ARGS` says.

`ARGS`: the path, the picks, and how many renames come before the end.
"""

import os
import signal
from pathlib import Path

import numpy as np

from pal_plugin.selection import Selection

PATH, PICKS, RENAMES = globals()["ARGS"]
replace, seen = Path.replace, iter(range(10**9))


def counted(old: Path, new: Path) -> Path:
    if next(seen) == RENAMES:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(old, new)


Path.replace = counted
Selection(np.array(PICKS)).save(PATH)
