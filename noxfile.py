"""The suite elsewhere than today's: `uvx nox -s oldest`, `newest`, `main`; what follows `--` goes to pytest.

`newest` is what `uv sync` gives, on every Python that is supported; `oldest` has the lower bounds of `pyproject.toml`.
`coverage` is `newest` on one Python, slower, and says which lines no test reaches.
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


@nox.session(python=TODAY)
def coverage(session: nox.Session) -> None:
    """Which lines the suite reaches, in its own process and in those that it starts; compiled kernels count as not."""
    install(session, "highest")
    session.install("coverage>=7.10")  # the first that follows processes by itself
    folder = Path(session.create_tmp()).resolve()
    data = {"COVERAGE_FILE": str(folder / ".coverage")}
    session.run("coverage", "run", "-m", "pytest", *session.posargs, env=data, success_codes=[0, 1])
    session.run("coverage", "combine", "--quiet", env=data)
    session.run("coverage", "report", "--skip-covered", "--show-missing", env=data)


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
