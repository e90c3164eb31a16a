"""The contact sheet of a data set, class by class."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pal_plugin.data import ImageDataset
from pal_plugin.errors import ConfigError
from pal_plugin.sheet.dataset_html import write_contact_page
from pal_plugin.sheet.dataset_png import draw_groups, images_per_line
from pal_plugin.sheet.measures import Measures, measure, summary
from pal_plugin.sheet.samples import Group, read_samples

MOST_CLASSES = 100
_LINES = 6  # of a sheet with few classes


def write_data_sheet(
    folder: str | os.PathLike[str],
    dataset: ImageDataset,
    *,
    per_class: int | None = None,
    seed: int = 0,
    measures: Measures | None = None,
) -> list[Path]:
    """Write `data.png` and `data.html`: some images of each class, drawn at random, and the data set in figures.

    Args:
        folder: where to; it is made where there is none.
        dataset: the samples, labelled or not. Of more than 100 classes the first 100 are shown.
        per_class: images of each class; what fits a page if None.
        seed: which images.
        measures: of the data set, where they are known already.

    Returns:
        The files.

    Raises:
        ConfigError: fewer than one image of a class was asked for.
        DataError: an image cannot be read or decoded.
    """
    if per_class is not None and per_class < 1:
        raise ConfigError(f"{per_class} images of a class were asked for", "Choose 1 or more")
    found = measure(dataset, seed) if measures is None else measures
    groups = _groups(dataset, per_class, seed)
    target = Path(folder)
    picture, page = target / "data.png", target / "data.html"
    note = f"{summary(dataset, found)}. Images drawn at random (seed {seed})."
    draw_groups(groups, note).save(picture)
    write_contact_page(page, dataset, found, groups, note)
    return [picture, page]


def _groups(dataset: ImageDataset, per_class: int | None, seed: int) -> list[Group]:
    """Draw the samples to show: of each class that has any, in order, then of the unlabelled."""
    labels = np.unique(dataset.labels)
    shown = [*labels[labels >= 0][:MOST_CLASSES].tolist(), *labels[labels < 0].tolist()]
    most = per_class or images_per_line(len(shown)) * max(1, _LINES // len(shown))
    order = np.random.default_rng(seed).permutation(len(dataset))
    groups = []
    for label in shown:
        members = order[dataset.labels[order] == label]
        title = dataset.class_names[label] if label >= 0 else "unlabelled"
        samples = read_samples(dataset, np.sort(members[:most]).tolist())
        groups.append(Group(title, members.size, tuple(samples)))
    return groups
