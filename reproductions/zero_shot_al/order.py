"""Stages `zero_shot_{guided,ablation,unguided}`: order the pool, label its first images, train on them."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.data import ImageDataset
from pal_plugin.evaluation.supervised import features_by_labels, train_on_labels
from pal_plugin.io import atomic_folder, write_json
from pal_plugin.priors import load_features
from pal_plugin.selection import Selection, class_counts, kl_to_uniform, make_selector
from pal_plugin.sheet import write_picks_sheet
from reproductions.layout import scratch
from reproductions.provenance import provenance
from reproductions.stage import named, run
from reproductions.zero_shot_al.names import (
    ARMS,
    CORESET,
    NONE,
    PAPER,
    RANDOM,
    Cell,
    feature_folder,
    picks_folder,
    result,
)
from reproductions.zero_shot_al.settings import Sizes, images, sizes_of


class Order:
    """One order of the pool, and what training on its prefixes gives.

    Args:
        profile: a choice of the config group `profile`.
        cell: whose features, and which way to choose.
        seed: of the choice, where it is random, and of the training.
    """

    def __init__(self, profile: str, cell: Cell, seed: int) -> None:
        self.profile, self.cell, self.seed = profile, cell, seed
        self.sizes: Sizes = sizes_of(profile)
        self.pool, self.test = images(profile)
        self.scratch: Path = scratch(profile, PAPER) / f"{cell.name}-{seed}"

    def picks(self, budget: int) -> Selection:
        """Return the first picks, as many as a budget."""
        arm = ARMS[self.cell.arm]
        parameters = {**arm.parameters, **({"seed": self.seed} if arm.seeded else {})}
        if self.cell.arm == CORESET:
            parameters |= {"refit": self._refitted, "batch": self.sizes.budgets}
        selector = make_selector(arm.selector, **parameters)
        return selector.select(self._features(), budget, labels=self.pool.labels, manifest=self.pool.manifest)

    def trained(self, picks: Selection, budget: int) -> dict[str, Any]:
        """Return accuracies on the test images of a network trained on the first `budget` picks."""
        chosen = self._labelled(picks.indices[:budget])
        how = self.sizes.protocol(budget)
        found = train_on_labels(chosen, self.test, how, seed=self.seed, folder=self._folder(budget))
        counts = class_counts(chosen.labels, chosen.num_classes)
        of_class = dict(zip(chosen.class_names, counts.tolist(), strict=True))
        radius = {} if picks.radii is None else {"radius": float(picks.radii[budget - 1])}
        return {**found, "kl_to_uniform": round(kl_to_uniform(counts), 4), "of_class": of_class, **radius}

    def _features(self) -> NDArray[np.float32]:
        if self.cell.features == NONE:  # a number a sample: nothing is decided by it
            return np.arange(len(self.pool), dtype=np.float32)[:, None]
        return load_features(feature_folder(self.profile, self.cell.features), self.pool.manifest).features

    def _refitted(self, known: NDArray[np.int64]) -> NDArray[np.float32]:
        """Train on what is labelled so far, as for the result at that budget, and embed the pool."""
        how = self.sizes.protocol(len(known))
        labelled = self._labelled(known)
        return features_by_labels(labelled, self.pool, how, seed=self.seed, folder=self._folder(len(known)))

    def _labelled(self, indices: NDArray[np.int64]) -> ImageDataset:
        return self.pool.take(np.sort(indices))

    def _folder(self, budget: int) -> Path:
        return self.scratch / f"b{budget}"


def main(profile: str, features: str, arm: str, seed: int) -> None:
    """Order the pool one way with one seed, and train on each prefix."""
    cell = named(Cell.parse, f"{features}.{arm}", f"{NONE}.{RANDOM} or lite0.kcenter, FEATURES.ARM")
    order = Order(profile, cell, seed)
    seconds = dict.fromkeys(order.sizes.budgets, 0.0)
    for budget in seconds:  # each from nothing, as for that budget alone; but rounds that are over are not done again
        began = time.perf_counter()
        picks = order.picks(budget)
        earlier = max(seconds.values()) if arm == CORESET else 0.0
        seconds[budget] = round(earlier + time.perf_counter() - began, 3)
    with atomic_folder(picks_folder(profile, cell, seed)) as folder:
        picks.save(folder / "picks.csv", ids=order.pool.ids, labels=order.pool.labels)
        write_picks_sheet(folder / "picks-sheet.png", order.pool, picks)
    metrics = {}
    for budget in order.sizes.budgets:
        found = order.trained(picks, budget)
        metrics[f"b{budget}"] = {**found, "select_s": seconds[budget]}
        print(f"{cell.name}, seed {seed}: {budget} labels, top1 {found['top1']}", file=sys.stderr, flush=True)
    trainer = order.sizes.trainer
    content = {
        "paper": PAPER,
        "profile": profile,
        "arm": arm,
        "features": features,
        "method": picks.selector["name"],
        "augmentation": f"crop of {trainer.padding}, flip, CutOut of {trainer.hole}",
        "network": trainer.network,
        "seed": seed,
        "data": order.pool.name,
        "images": {"pool": len(order.pool), "test": len(order.test)},
        "metrics": metrics,
        "wall_s": round(sum(float(found["train_s"]) for found in metrics.values()), 1),
        **provenance(),
    }
    write_json(result(profile, cell, seed), content)
    shutil.rmtree(order.scratch)  # finished: when DVC runs this stage again, it is to train


if __name__ == "__main__":
    run(main, "profile", "features", "arm", "seed", trains=True)
