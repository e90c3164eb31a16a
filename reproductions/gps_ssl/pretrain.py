"""Stages `gps_baseline` and `gps_pretrain`: one run of one arm, going on from a scratch checkpoint if it has one."""

from __future__ import annotations

from reproductions.gps_ssl.names import PAPER, run_folder, run_name
from reproductions.gps_ssl.settings import config
from reproductions.layout import scratch
from reproductions.pretraining import pretrain
from reproductions.stage import run


def main(profile: str, method: str, augmentation: str, arm: str, seed: int) -> None:
    """Pretrain one arm with one seed."""
    name = run_name(method, augmentation, arm, seed)
    cfg = config(profile, method, augmentation, arm, seed)
    pretrain(cfg, scratch(profile, PAPER) / name, run_folder(profile, name))


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed", trains=True)
