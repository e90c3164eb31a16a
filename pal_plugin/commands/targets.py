"""Where a command is to write: looked at before the work, so that no result is lost and no other file is replaced."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pal_plugin.errors import ConfigError, PalError, SelectionError

_PICKS = b"rank,index,id,radius"  # how a file of picks begins
_DESCRIPTION = {"format", "picks", "selector"}  # what the JSON beside it has
_FIGURES = {"data", "wall_s"}  # what the JSON of `pal eval` has
_ANSWERS = b"id_a,id_b,relation"  # how an export of `pal oracle` begins, as CSV
_HISTORY = {"format", "manifest", "questions"}  # what it has as JSON
_PNG = b"\x89PNG\r\n\x1a\n"


def check_picks(path: Path, pictures: Sequence[Path]) -> None:
    """Refuse a path that picks cannot be written to, or where something else is; so for what is written beside it.

    Args:
        path: of the picks, as the user gave it.
        pictures: what is drawn of them.

    Raises:
        ConfigError: it does not end in .csv, or another's file would be replaced.
        OSError: no file can be put there.
    """
    _check_file(path, "picks.csv", "picks of `pal select`", lambda there: _begins(there, _PICKS))
    about = path.with_suffix(".json")
    if about.exists() and not _has(about, _DESCRIPTION):
        raise _foreign(about, "what `pal select` says of its picks")
    for picture in pictures:
        if picture.exists() and not path.exists():  # beside picks it is the picture of them
            raise _foreign(picture, "a picture of picks: there are none beside it")


def check_figures(path: Path) -> None:
    """Refuse a path that the figures of `pal eval` cannot be written to, or where something else is; as `check_picks`.

    Raises:
        ConfigError: it does not end in .json, or another's file would be replaced.
        OSError: no file can be put there.
    """
    _check_file(path, "eval.json", "figures of `pal eval`", lambda there: _has(there, _FIGURES))


def check_picture(path: Path) -> None:
    """Refuse a path that a picture cannot be written to, or where something else is; as `check_picks`.

    Raises:
        ConfigError: it does not end in .png, or what is there is no PNG file.
        OSError: no file can be put there.
    """
    _check_file(path, "walk.png", "a PNG file", lambda there: _begins(there, _PNG))


def check_answers(path: Path) -> None:
    """Refuse a path that answers cannot be written to, or where something else is; as `check_picks`.

    Raises:
        ConfigError: it ends in neither .csv nor .json, or another's file would be replaced.
        OSError: no file can be put there.
    """
    if path.suffix not in (".csv", ".json"):
        raise ConfigError(f"Answers cannot be written as {path.name}", "Name a file .csv or .json")
    check_writable(path)
    if path.exists() and not (_begins(path, _ANSWERS) if path.suffix == ".csv" else _has(path, _HISTORY)):
        raise _foreign(path, "an export of `pal oracle`")


def check_folder(path: Path, token: str, error: type[PalError]) -> None:
    """Refuse a folder that cannot be made, or replaced because it holds something else.

    Args:
        path: where a graph or a feature store is to be put.
        token: the file that every such folder has.
        error: the class to raise for what it holds.

    Raises:
        OSError: nothing can be put there.
    """
    from pal_plugin.arrays import refuse_foreign_folder  # brings numpy

    check_writable(path, folder=True)
    refuse_foreign_folder(path, token, error)


def check_writable(path: Path, *, folder: bool = False) -> None:
    """Raise what the system says, of the path as it was given, where nothing can be put there.

    Args:
        path: of a file, or of a folder.
        folder: which of the two.

    Raises:
        OSError: it is a folder and a file is asked for; the place is read-only, the name too long, and so on.
    """
    try:
        if not folder and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        nearest = next((parent for parent in path.absolute().parents if parent.exists()), Path())
        # Nothing but an attempt tells; its name is as long as the longest that is written beside the path.
        handle, probe = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".probe.tmp", dir=nearest)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    os.close(handle)
    Path(probe).unlink()


def _check_file(path: Path, example: str, what: str, ours: Callable[[Path], bool]) -> None:
    """Refuse a path that does not end as `example` does, where no file can be put, or whose file is not ours."""
    suffix = Path(example).suffix
    if path.suffix != suffix:
        raise ConfigError(f"--out {path} does not end in {suffix}", f"Name the file as in --out {example}")
    check_writable(path)
    if path.exists() and not ours(path):
        raise _foreign(path, what)


def _begins(path: Path, content: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(content)) == content


def _has(path: Path, keys: set[str]) -> bool:
    from pal_plugin.arrays import read_json  # brings numpy

    try:
        return keys <= read_json(path, SelectionError, "").keys()
    except SelectionError:
        return False


def _foreign(path: Path, what: str) -> ConfigError:
    return ConfigError(f"{path} exists and is not {what}", "Choose another --out, or remove that file")
