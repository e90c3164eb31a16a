"""Writing files so that a crash, a full disk or Ctrl-C leaves either the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pal_plugin.errors import CheckpointError

_STALE_S = 24 * 3600  # no write pauses for as long


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary file name beside `path`; rename it to `path` when the block ends well.

    What a writer of the same file that was killed has left beside it goes with the first write a day later.

    Args:
        path: the file to (re)place; its folder is created.

    Yields:
        The temporary path to write to. On any exception it is removed and `path` stays as it was.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
        _sweep(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; put it in the place of `path` when the block ends well.

    An existing folder is moved aside first and removed last, so a reader sees the old folder, none, or the new one.
    What a writer of the same folder that was killed has left beside it goes with the first write a day later.

    Args:
        path: the folder to (re)place; its parent is created.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        replace_folder(temporary, target)
        _sweep(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(source: Path, target: Path) -> None:
    """Put the folder `source` in the place of `target`, beside it; what was there is removed last."""
    source.chmod(0o777 & ~_umask())
    if not target.exists():
        source.replace(target)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
    old = aside / target.name
    try:
        target.replace(old)
        source.replace(target)
    except BaseException:
        if old.exists() and not target.exists():
            old.replace(target)
        shutil.rmtree(aside, ignore_errors=True)  # empty, unless another writer has put its own in the place meanwhile
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def alone(target: Path, busy: str) -> Iterator[None]:
    """Hold the lock of a file or folder to be: of two processes that make the same, one waits for the other.

    The lock is the file `.NAME.lock` beside it, which is gone afterwards. The system releases it when a process dies.

    Args:
        target: what is to be made; its parent is created.
        busy: what is said, once, where there is something to wait for.

    Raises:
        OSError: the folder of `target` cannot be written to.
    """
    from filelock import FileLock, Timeout  # most of what writes files needs no lock

    path = target.with_name(f".{target.name}.lock")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{busy}; waiting for it", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever waits sees that it is gone and makes a new one
        lock.release()


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as indented JSON with a final newline, atomically; NumPy's numbers and arrays as plain ones."""
    with atomic_path(path) as temporary:
        text = json.dumps(value, indent=2, allow_nan=False, default=plain)
        temporary.write_text(text + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a NumPy number or array as Python's numbers and lists: the `default` of `json.dumps`.

    Raises:
        TypeError: it is neither.
    """
    import numpy as np  # heavy, and seldom needed

    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written as JSON")


def write_torch(path: str | os.PathLike[str], content: Any) -> None:
    """Write `content` as `torch.save` does, atomically.

    It goes through memory: where the disk is full, `torch.save` raises a RuntimeError that does not say so.
    """
    import torch  # heavy, and most of what writes files has no tensors

    buffer = io.BytesIO()
    torch.save(content, buffer)
    with atomic_path(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def refuse_altered_archive(path: Path) -> None:
    """Raise ValueError where an entry of a checkpoint has another checksum than was written: torch looks at none.

    Files that are no archive, as torch wrote them before 1.6, have no checksums.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            altered = archive.testzip()
        if altered is not None:
            raise ValueError(f"the checksum of its part {altered} differs from what was written")


def read_run(path: Path, run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `write_torch` wrote of an unfinished run, to go on from; None where there is nothing.

    Args:
        path: the checkpoint; its entry `run` says what run it is of.
        run: what the run at hand is; all of it must be the same there.

    Raises:
        CheckpointError: it is damaged, or of another run.
    """
    import torch  # as above

    if not path.exists():
        return None
    mend = f"Remove {path} to begin anew"
    try:
        refuse_altered_archive(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["run"]
        other = [name for name, value in run.items() if theirs.get(name) != value]
    except Exception as error:  # torch.load has no type of its own for damaged files
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {error}", mend) from error
    if other:
        told = ", ".join(f"{name} {theirs.get(name)} in place of {run[name]}" for name in other)
        raise CheckpointError(f"{path} is of another run: {told}", mend)
    return state


def cache_folder() -> Path:
    """Return the folder for things that can be made again: `$PAL_CACHE`, else `~/.cache/pal_plugin`."""
    return Path(os.environ.get("PAL_CACHE") or Path.home() / ".cache" / "pal_plugin")


def _sweep(target: Path) -> None:
    """Remove what was to become `target` and has not been written to for a day: nobody will finish it."""
    for litter in target.parent.glob(f".{glob.escape(target.name)}.????????.*"):
        with contextlib.suppress(OSError):  # somebody else removes it, or owns it
            folder = litter.is_dir()
            if litter.is_symlink() or litter.suffix not in ((".tmp", ".old") if folder else (".tmp",)):
                continue
            newest = max(path.lstat().st_mtime for path in (litter, *litter.rglob("*")))
            if time.time() - newest > _STALE_S:
                shutil.rmtree(litter) if folder else litter.unlink()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
