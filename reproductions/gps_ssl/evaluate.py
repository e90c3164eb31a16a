"""Stage `gps_evaluate`: k-NN and linear probe of one run's backbone, and of the same network before training."""

from __future__ import annotations

import shutil

from pal_plugin.io import write_json
from reproductions.evaluation import evaluated
from reproductions.gps_ssl.names import PAPER, result, run_folder, run_name
from reproductions.gps_ssl.settings import config
from reproductions.pretraining import CURVE
from reproductions.stage import run


def main(profile: str, method: str, augmentation: str, arm: str, seed: int) -> None:
    """Evaluate one run: fitted on the training images, read on the whole test split."""
    name = run_name(method, augmentation, arm, seed)
    folder = run_folder(profile, name)
    content = evaluated(config(profile, method, augmentation, arm, seed), PAPER, folder)
    shutil.copyfile(folder / CURVE, result(profile, name).with_suffix(".csv"))
    write_json(result(profile, name), {"arm": arm, "augmentation": augmentation} | content)


if __name__ == "__main__":
    run(main, "profile", "method", "augmentation", "arm", "seed")
