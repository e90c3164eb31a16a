"""Where a run writes, and whether it goes on from a checkpoint that is there."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig

from pal_plugin.callbacks import LAST
from pal_plugin.errors import CheckpointError
from pal_plugin.host import load_checkpoint

# What two configs of one run may differ in: where it writes and reads, and what it says. What it reads, the images and
# the graph, is compared by its digest.
FREE_KEYS = (
    *("run_dir", "resume", "checkpoint", "logger", "profiler", "name", "graph.path"),
    *("data.root", "data.num_workers", "data.on_device"),
)
IDENTITY = ("config", "dataset", "graph")
LATER = ("devices",)  # what older checkpoints do not say


def run_folder(cfg: DictConfig) -> Path:
    """Return a folder for the run: the named one, or the next free number beside it unless the run goes on there."""
    wanted = folder = Path(cfg.run_dir)
    number = 2
    while cfg.resume is None and (folder / LAST).exists():
        folder = wanted.with_name(f"{wanted.name}-{number}")
        number += 1
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def checkpoint_to_resume(
    cfg: DictConfig, identity: dict[str, Any], folder: Path, written: Sequence[str]
) -> Path | None:
    """Return the checkpoint that `cfg.resume` names, or None to start afresh.

    Where `resume=auto` finds another run in the folder, that run is moved to one of its own first, and a line says so.

    Args:
        cfg: a composed config.
        identity: what the run is, as in `Checkpoints`.
        folder: the run's folder, where `resume=auto` looks.
        written: what a run writes there beside its checkpoint, files and folders.

    Raises:
        CheckpointError: it cannot be read, is no checkpoint of ours, or is named and belongs to another run.
    """
    if cfg.resume is None:
        return None
    automatic = cfg.resume == "auto"
    path = folder / LAST if automatic else Path(cfg.resume)
    if automatic and not path.exists():
        return None
    try:
        checkpoint = load_checkpoint(path)
    except CheckpointError:
        if automatic and not path.exists():  # rank 0 found out first that it is another run's, and has moved it
            return None
        raise
    if not {*IDENTITY, "cursor", "loops"} <= checkpoint.keys():
        raise CheckpointError(
            f"The checkpoint {path} holds no run to go on with", "Name a last.ckpt that pal train wrote"
        )
    said = [key for key in (*IDENTITY, *LATER) if key in checkpoint]
    changed = differences({key: checkpoint[key] for key in said}, {key: identity[key] for key in said})
    if not changed:
        return path
    if automatic:
        _make_room(folder, written, changed[0])
        return None
    raise CheckpointError(
        f"The checkpoint {path} belongs to another run: {'; '.join(changed)}",
        "Give the values that the run had, or start a new run with resume=null",
    )


@rank_zero_only
def _make_room(folder: Path, written: Sequence[str], difference: str) -> None:
    aside = set_aside(folder, written)
    print(
        f"pal train: {folder} held another run ({difference}), which is now in {aside}; starting afresh",
        file=sys.stderr,
        flush=True,
    )


def set_aside(folder: Path, written: Sequence[str]) -> Path:
    """Move a run out of `folder` into a new one beside it, called like it and numbered, and return that.

    Args:
        folder: a run's folder, with a checkpoint.
        written: what else a run writes there, files and folders; the rest stays.
    """
    place, number = folder.absolute(), 2
    while (aside := place.with_name(f"{place.name}-{number}")).exists():
        number += 1
    aside.mkdir()
    # The checkpoint comes last: if this is killed on the way, the next attempt finds it and moves the rest.
    for name in (*written, LAST):
        if (folder / name).exists():
            shutil.move(folder / name, aside / name)
    return aside


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Return `key: old → new` of all that has to be the same in one run and is not."""
    before, after = _flat(old), _flat(new)
    free = tuple(f"config.{key}." for key in FREE_KEYS)
    keys = sorted(key for key in before.keys() | after.keys() if not f"{key}.".startswith(free))
    changed = [key for key in keys if before.get(key) != after.get(key)]
    return [f"{key.removeprefix('config.')}: {before.get(key)} → {after.get(key)}" for key in changed]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    return {k: v for key, part in value.items() for k, v in _flat(part, f"{prefix}.{key}" if prefix else key).items()}
