"""Anchors and their neighbours as a picture for print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pal_plugin.sheet.canvas import FAINT, FONT, LEADING, LINE, RIGHT, TILE, WRONG, Canvas, wrapped
from pal_plugin.sheet.samples import OTHER, SAME, Row, Sample
from pal_plugin.sheet.tiles import longest_side, tile_side

_MARGIN = 5.0  # points, as all lengths here
_GAP = 8.0  # between neighbours
_LEAD_GAP = 18.0  # between the anchor and the first of them
_BLOCK_GAP = 22.0
_HEAD = 13.0
_CAPTION = 12.0
_WEIGHT = 8.0
_ROW_GAP = 5.0
_KEY = 13.0
_SMALL = 6.0  # font of captions and of the source line
_NARROWEST = 205.0  # the key needs it


@dataclass(frozen=True)
class _Layout:
    """Where things go: rows in one block, or in two side by side where they are short and many."""

    rows: int
    columns: int
    captioned: bool
    weighted: bool
    nearest_first: bool

    @property
    def blocks(self) -> int:
        return 2 if self.columns <= 4 and self.rows > 5 else 1

    @property
    def lines(self) -> int:
        return -(-self.rows // self.blocks)

    @property
    def pitch(self) -> float:
        return TILE + (_CAPTION if self.captioned else 4.0) + (_WEIGHT if self.weighted else 0.0) + _ROW_GAP

    @property
    def block(self) -> float:
        return TILE + (_LEAD_GAP - _GAP) + max(self.columns, 1) * (TILE + _GAP)

    @property
    def width(self) -> float:
        return max(_NARROWEST, 2 * _MARGIN + self.blocks * self.block + (self.blocks - 1) * _BLOCK_GAP)

    @property
    def foot(self) -> float:
        return _MARGIN + _HEAD + self.lines * self.pitch

    def corner(self, row: int) -> tuple[float, float]:
        """Return the upper left corner of a row."""
        block, line = divmod(row, self.lines)
        return _MARGIN + block * (self.block + _BLOCK_GAP), _MARGIN + _HEAD + line * self.pitch

    def column(self, x: float, rank: int) -> float:
        """Return where the neighbour of a rank (from 0 on) begins in a row that begins at x."""
        return x + TILE + _LEAD_GAP + rank * (TILE + _GAP)


def draw_rows(rows: Sequence[Row], note: str, *, nearest_first: bool = True) -> Canvas:
    """Draw a row for each anchor: the anchor, then its neighbours in order, with a frame and a mark each.

    Five anchors with four neighbours fill a column of a two-column page; ten with four, or with nine, its whole width.
    Letters are of one size whatever the number of tiles.

    Args:
        rows: the anchors.
        note: what graph of what data this is, and how the anchors were chosen.
        nearest_first: whether the first neighbour is the nearest.
    """
    side = tile_side(longest_side([sample.image for row in rows for sample in row.samples]))
    neighbours = [sample for row in rows for sample in row.neighbours]
    framed = any(sample.right is not None for sample in neighbours)
    layout = _Layout(
        len(rows),
        max((len(row.neighbours) for row in rows), default=0),
        captioned=any(sample.caption for row in rows for sample in row.samples),
        weighted=any(sample.weight != 1 for sample in neighbours),
        nearest_first=nearest_first,
    )
    lines = wrapped(note, layout.width - 2 * _MARGIN, _SMALL, side)
    foot = layout.foot + (_KEY if framed else 0)
    height = foot + LEADING * _SMALL * len(lines) + _MARGIN
    canvas = Canvas(layout.width, height, side)
    for block in range(layout.blocks if rows else 0):
        _head(canvas, layout, *layout.corner(block * layout.lines))
    for number, row in enumerate(rows):
        _row(canvas, layout, row, *layout.corner(number))
    if framed:
        _key(canvas, layout.foot)
    canvas.paragraph(_MARGIN, foot, lines, size=_SMALL)
    return canvas


def _head(canvas: Canvas, layout: _Layout, x: float, y: float) -> None:
    canvas.text(x + TILE / 2, _MARGIN, "anchor", colour=FAINT)
    for rank in range(layout.columns):
        words = "nearest" if rank == 0 and layout.nearest_first else f"{rank + 1}"
        canvas.text(layout.column(x, rank) + TILE / 2, _MARGIN, words, colour=FAINT)
    middle = x + TILE + _LEAD_GAP / 2
    canvas.line((middle, _MARGIN), (middle, layout.foot - _ROW_GAP), colour=LINE)


def _row(canvas: Canvas, layout: _Layout, row: Row, x: float, y: float) -> None:
    canvas.tile(x, y, row.anchor.image)
    canvas.text(x + TILE / 2, y + TILE + 3, row.anchor.caption, bold=True, size=_SMALL, room=TILE + _GAP)
    for rank, sample in enumerate(row.neighbours):
        _neighbour(canvas, sample, layout.column(x, rank), y, layout.weighted)


def _neighbour(canvas: Canvas, sample: Sample, x: float, y: float, weighted: bool) -> None:
    colour = None if sample.right is None else RIGHT if sample.right else WRONG
    canvas.tile(x, y, sample.image, colour)
    below = y + TILE + 3
    canvas.text(x + TILE / 2, below, sample.caption, colour=colour or FAINT, size=_SMALL, room=TILE + _GAP - 1)
    if weighted:
        step = _WEIGHT if sample.caption else 0
        canvas.text(x + TILE / 2, below + step, f"{sample.weight:.3g}", colour=FAINT, size=_SMALL)


def _key(canvas: Canvas, y: float) -> None:
    x = _MARGIN + 1
    for colour, words in ((RIGHT, f"{SAME} class of the anchor"), (WRONG, f"{OTHER} another class")):
        canvas.box(x, y + 0.5, FONT, colour)
        x += FONT + 3 + canvas.text(x + FONT + 3, y, words, colour=colour, anchor="la") + 12
