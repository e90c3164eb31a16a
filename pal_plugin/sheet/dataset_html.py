"""The contact sheet of a data set as a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pal_plugin.data import ImageDataset
from pal_plugin.sheet.measures import Measures
from pal_plugin.sheet.page import (
    bins,
    escaped,
    figures_tables,
    histogram,
    number,
    percent,
    picture,
    section,
    table,
    write_page,
)
from pal_plugin.sheet.samples import Group, Sample
from pal_plugin.sheet.tiles import longest_side

_MOST_SIZES = 8


def write_contact_page(
    path: Path, dataset: ImageDataset, measures: Measures, groups: Sequence[Group], note: str
) -> None:
    """Write the page.

    Args:
        path: the file.
        dataset: the samples.
        measures: the data set in figures.
        groups: some samples of each class.
        note: what data this is.
    """
    images = [sample.image for group in groups for sample in group.samples]
    sections = [section("Figures", figures_tables(_figures(dataset, measures)))]
    if len(measures.sizes) > 1:
        sections.append(_sizes(measures))
    sections.append(section("Images", *(_group(group) for group in groups)))
    if measures.classes:
        sections.append(_classes(measures, len(groups)))
    title = f"{dataset.name}, {dataset.split} split"
    write_page(path, title, note, sections, longest=longest_side(images))


def _figures(dataset: ImageDataset, measures: Measures) -> dict[str, list[tuple[str, str, str]]]:
    (height, width), often = measures.sizes[0]
    same = len(measures.sizes) == 1
    samples = [
        ("Images", number(measures.images), "in this split"),
        ("Labelled", number(measures.images - measures.unlabelled), "images whose class is known"),
        ("Classes", number(len(measures.classes)), _balance(measures)),
        (
            "Size" if same else "Commonest size",
            f"{height} × {width}",
            "height × width in pixels, of all images" if same else f"height × width, {percent(often / measures.read)}",
        ),
    ]
    what = "red, green, blue; over all pixels"
    colour = [
        ("Mean", _channels(measures.mean), what),
        ("Standard deviation", _channels(measures.std), what),
        ("Mean in use", _channels(dataset.mean), "what images are normalised by"),
        ("Deviation in use", _channels(dataset.std), "likewise"),
    ]
    read = "all images" if measures.read == measures.images else f"{measures.read:,} images drawn at random"
    return {"Samples": samples, f"Colour, from {read}": colour}


def _balance(measures: Measures) -> str:
    counts = [count for _, count in measures.classes]
    if not counts:
        return "nothing is labelled"
    return f"of {min(counts):,} to {max(counts):,} images" if min(counts) < max(counts) else f"of {counts[0]:,} images"


def _channels(values: Sequence[float]) -> str:
    return " / ".join(f"{value:.3f}" for value in values)


def _sizes(measures: Measures) -> str:
    counts = np.array([count for _, count in measures.sizes])
    plots = []
    for axis, name in enumerate(("height", "width")):
        lengths = np.repeat([size[axis] for size, _ in measures.sizes], counts)
        found, step = bins(lengths)
        caption = f"Images by {name}, on a logarithmic scale; {lengths.min():,} to {lengths.max():,} pixels."
        plots.append(histogram(found, step, caption, f"{name} in pixels"))
    rows = [
        [f"{height} × {width}", number(count), percent(count / measures.read)]
        for (height, width), count in measures.sizes[:_MOST_SIZES]
    ]
    caption = f"The commonest of {len(measures.sizes):,} sizes (height × width)"
    return section(
        "Image sizes",
        f'<div class="plots">{"".join(plots)}</div>',
        table(caption, ["Size", "Images", "Share"], rows, numbers=(1, 2)),
    )


def _group(group: Group) -> str:
    tiles = "\n".join(f"<li>{_tile(sample)}</li>" for sample in group.samples)
    return (
        f"<h3>{escaped(group.title)} <small>{len(group.samples):,} of {group.count:,}</small></h3>\n"
        f'<ul class="tiles sheet">\n{tiles}\n</ul>'
    )


def _tile(sample: Sample) -> str:
    return picture(
        sample.image, f"{'Unlabelled' if sample.class_name is None else sample.class_name}: {sample.id}", sample.id
    )


def _classes(measures: Measures, shown: int) -> str:
    rows = [[name, number(count), percent(count / measures.images)] for name, count in measures.classes]
    held = sum(count > 0 for _, count in measures.classes)
    caption = "Images of each class" + (f"; the first {shown:,} classes are shown above" if shown < held else "")
    return section("Classes", table(caption, ["Class", "Images", "Share"], rows, numbers=(1, 2)))
