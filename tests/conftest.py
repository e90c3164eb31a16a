"""One thread for every test and for the processes it starts: the arrays are tiny, and the tests run side by side."""

import multiprocessing
import os
import runpy
import signal
import socket
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

RANK = str(Path(__file__).with_name("rank_process.py"))

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch, faiss and BLAS are first imported
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_configure() -> None:
    """Receive Ctrl-C: a shell starts background jobs with it ignored, and what they start inherits that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def processes() -> ForkServerContext:
    """A forkserver that has imported torch, Lightning and solo-learn once: a process then starts in a second."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pal_plugin.train"])
    return context


@pytest.fixture
def run_ranks(processes: ForkServerContext) -> Callable[..., list[int | None]]:
    """Run a script as the ranks of one process group, with `ARGS` and each its `rank`; return their exit codes.

    The code is negative for one that had to be killed.
    """

    def run(script: Path, arguments: dict[str, Any], world: int = 2) -> list[int | None]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            shared = arguments | {"port": probe.getsockname()[1], "world": world}
        ranks = [
            processes.Process(
                target=runpy.run_path, args=(RANK, {"SCRIPT": str(script), "ARGS": shared | {"rank": rank}})
            )
            for rank in range(world)
        ]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(120)
            if process.is_alive():
                process.kill()
                process.join()
        return [process.exitcode for process in ranks]

    return run
