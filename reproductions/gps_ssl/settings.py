"""The config of a run of this paper: one owner, params.yaml, whose values arrive as the stages' options."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from pal_plugin.data import ImageDataset, dataset_from_config
from pal_plugin.launch import compose
from reproductions.gps_ssl.names import BASELINE, PAPER
from reproductions.layout import artifacts

STRONG = "strong"


def config(
    profile: str,
    method: str,
    augmentation: str,
    arm: str,
    seed: int,
    extra: tuple[str, ...] = (),
    graph: Path | None = None,
) -> DictConfig:
    """Return the config of one run: both arms have the same networks, optimiser and seed; only the pairs differ.

    Args:
        profile: a choice of the config group `profile`.
        method: a host method, for example `simclr`.
        augmentation: a choice of the config group `augmentation`, or `strong`: the one that the method itself uses.
        arm: `baseline` or `gps`.
        seed: of initialisation and draws.
        extra: further Hydra overrides.
        graph: where the pairs of `gps` come from; the profile's k-NN graph if None.
    """
    overrides = [f"profile={profile}", f"seed={seed}", *extra]
    if augmentation != STRONG:
        overrides.append(f"augmentation={augmentation}")
    if arm == BASELINE:
        return compose(method, overrides)
    path = graph or artifacts(profile, PAPER) / "graph"
    cfg = compose(f"gps_{method}", [*overrides, "graph=file", f"graph.path={path}"])
    if augmentation == STRONG:
        cfg.augmentations = compose(method, overrides).augmentations
    return cfg


def dataset(profile: str, split: str) -> ImageDataset:
    """Return the profile's images, fetched where they are missing: the training subset, or the whole test split."""
    return dataset_from_config(compose("simclr", [f"profile={profile}"]).data, split)
