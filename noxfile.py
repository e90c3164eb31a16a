"""The suite elsewhere than today's: `uvx nox -s oldest`, `newest`, `main`; what follows `--` goes to pytest.

`newest` is what `uv sync` gives, on every Python that is supported; `oldest` has the lower bounds of `pyproject.toml`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.10"  # the first that takes uv for pip without being told how
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["newest", "oldest"]
TODAY = "3.11"


@nox.session(python=["3.10", TODAY, "3.12"])
def newest(session: nox.Session) -> None:
    """The newest of everything, with solo-learn's release."""
    install(session, "highest")
    session.run("pytest", *session.posargs)


@nox.session(python=TODAY)
def oldest(session: nox.Session) -> None:
    """The oldest of everything that `pyproject.toml` allows."""
    install(session, "lowest-direct")
    session.run("pytest", *session.posargs)


@nox.session(python=TODAY)
def main(session: nox.Session) -> None:
    """solo-learn's GitHub main, from the checkout that the environment variable SOLO_LEARN names."""
    checkout = Path(os.environ.get("SOLO_LEARN", ""))
    if not (checkout / "solo" / "__init__.py").is_file():
        session.error("Set SOLO_LEARN to a checkout of solo-learn's main")
    install(session, "highest")
    session.run("pytest", *session.posargs, env={"PYTHONPATH": str(checkout)})


def install(session: nox.Session, resolution: str) -> None:
    """Install the project and its groups `dev` and `host`; solo-learn's pins are overridden by `pyproject.toml`."""
    wanted = Path(session.create_tmp()).resolve() / "requirements.txt"
    groups = ("--group", "dev", "--group", "host")
    python = ("--python", str(session.python))
    compile_ = ("uv", "pip", "compile", "--quiet", "--resolution", resolution, *groups, *python)
    session.run_install(*compile_, "pyproject.toml", "--output-file", str(wanted))
    # elsewhere, since the overrides would undo the resolution here; compiled, since tests start hundreds of processes
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        session.install("--compile-bytecode", "--no-deps", "--requirement", str(wanted))
    session.install("--no-deps", "--editable", ".")
