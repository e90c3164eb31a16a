"""Time the main command in a fresh clone, set-up, downloads and all: `python -m reproductions.whole`.

What it writes, `results/smoke/whole.json`, is no run of a paper: it lies beside their folders, and the report says it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pal_plugin.cli import guarded
from pal_plugin.errors import ConfigError
from pal_plugin.io import write_json
from reproductions.provenance import command, hardware
from reproductions.reporting.cost import whole_file

PROFILE = "smoke"  # what params.yaml says
FRESH = {"PAL_CACHE": "data", "UV_PROJECT_ENVIRONMENT": "environment", "UV_CACHE_DIR": "packages"}


def measured(line: str, clone: Path, caches: Path) -> dict[str, Any]:
    """Run a command line in a new clone of the current commit, its output on stderr, and return what it took.

    Raises:
        ConfigError: its program is not there, the clone cannot be made, or the command fails.
    """
    words = shlex.split(line)
    if not shutil.which(words[0]):
        raise ConfigError(f"There is no program {words[0]} on the PATH", "Install it, as with `pip install uv`")
    _git("clone", "--quiet", ".", str(clone))
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    environment |= {name: str(caches / folder) for name, folder in FRESH.items()}
    environment["PYTHONUNBUFFERED"] = "1"  # a stage is seen when it begins
    begun, setup, stages, (out, err) = time.monotonic(), 0.0, 0, (subprocess.PIPE, subprocess.STDOUT)
    with subprocess.Popen(words, cwd=clone, env=environment, text=True, stdout=out, stderr=err) as process:
        for said in process.stdout or ():
            print(said, end="", file=sys.stderr, flush=True)
            if said.startswith(("Running stage '", "Stage '")):  # the latter has not changed
                setup = setup or time.monotonic() - begun
                stages += said.startswith("Running")
    took = time.monotonic() - begun
    if process.returncode:
        raise ConfigError(f"{line} failed in {clone}", "Mend what it says above; --keep FOLDER leaves the clone")
    commit = _git("-C", str(clone), "rev-parse", "--short=12", "HEAD")
    return {"wall_s": round(took, 1), "setup_s": round(setup, 1), "stages_run": stages, "commit": commit}


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"git {arguments[0]} failed: {done.stderr.strip()}", "Run this at the root of a clone")
    return done.stdout.strip()


def main() -> int:
    """Write what `uv run dvc repro` takes in a clone of the current commit: about twenty minutes on two cores."""
    parser = argparse.ArgumentParser(prog="python -m reproductions.whole", description=main.__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="clone into this folder, and leave it there")
    parser.add_argument("--command", default="uv run dvc repro", help="what to time; default: %(default)s")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(asked.command, (asked.keep or Path(folder, "clone")).resolve(), Path(folder, "caches"))
    said = {"hardware": hardware(), "date": datetime.now(timezone.utc).date().isoformat(), "command": command()}
    # no versions: those of this process are not those of the fresh environment
    write_json(whole_file(PROFILE), {"profile": PROFILE, "measured": asked.command, **found, **said})
    return 0


if __name__ == "__main__":
    raise SystemExit(guarded(main))
