"""Walks along AdaSSL's r as a picture: a block for each anchor, a line for each dimension."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pal_plugin.data import ImageDataset
from pal_plugin.evaluation.traversal import Traversal, Walk
from pal_plugin.sheet.canvas import FAINT, INK, LEADING, LINE, RIGHT, TILE, Canvas, wrapped
from pal_plugin.sheet.samples import Sample, read_samples
from pal_plugin.sheet.tiles import longest_side, tile_side

_MARGIN = 5.0  # points, as all lengths here
_GAP = 2.5
_HEAD = 12.0
_NAME = 46.0  # of a dimension
_LEAD_GAP = 16.0
_BLOCK_GAP = 9.0
_CAPTION = 9.5
_SMALL = 6.0
_LEAD = 2 * TILE + _CAPTION + _GAP + 4 + 3 * LEADING * _SMALL  # the anchor, and its partner below it
_PLACES = "Below a partner: its place among the images, the edit being that by the mean r of posterior or prior"


def write_traversal(path: str | os.PathLike[str], dataset: ImageDataset, traversal: Traversal, note: str) -> Path:
    """Write walks along r as PNG.

    Left of each block stand the anchor and, framed, its partner; framed, too, where the partner is retrieved.

    Args:
        path: the file.
        dataset: what the walks are through.
        traversal: the walks.
        note: what checkpoint this is, and what data.
    """
    file = Path(path)
    draw_walks(dataset, traversal, note).save(file)
    return file


def draw_walks(dataset: ImageDataset, traversal: Traversal, note: str) -> Canvas:
    """Draw walks; see `write_traversal`."""
    walks = traversal.walks
    nodes = {node for walk in walks for node in (walk.anchor, walk.partner, *walk.along.ravel(), *walk.drawn)}
    images = {sample.node: sample for sample in read_samples(dataset, sorted(map(int, nodes)))}
    side = tile_side(longest_side([sample.image for sample in images.values()]))
    columns = max(len(traversal.deviations), max(len(walk.drawn) for walk in walks))
    width = 2 * _MARGIN + TILE + _LEAD_GAP + _NAME + columns * (TILE + _GAP)
    lines = len(traversal.dimensions) + bool(len(walks[0].drawn))
    pitch = max(lines * (TILE + _GAP) - _GAP, _LEAD) + 2 * _BLOCK_GAP
    text = wrapped(f"{traversal.finding()}. {_PLACES}. {note}", width - 2 * _MARGIN, _SMALL, side)
    foot = _MARGIN + _HEAD + len(walks) * pitch
    canvas = Canvas(width, foot + LEADING * _SMALL * len(text) + _MARGIN, side)
    _head(canvas, traversal)
    for number, walk in enumerate(walks):
        top = _MARGIN + _HEAD + number * pitch
        if number:
            canvas.line((_MARGIN, top - _BLOCK_GAP), (width - _MARGIN, top - _BLOCK_GAP), colour=LINE)
        _lead(canvas, walk, images, len(dataset), top)
        _lines(canvas, walk, traversal, images, top)
    canvas.paragraph(_MARGIN, foot, text, size=_SMALL)
    return canvas


def _head(canvas: Canvas, traversal: Traversal) -> None:
    canvas.text(_MARGIN + TILE / 2, _MARGIN, "anchor", colour=FAINT)
    for place, deviation in enumerate(traversal.deviations):
        words = f"{deviation:+.3g} σ".replace("-", "−") if deviation else "mean"
        canvas.text(_column(place) + TILE / 2, _MARGIN, words, colour=FAINT)


def _lead(canvas: Canvas, walk: Walk, images: dict[int, Sample], size: int, top: float) -> None:
    """Draw the anchor, and below it the partner with its place among the images."""
    anchor, partner = images[walk.anchor], images[walk.partner]
    middle = _MARGIN + TILE / 2
    canvas.tile(_MARGIN, top, anchor.image)
    canvas.text(middle, top + TILE + 2, anchor.caption, bold=True, size=_SMALL, room=TILE + _LEAD_GAP)
    below = top + TILE + _CAPTION + _GAP
    canvas.tile(_MARGIN, below, partner.image, RIGHT)
    words = (f"partner {partner.caption}", f"posterior: {walk.place_posterior:,}", f"prior: {walk.place_prior:,}")
    for line, text in enumerate(words):
        y = below + TILE + 3 + line * LEADING * _SMALL
        canvas.text(_MARGIN, y, text, colour=RIGHT, size=_SMALL, anchor="la", room=TILE + _LEAD_GAP)


def _lines(canvas: Canvas, walk: Walk, traversal: Traversal, images: dict[int, Sample], top: float) -> None:
    right = _MARGIN + TILE + _LEAD_GAP + _NAME - 4
    kinds: list[tuple[str, str, Sequence[int]]] = [
        (f"dim {dimension}", f"{traversal.kl[dimension]:.2f} nats", row.tolist())
        for dimension, row in zip(traversal.dimensions, walk.along, strict=True)
    ]
    if len(walk.drawn):
        kinds.append(("drawn", "from the prior", walk.drawn.tolist()))
    for line, (name, kind, nodes) in enumerate(kinds):
        y = top + line * (TILE + _GAP)
        told = (name, kind, f"{len(set(nodes))} of {len(nodes)} differ" if len(set(nodes)) > 1 else "one image")
        for row, text in enumerate(told):
            first, height = row == 0, y + 7 + row * LEADING * _SMALL
            canvas.text(right, height, text, colour=INK if first else FAINT, bold=first, size=_SMALL, anchor="ra")
        for place, node in enumerate(nodes):
            canvas.tile(_column(place), y, images[node].image, RIGHT if node == walk.partner else None)


def _column(place: int) -> float:
    return _MARGIN + TILE + _LEAD_GAP + _NAME + place * (TILE + _GAP)
