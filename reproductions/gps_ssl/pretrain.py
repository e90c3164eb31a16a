"""Stages `gps_baseline` and `gps_pretrain`: one run of one arm, going on from a scratch checkpoint if it has one."""

from __future__ import annotations

import shutil
from pathlib import Path

from pal_plugin.io import atomic_path
from pal_plugin.train import MODEL, train
from reproductions.gps_ssl.settings import PAPER, checkpoint, config, run_name
from reproductions.layout import scratch
from reproductions.stage import run


def main(profile: str, method: str, augmentation: str, arm: str, seed: int) -> None:
    """Pretrain one arm with one seed."""
    name = run_name(method, augmentation, arm, seed)
    folder = scratch(profile, PAPER) / name
    metrics = train(config(profile, method, augmentation, arm, seed, (f"run_dir={folder}", "resume=auto")))
    with atomic_path(checkpoint(profile, name)) as temporary:
        shutil.copyfile(Path(metrics["run_dir"]) / MODEL, temporary)


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed")
