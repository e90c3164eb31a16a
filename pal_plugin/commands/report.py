"""`pal report`: what was reproduced, as one page. The reproductions write it; they are no part of this package."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from pal_plugin.commands.options import file_path
from pal_plugin.errors import ConfigError

_MODULE = "reproductions.reporting"


def add(commands: Any) -> None:
    """Add `pal report` to the commands."""
    parser = commands.add_parser(
        "report",
        help="what was reproduced of four papers, as one page",
        description="Write a page, index.html, and the same in Markdown, README.md, from the metrics files of all "
        "profiles below reproductions/results. Run it at the root of a clone of the repository.",
    )
    parser.add_argument("--out", type=file_path, metavar="FOLDER", help="where to (default: reproductions/report)")
    parser.set_defaults(run=_report)


def _report(args: argparse.Namespace) -> int:
    if not Path(*_MODULE.split("."), "__main__.py").is_file():
        raise ConfigError(
            f"There are no reproductions in {Path.cwd()}: they are in the repository, not in the installed package",
            "Clone the repository and run `pal report` at its root",
        )
    out = ["--out", str(args.out)] if args.out else []
    return subprocess.run([sys.executable, "-m", _MODULE, *out], check=False).returncode
