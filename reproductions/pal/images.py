"""Stage `pal_images`: one method on images with some relations known, from the oracle to the result.

The paper's own image tables were not to be had; this experiment is ours.
"""

from __future__ import annotations

import json

from omegaconf import DictConfig

from pal_plugin.io import write_json
from pal_plugin.launch import compose
from pal_plugin.length import epochs_without_pairs
from pal_plugin.train import METRICS
from reproductions.evaluation import evaluated
from reproductions.layout import scratch
from reproductions.pal.images_cells import AUGMENTATION, EPOCHS, SHARE, Cell, result, run_folder
from reproductions.pal.names import PAPER
from reproductions.pretraining import pretrain
from reproductions.stage import named, run

OF_THE_GRAPH = ("known_images", "oracle_edges")


def main(profile: str, cell: str, seed: int) -> None:
    """Pretrain one cell with one seed, and evaluate it."""
    setting = named(Cell.parse, cell, "simclr-0.01-0.9-0, METHOD-RELATIONS-ALPHA-NOISE")
    cfg = config(profile, setting, seed)
    folder = run_folder(profile, setting, seed)
    pretrain(cfg, scratch(profile, PAPER) / f"{setting.name}-{seed}", folder)
    metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
    graph = {key: metrics[key] for key in OF_THE_GRAPH if key in metrics}
    content = setting._asdict() | {"augmentation": AUGMENTATION, "steps": metrics["steps"], **graph}
    write_json(result(profile, setting, seed), content | evaluated(cfg, PAPER, folder))


def config(profile: str, cell: Cell, seed: int) -> DictConfig:
    """Return the config of one run.

    The plain method gets as many steps as the others, within an epoch: its epochs have no drawn relations in them.

    Args:
        profile: a choice of the config group `profile`.
        cell: which run.
        seed: of initialisation and draws; the oracle's choice of images does not depend on it.
    """
    overrides = [f"profile={profile}", f"seed={seed}", f"augmentation={AUGMENTATION}"]
    epochs = EPOCHS.get(profile) or compose(cell.method, overrides).max_epochs
    if cell.relations == 0:
        return compose(cell.method, [*overrides, f"max_epochs={epochs_without_pairs(epochs, SHARE)}"])
    graph = [f"graph.relations={cell.relations}", f"graph.noise={cell.noise}"]
    kwargs = [f"method_kwargs.graph_alpha={cell.alpha}", f"method_kwargs.related_share={SHARE}"]
    return compose(f"pal_{cell.method}", [*overrides, f"max_epochs={epochs}", *graph, *kwargs])


if __name__ == "__main__":
    run(main, "profile", "cell", "seed", trains=True)
