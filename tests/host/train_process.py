"""Run by the tests in a process of its own: train, and die by SIGKILL where `ARGS` says.

`ARGS`: config (name), overrides, kill_at_batch (count of training steps in this process, or None),
kill_in_save (number of the checkpoint in whose middle to die, or None).
"""

import os
import signal
from pathlib import Path
from typing import Any

from pal_plugin.host import BaseMethod
from pal_plugin.launch import compose
from pal_plugin.train import train

ARGS: dict[str, Any] = globals()["ARGS"]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at_batch(batch: int) -> None:
    step, seen = BaseMethod.training_step, iter(range(10**9))

    def counted(self: Any, *arguments: Any) -> Any:
        if next(seen) == batch:
            die()
        return step(self, *arguments)

    BaseMethod.training_step = counted


def kill_in_save(number: int) -> None:
    write, seen = Path.write_bytes, iter(range(10**9))

    def half(self: Path, data: Any) -> int:
        if next(seen) != number:
            return write(self, data)
        with self.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            die()
        raise AssertionError("it should be dead")

    Path.write_bytes = half  # type: ignore[method-assign]


if ARGS["kill_at_batch"] is not None:
    kill_at_batch(ARGS["kill_at_batch"])
if ARGS["kill_in_save"] is not None:
    kill_in_save(ARGS["kill_in_save"])
train(compose(ARGS["config"], ARGS["overrides"]))
