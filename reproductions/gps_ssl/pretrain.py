"""Stages `gps_baseline` and `gps_pretrain`: one run of one arm, going on from a scratch checkpoint if it has one."""

from __future__ import annotations

import shutil
from pathlib import Path

from omegaconf import DictConfig

from pal_plugin.callbacks import LAST
from pal_plugin.io import atomic_folder
from pal_plugin.train import METRICS, MODEL, train
from reproductions.curves import write_curve
from reproductions.gps_ssl.names import PAPER, run_folder, run_name
from reproductions.gps_ssl.settings import config
from reproductions.layout import scratch
from reproductions.stage import run


def main(profile: str, method: str, augmentation: str, arm: str, seed: int) -> None:
    """Pretrain one arm with one seed."""
    name = run_name(method, augmentation, arm, seed)
    pretrain(config(profile, method, augmentation, arm, seed), profile, name, run_folder(profile, name))


def pretrain(cfg: DictConfig, profile: str, name: str, out: Path) -> None:
    """Train as `cfg` says in a scratch folder of its own and leave `model.ckpt`, `metrics.json`, `curve.csv` in `out`.

    Args:
        cfg: a composed config; where it writes is set here.
        profile: the run's profile.
        name: of the run; also of its scratch folder, where an interrupted one goes on.
        out: the folder to write, all or nothing.
    """
    folder = scratch(profile, PAPER) / name
    if not (folder / LAST).exists():  # nothing to go on from: no logs of an older run either
        shutil.rmtree(folder, ignore_errors=True)
    cfg.run_dir, cfg.resume = str(folder), "auto"
    done = Path(train(cfg)["run_dir"])
    with atomic_folder(out) as made:
        shutil.copyfile(done / MODEL, made / MODEL)
        shutil.copyfile(done / METRICS, made / METRICS)
        write_curve(made / "curve.csv", done, name)
    (folder / LAST).unlink()  # finished: when DVC runs this stage again, it is to train


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed")
