"""One run of one arm of any paper, going on from a scratch checkpoint if it has one."""

from __future__ import annotations

import shutil
from pathlib import Path

from omegaconf import DictConfig

from pal_plugin.callbacks import LAST
from pal_plugin.io import atomic_folder
from pal_plugin.train import METRICS, MODEL, train
from reproductions.curves import write_curve

CURVE = "curve.csv"


def pretrain(cfg: DictConfig, scratch: Path, out: Path) -> None:
    """Train as `cfg` says and leave `model.ckpt`, `metrics.json`, `curve.csv` in `out`.

    Args:
        cfg: a composed config; where it writes is set here.
        scratch: the run's own folder, which DVC does not know: an interrupted run goes on there. Its name is the run's.
        out: the folder to write, all or nothing.
    """
    if not (scratch / LAST).exists():  # nothing to go on from: no logs of an older run either
        shutil.rmtree(scratch, ignore_errors=True)
    cfg.run_dir, cfg.resume = str(scratch), "auto"
    done = Path(train(cfg)["run_dir"])
    with atomic_folder(out) as made:
        shutil.copyfile(done / MODEL, made / MODEL)
        shutil.copyfile(done / METRICS, made / METRICS)
        write_curve(made / CURVE, done, scratch.name)
    (scratch / LAST).unlink()  # finished: when DVC runs this stage again, it is to train
