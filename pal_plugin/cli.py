"""The command `pal`: one door to data, features, graphs, training and evaluation.

Every command imports what it needs when it runs, so that `pal --help` takes a fraction of a second. Whatever goes
wrong in a way that a user can mend ends as one paragraph on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pal_plugin import __version__
from pal_plugin.commands import data, embed, evaluate, graph, oracle, report, select, traverse
from pal_plugin.commands.options import add_json
from pal_plugin.errors import PalError

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = (PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)
_TEMPORARY = re.compile(r"(?<![^/])\.([^/]+)\.[a-z0-9_]{8}\.(?:tmp|old)(?=/|$)")  # what `pal_plugin.io` writes first


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: arguments without the program's name; None takes them from the command line.

    Returns:
        0; 1 where `pal doctor` found problems; 2 for bad input, a full disk or Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    with contextlib.nullcontext() if debug else _plain_warnings():
        return guarded(lambda: _run(arguments), debug=debug)


def guarded(work: Callable[[], int], *, debug: bool = False) -> int:
    """Do `work`; where it fails in a way that a user can mend, say so in one paragraph on stderr.

    Args:
        work: what to do; returns an exit status.
        debug: show the traceback too.

    Returns:
        The status of `work`; 2 where it failed in such a way. A bug is raised on.
    """
    try:
        status = work()
        sys.stdout.flush()  # a full disk behind `> figures.json` shows here, not while the interpreter shuts down
        return status
    except BrokenPipeError:  # `pal … | head`: whoever reads has seen enough
        _silence_stdout()
        return 1
    except BaseException as error:
        paragraph = _paragraph(error)
        if paragraph is None:
            raise
        if debug:
            traceback.print_exc()
        print(f"pal: {paragraph}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _silence_stdout()
        return 2


def _silence_stdout() -> None:
    """Drop what stdout still holds: the interpreter would fail once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _paragraph(error: BaseException) -> str | None:
    """Return what to tell the user about `error`, or None where it is a bug (or a plain exit).

    Lightning and Hydra turn some errors into `SystemExit`, and libraries wrap others: what a user can mend may be
    further down the chain.
    """
    for link in _chain(error):
        if isinstance(link, PalError):
            return str(link)
        if isinstance(link, KeyboardInterrupt):
            return "Interrupted. No file is left half-written; the same command starts or continues the work."
        if isinstance(link, OSError) and link.errno in _DISK_FULL:
            place = f" while writing {_given(link.filename)}" if link.filename else ""
            return (
                f"No space is left on the disk{place} ({link.strerror}). No file is left half-written; free some "
                "space, or choose another place by --out, --root (pal train: run_dir=, data.root=) or the environment "
                "variables PAL_CACHE and TMPDIR, then run the same command again."
            )
        # Another kind may be one that was handled, and a bug came up meanwhile; only SystemExit hides what it was.
        told = link is error or isinstance(error, SystemExit) or isinstance(link, _REFUSED)
        if told and isinstance(link, OSError) and link.strerror and link.filename:
            change = ", or change its permissions" if isinstance(link, PermissionError) else ""
            return f"{link.strerror}: {_given(link.filename)}. Choose another path{change}."
    return None


def _given(filename: object) -> str:
    """Return the path that a user gave, where an error names the temporary file beside it."""
    return _TEMPORARY.sub(r"\1", str(filename))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show what pal_plugin warns of as one line without a place in its source; what others warn of stays as it is."""
    as_before, own = warnings.showwarning, f"{Path(__file__).parent}{os.sep}"

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is None and filename.startswith(own) and issubclass(category, (UserWarning, RuntimeWarning)):
            print(f"pal: warning: {' '.join(str(message).split())}", file=sys.stderr)
        else:
            as_before(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = as_before


class _Parser(argparse.ArgumentParser):
    """Names the nearest choice where an action or a choice is mistyped; so do the parsers of its commands."""

    def error(self, message: str) -> NoReturn:
        from pal_plugin.registry import near_matches

        found = re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message)
        near = near_matches(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        super().error(f"{message}; {near}" if near.startswith("did you mean") else message)


def _run(arguments: list[str]) -> int:
    if arguments[:1] == ["train"]:  # everything after it is Hydra's grammar, not ours
        return _train(arguments[1:])
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = parsed.run
    return command(parsed)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pal",
        description="Similarity graphs for self-supervised learning, on solo-learn.",
        epilog="Every command has --help. --debug, anywhere, shows the traceback of an error.",
    )
    parser.add_argument("--version", action="version", version=f"pal-plugin {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_doctor(commands)
    commands.add_parser("train", help="pre-train: pal train --config-name gps_simclr [overrides, as in Hydra]")
    data.add(commands)
    embed.add(commands)
    graph.add(commands)
    select.add(commands)
    evaluate.add(commands)
    traverse.add(commands)
    oracle.add(commands)
    report.add(commands)
    return parser


def _add_doctor(commands: Any) -> None:
    doctor = commands.add_parser("doctor", help="what is installed, what is wrong with it, what mends it")
    add_json(doctor)
    doctor.set_defaults(run=_doctor)


def _train(overrides: list[str]) -> int:
    from pal_plugin.launch import main as train

    train(overrides)
    return 0


def _doctor(args: argparse.Namespace) -> int:
    from pal_plugin.doctor import examine
    from pal_plugin.doctor import report as told

    found = examine()
    print(json.dumps(found, indent=2) if args.json else told(found))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
