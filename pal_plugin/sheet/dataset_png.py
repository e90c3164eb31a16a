"""The contact sheet of a data set as a picture for print."""

from __future__ import annotations

from collections.abc import Sequence

from pal_plugin.sheet.canvas import FAINT, LEADING, TILE, Canvas, wrapped
from pal_plugin.sheet.samples import Group
from pal_plugin.sheet.tiles import longest_side, tile_side

_MARGIN = 5.0  # points, as all lengths here
_LABEL = 47.0
_GAP = 2.5
_BLOCK_GAP = 14.0
_LINES = 13  # of classes in a block, before there is another beside it
_MOST_BLOCKS = 4
_IN_ALL = 10  # images in a line, over all blocks
_SMALL = 6.0


def images_per_line(groups: int) -> int:
    """Return how many images of a class are side by side in a sheet of so many classes."""
    return _IN_ALL // _blocks(groups)


def draw_groups(groups: Sequence[Group], note: str) -> Canvas:
    """Draw each class: its name and size, then its images; up to the width of a page, in blocks where they are many.

    Args:
        groups: the classes.
        note: what data this is.
    """
    side = tile_side(longest_side([sample.image for group in groups for sample in group.samples]))
    per_line = images_per_line(len(groups))
    per_block = -(-len(groups) // _blocks(len(groups)))
    blocks = [groups[start : start + per_block] for start in range(0, len(groups), per_block)]
    block_width = _LABEL + per_line * (TILE + _GAP) - _GAP
    width = 2 * _MARGIN + len(blocks) * block_width + (len(blocks) - 1) * _BLOCK_GAP
    foot = _MARGIN + max(sum(_lines(group, per_line) for group in block) for block in blocks) * (TILE + _GAP) + 3
    lines = wrapped(note, width - 2 * _MARGIN, _SMALL, side)
    canvas = Canvas(width, foot + LEADING * _SMALL * len(lines) + _MARGIN, side)
    for number, block in enumerate(blocks):
        x, y = _MARGIN + number * (block_width + _BLOCK_GAP), _MARGIN
        for group in block:
            _group(canvas, group, x, y, per_line)
            y += _lines(group, per_line) * (TILE + _GAP)
    canvas.paragraph(_MARGIN, foot, lines, size=_SMALL)
    return canvas


def _blocks(groups: int) -> int:
    return min(_MOST_BLOCKS, -(-groups // _LINES))


def _lines(group: Group, per_line: int) -> int:
    return -(-len(group.samples) // per_line)


def _group(canvas: Canvas, group: Group, x: float, y: float, per_line: int) -> None:
    canvas.text(x, y + 9, group.title, bold=True, size=_SMALL, anchor="la", room=_LABEL - 3)
    canvas.text(x, y + 18, f"{group.count:,}", size=_SMALL, colour=FAINT, anchor="la")
    for place, sample in enumerate(group.samples):
        line, column = divmod(place, per_line)
        canvas.tile(x + _LABEL + column * (TILE + _GAP), y + line * (TILE + _GAP), sample.image)
