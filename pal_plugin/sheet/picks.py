"""The first picks of a selection as a picture: images in their order, with rank and class."""

from __future__ import annotations

import os
from pathlib import Path

from pal_plugin.data import ImageDataset
from pal_plugin.selection import Selection
from pal_plugin.sheet.canvas import FAINT, LEADING, TILE, Canvas, wrapped
from pal_plugin.sheet.samples import Sample, read_samples
from pal_plugin.sheet.tiles import longest_side, tile_side

_MARGIN = 5.0  # points, as all lengths here
_GAP = 2.5
_CAPTION = 10.0
_PER_LINE = 10
_SMALL = 6.0


def write_picks_sheet(path: str | os.PathLike[str], dataset: ImageDataset, picks: Selection, most: int = 60) -> Path:
    """Write the first picks as PNG, ten in a line.

    Args:
        path: the file.
        dataset: what the picks index.
        picks: in their order.
        most: how many are shown.

    Raises:
        DataError: an image cannot be read or decoded.
    """
    samples = read_samples(dataset, picks.indices[:most].tolist())
    name = str(picks.selector.get("name", "a selection"))
    note = f"The first {len(samples):,} of {len(picks):,} picks of {name}, from {dataset.name}/{dataset.split}."
    file = Path(path)
    _drawn(samples, note).save(file)
    return file


def _drawn(samples: list[Sample], note: str) -> Canvas:
    side = tile_side(longest_side([sample.image for sample in samples])) if samples else int(TILE)
    width = 2 * _MARGIN + _PER_LINE * (TILE + _GAP) - _GAP
    pitch = TILE + _CAPTION + _GAP
    foot = _MARGIN + -(-len(samples) // _PER_LINE) * pitch
    lines = wrapped(note, width - 2 * _MARGIN, _SMALL, side)
    canvas = Canvas(width, foot + LEADING * _SMALL * len(lines) + _MARGIN, side)
    for rank, sample in enumerate(samples):
        line, column = divmod(rank, _PER_LINE)
        x, y = _MARGIN + column * (TILE + _GAP), _MARGIN + line * pitch
        canvas.tile(x, y, sample.image)
        words = f"{rank + 1}: {sample.caption}".removesuffix(": ")
        canvas.text(x + TILE / 2, y + TILE + 1.5, words, colour=FAINT, size=_SMALL, room=TILE)
    canvas.paragraph(_MARGIN, foot, lines, size=_SMALL)
    return canvas
