"""A picture for print: images, frames and text placed in points (1/72 inch), at the resolution that the images need."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pal_plugin.io import atomic_path
from pal_plugin.sheet.tiles import fit, printable

INK = "#1a1a1a"
FAINT = "#5f6368"
RIGHT = "#0072b2"  # blue and vermilion of Okabe and Ito (2008): told apart with every kind of colour blindness
WRONG = "#d55e00"
LINE = "#c4c7cc"
TILE = 39.0  # points, 0.54 inch
FONT = 6.5  # points
LEADING = 1.35  # distance of lines, in sizes of the font
FRAME = 1.4  # points, drawn outside the image
_AIR = 0.5  # points between image and frame


class Canvas:
    """A white page.

    Args:
        width: in points.
        height: in points.
        side: pixels of a tile, which is `TILE` points: this sets the resolution.
    """

    def __init__(self, width: float, height: float, side: int) -> None:
        self._scale = side / TILE
        self._side = side
        self._image = Image.new("RGB", (self._pixels(width), self._pixels(height)), "white")
        self._draw = ImageDraw.Draw(self._image)

    def _pixels(self, points: float) -> int:
        return round(points * self._scale)

    def tile(self, x: float, y: float, image: NDArray[np.uint8], colour: str | None = None) -> None:
        """Put an image into the middle of the tile whose upper left corner is (x, y), framed where given a colour."""
        scaled = fit(image, self._side)
        height, width = scaled.shape[:2]
        left = self._pixels(x) + (self._side - width) // 2
        top = self._pixels(y) + (self._side - height) // 2
        self._image.paste(Image.fromarray(scaled), (left, top))
        if colour is not None:
            air, thick = max(1, self._pixels(_AIR)), max(1, self._pixels(FRAME))
            reach = air + thick
            box = (left - reach, top - reach, left + width + reach - 1, top + height + reach - 1)
            self._draw.rectangle(box, outline=colour, width=thick)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        colour: str = INK,
        size: float = FONT,
        bold: bool = False,
        anchor: str = "ma",
        room: float | None = None,
    ) -> float:
        """Write one line, cut by an ellipsis where it is wider than `room`; return its width in points.

        Args:
            x: in points.
            y: in points.
            text: what to write.
            colour: of the letters.
            size: in points.
            bold: heavier letters.
            anchor: which of its points is at (x, y), in Pillow's letters (`"la"`: left end, top).
            room: in points.
        """
        font = _font(self._pixels(size), bold)
        shown = printable(text)
        if room is not None:
            shown = _cut(shown, font, room * self._scale)
        self._draw.text((x * self._scale, y * self._scale), shown, fill=colour, font=font, anchor=anchor)
        return font.getlength(shown) / self._scale

    def paragraph(self, x: float, y: float, lines: Sequence[str], *, size: float = FONT) -> None:
        """Write lines below one another."""
        for number, line in enumerate(lines):
            self.text(x, y + number * LEADING * size, line, colour=FAINT, size=size, anchor="la")

    def line(self, start: tuple[float, float], end: tuple[float, float], *, colour: str = LINE) -> None:
        """Draw a hairline."""
        ends = [(self._pixels(x), self._pixels(y)) for x, y in (start, end)]
        self._draw.line(ends, fill=colour, width=max(1, self._pixels(0.5)))

    def box(self, x: float, y: float, side: float, colour: str) -> None:
        """Draw an empty framed square, for a legend."""
        corners = (self._pixels(x), self._pixels(y), self._pixels(x + side), self._pixels(y + side))
        self._draw.rectangle(corners, outline=colour, width=max(1, self._pixels(FRAME)))

    def save(self, path: Path) -> None:
        """Write the picture as PNG; its size in inches is in the file."""
        dpi = 72 * self._scale
        with atomic_path(path) as temporary:
            self._image.save(temporary, "PNG", dpi=(dpi, dpi), optimize=True)


def wrapped(text: str, width: float, size: float, side: int) -> list[str]:
    """Break a text at its spaces into lines of at most `width` points; a longer word gets a line of its own.

    Args:
        text: what is to be written.
        width: in points.
        size: of the font, in points.
        side: pixels of a tile, as in `Canvas`: letters are fitted to pixels, and so their widths differ a little.
    """
    scale = side / TILE
    font = _font(round(size * scale), False)
    lines: list[str] = []
    for word in printable(text).split(" "):
        if lines and font.getlength(f"{lines[-1]} {word}") <= width * scale:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


@functools.cache
def _font(pixels: int, bold: bool) -> ImageFont.FreeTypeFont:
    import matplotlib as mpl  # has a font of Latin, Greek, Cyrillic, ✓ and ✗ on every machine

    folder = Path(os.fspath(mpl.get_data_path())) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), max(1, pixels))


def _cut(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text.rstrip()}…"
