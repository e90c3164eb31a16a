"""Which solo-learn is installed: decided by its files, since the package metadata does not tell."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from pal_plugin.errors import HostError

INSTALL = "uv sync (the dependency group `host` brings it), or pip install --no-deps solo-learn==1.0.2"


@dataclass(frozen=True)
class HostInfo:
    """The solo-learn at hand.

    Attributes:
        kind: `release` (1.0.2 of the package index) or `main` (GitHub's main branch).
        version: what it calls itself, `unknown` where it does not say.
        path: folder of the package `solo`.
    """

    kind: Literal["release", "main"]
    version: str
    path: Path


def host_info() -> HostInfo:
    """Find solo-learn without importing it.

    Raises:
        HostError: there is none, or its layout is neither the release's nor main's.
    """
    spec = importlib.util.find_spec("solo")
    if spec is None or spec.origin is None:
        raise HostError("solo-learn is not installed", f"Run: {INSTALL}")
    path = Path(spec.origin).parent
    if (path / "data" / "pretrain_dataloader.py").is_file():
        return HostInfo("main", _main_version(path), path)
    if (path / "utils" / "pretrain_dataloader.py").is_file():
        return HostInfo("release", _installed_version(), path)
    raise HostError(f"The package at {path} is not a solo-learn that we know", f"Run: {INSTALL}")


def _main_version(path: Path) -> str:
    setup = path.parent / "setup.py"
    if setup.is_file():
        found = re.search(r"version\s*=\s*[\"']([^\"']+)[\"']", setup.read_text(encoding="utf-8"))
        return found.group(1) if found else "unknown"
    return _installed_version()


def _installed_version() -> str:
    try:
        return version("solo-learn")
    except PackageNotFoundError:
        return "unknown"
