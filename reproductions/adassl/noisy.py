"""Stage `adassl_noisy`: SimCLR with and without AdaSSL on pairs of images that are noisy, from pairs to result.

The recipe is the authors' for iNat-1M, on images that can be had (ours): pairs of one class, or with some probability
only of one coarse class, animal or vehicle. And neighbours by a weak prior, which are GPS-SSL's noisy pairs.
"""

from __future__ import annotations

import json

from omegaconf import DictConfig

from pal_plugin.data import dataset_from_config
from pal_plugin.graph import purity
from pal_plugin.graphs import make_graph
from pal_plugin.io import write_json
from pal_plugin.launch import compose
from pal_plugin.train import METRICS
from reproductions.adassl.names import PAPER
from reproductions.adassl.noisy_cells import Cell, result, run_folder
from reproductions.curves import last_logged
from reproductions.evaluation import evaluated
from reproductions.layout import scratch
from reproductions.pretraining import pretrain
from reproductions.stage import named, run

AUGMENTATION = "flip_only"  # so that what the pair is told is the pairs', and the cheapest
EXTRA_VIEW = "method_kwargs.additional_view=false"  # under flips alone it would double the cost and hide a flip
# of the authors: V's for iNat-1M, S's for CelebA, since they have none for iNat
SETTINGS = {
    "vanilla": [],
    "v": ["method_kwargs.latent_dim=8", "method_kwargs.reg_beta=0.8", "method_kwargs.editor_hidden_dims=[1024]"],
    "s": ["adassl=celeba_s"],
}
# On a processor: 160 steps of half of the profile's images, by the optimiser that the authors have
SHORT = [
    "data.subset=4096",
    "max_epochs=5",
    "optimizer.batch_size=128",
    "optimizer.name=adamw",
    "optimizer.lr=0.002",
    "optimizer.classifier_lr=0.002",
]


def main(profile: str, cell: str, seed: int) -> None:
    """Pretrain one cell with one seed, and evaluate it."""
    setting = named(Cell.parse, cell, "v-0.5, ARM-PAIRS")
    cfg = config(profile, setting, seed)
    name, folder = f"noisy-{setting.name}-{seed}", run_folder(profile, setting, seed)
    images = dataset_from_config(cfg.data, "train")
    pure = purity(make_graph(cfg.graph, images), images.labels)
    pretrain(cfg, scratch(profile, PAPER) / name, folder)
    steps = json.loads((folder / METRICS).read_text(encoding="utf-8"))["steps"]
    content = {
        "arm": setting.arm,
        "pairs": setting.pairs,
        "purity": round(pure, 4),
        "augmentation": AUGMENTATION,
        "steps": steps,
        "log": last_logged(scratch(profile, PAPER) / name, "adassl_"),
    }
    write_json(result(profile, setting, seed), content | evaluated(cfg, PAPER, folder))


def config(profile: str, cell: Cell, seed: int) -> DictConfig:
    """Return the config of one run.

    Args:
        profile: a choice of the config group `profile`.
        cell: which run.
        seed: of initialisation and draws; which images are pairs does not depend on it.
    """
    if isinstance(cell.pairs, str):
        pairs = ["graph=knn", f"graph.prior={cell.pairs}"]
    else:
        pairs = ["graph=hierarchy", f"graph.noise={cell.pairs:g}"]
    arm = [*SETTINGS[cell.arm], f"method_kwargs.variant={cell.arm}", EXTRA_VIEW]
    overrides = [f"profile={profile}", f"seed={seed}", f"augmentation={AUGMENTATION}", *arm, *pairs]
    return compose("adassl_simclr", overrides + (SHORT if profile == "cpu" else []))


if __name__ == "__main__":
    run(main, "profile", "cell", "seed", trains=True)
