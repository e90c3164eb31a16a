"""Where a result comes from: commit, command, hardware and versions, for the result files."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "lightning", "numpy", "faiss-cpu", "scikit-learn", "solo-learn")


def provenance(*, gpu: bool = True) -> dict[str, Any]:
    """Return the fields `hardware`, `versions`, `commit` and `command` of a result; `gpu`: it uses one if there is."""
    return {"hardware": hardware(gpu=gpu), "versions": versions(), "commit": commit(), "command": command()}


def hardware(*, gpu: bool = True) -> str:
    """Return the GPU, or the processor with the cores that this process may use and the threads that it does."""
    import torch  # heavy

    if gpu and torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, threads: {torch.get_num_threads()}"


def versions() -> dict[str, str]:
    """Return Python's version and those of the packages that the numbers depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def commit() -> str:
    """Return the commit of the working tree, with `-dirty` where tracked code differs from it."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        changed = _git(
            "status", "--porcelain", "--untracked-files=no", "--", "pal_plugin", "reproductions/*.py", "*.py"
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def command() -> str:
    """Return the command line of this process, as a user would type it."""
    module = getattr(sys.modules["__main__"].__spec__, "name", None)
    head = f"python -m {module}" if module else "python " + sys.argv[0]
    return " ".join([head, *sys.argv[1:]])


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
