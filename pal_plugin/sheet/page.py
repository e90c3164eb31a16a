"""A self-contained HTML page: no script, no other file, light and dark, readable on a phone.

Every text that comes from a data set goes through `escaped`; the functions here do so with what they are given, except
where an argument is called `html`.
"""

from __future__ import annotations

import html as _html
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pal_plugin.io import atomic_path
from pal_plugin.sheet.tiles import data_uri, longest_side, printable

_CRISP = 96  # pixels: an image up to here is enlarged on the page by a whole factor
_CSS = """
:root { color-scheme: light dark; --page: #fff; --ink: #1a1a1a; --faint: #5f6368; --line: #d5d8dc; --bar: #6b7f95;
  --right: #0072b2; --wrong: #b84a00; --right-frame: #0072b2; --wrong-frame: #d55e00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #15181b; --ink: #e8eaed; --faint: #a4abb3; --line: #3a4047; --bar: #8aa0b8; --right: #6cbdf0;
    --wrong: #ffa24d; --right-frame: #56b4e9; --wrong-frame: #f28c28; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.25rem .75rem 3rem; max-width: 74rem; background: var(--page); color: var(--ink);
  font: 1rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; } h3 small { font-weight: 400; } .sheet { gap: 0; margin: 0 0 1rem; }
.sheet { grid-template-columns: repeat(auto-fill, calc(var(--tile) + 6px)); }
p { margin: .35rem 0; max-width: 44rem; }
small, .faint, figcaption, caption { color: var(--faint); font-size: .8125rem; }
table { border-collapse: collapse; min-width: min(100%, 24rem); font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .35rem; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-top: 1px solid var(--line); vertical-align: top; }
th { font-weight: 500; } thead th { color: var(--faint); font-size: .8125rem; border-top: 0; }
.number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; } .plots + .wide { margin-top: 1.25rem; }
th small { display: block; font-weight: 400; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem 2.5rem;
  align-items: start; }
.figures table { width: 100%; } .figures td { padding-right: 0; } .figures caption { padding: 0 0 .2rem; }
ol, ul { list-style: none; margin: 0; padding: 0; }
figure { margin: 0; }
.rows > li { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; padding: .75rem 0; border-top: 1px solid var(--line); }
.lead { flex: 0 0 calc(var(--tile) + 9.5rem); display: flex; gap: .5rem; align-items: flex-start; }
.tiles { display: grid; gap: .5rem .375rem; flex: 1 1 16rem;
  grid-template-columns: repeat(auto-fill, max(calc(var(--tile) + 6px), 4.9rem)); }
.tiles > li { font-size: .75rem; line-height: 1.25; text-align: center; }
.tiles small { display: block; font-size: .6875rem; } .tiles .pixels { margin-left: auto; margin-right: auto; }
.pixels { display: block; width: var(--tile); height: var(--tile); object-fit: contain; margin: 3px; flex: none; }
.crisp { image-rendering: pixelated; }
.right .pixels, .wrong .pixels { margin: 0 auto; width: calc(var(--tile) + 6px); height: calc(var(--tile) + 6px);
  padding: 1px; border: 2px solid var(--right-frame); }
.wrong .pixels { border: 2px dashed var(--wrong-frame); }
.right span { color: var(--right); } .wrong span { color: var(--wrong); }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .5rem 0; font-size: .875rem; }
.key li::before { content: ""; display: inline-block; width: .9em; height: .9em; margin-right: .4em;
  vertical-align: -.1em; border: 2px solid var(--right-frame); }
.key .wrong::before { border: 2px dashed var(--wrong-frame); }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; } .plots figure { flex: 1 1 20rem; max-width: 27rem; }
svg { width: 100%; height: auto; display: block; } svg text { font: 11px system-ui, sans-serif; fill: var(--faint); }
svg .bar { fill: var(--bar); } svg .rule { stroke: var(--line); }
"""


def write_page(path: Path, title: str, lede: str, sections_html: Iterable[str], *, longest: int = 32) -> None:
    """Write a page.

    Args:
        path: the file.
        title: its heading.
        lede: one paragraph below it.
        sections_html: the rest.
        longest: side of the largest image shown, in pixels: small ones are shown at a whole multiple of it.
    """
    body = "\n".join(sections_html)
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{escaped(title)}</title>
<style>{_CSS}:root {{ --tile: {_shown(longest, 96)}px; }}
.sheet {{ --tile: {_shown(longest, 64)}px; }}
@media (max-width: 30rem) {{ :root {{ --tile: {_shown(longest, 64)}px; }} }}
</style>
</head>
<body>
<header>
<h1>{escaped(title)}</h1>
<p class="faint">{escaped(lede)}</p>
</header>
<main>
{body}
</main>
</body>
</html>
"""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _shown(longest: int, about: int) -> int:
    """Return the width of a tile on the page: a whole multiple of a small image, or `about`."""
    return longest * max(1, round(about / longest)) if longest <= _CRISP else about


def escaped(text: object) -> str:
    """Return a text as HTML that shows it, in content and in quoted attributes alike."""
    return _html.escape(printable(str(text)), quote=True)


def number(value: float) -> str:
    """Return a count as it is, and another number with two digits after the point."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def percent(share: float | None) -> str:
    """Return a share in percent; a dash where there is none."""
    return "–" if share is None else f"{100 * share:.1f}\u00a0%"


def section(heading: str, *html: str) -> str:
    """Return a section under a heading."""
    return f"<section>\n<h2>{escaped(heading)}</h2>\n" + "\n".join(html) + "\n</section>"


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{escaped(text)}</p>"


def figures_tables(groups: Mapping[str, Sequence[tuple[str, str, str]]]) -> str:
    """Return a table of (figure, value, what it means) for each group, side by side where there is room."""
    return '<div class="figures">' + "\n".join(_figures(*group) for group in groups.items()) + "</div>"


def _figures(caption: str, rows: Sequence[tuple[str, str, str]]) -> str:
    lines = (
        f'<tr><th scope="row">{escaped(name)}<small>{escaped(meaning)}</small></th>'
        f'<td class="number">{escaped(value)}</td></tr>'
        for name, value, meaning in rows
    )
    return f"<table><caption>{escaped(caption)}</caption><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """Return a table; the columns `numbers` are set to the right, and the first names the row."""

    def cell(column: int, text: str) -> str:
        kind = ' class="number"' if column in numbers else ""
        return f"<td{kind}>{escaped(text)}</td>" if column else f'<th scope="row">{escaped(text)}</th>'

    head = "".join(
        f'<th scope="col"{" class=number" if column in numbers else ""}>{escaped(text)}</th>'
        for column, text in enumerate(header)
    )
    lines = ("<tr>" + "".join(cell(column, text) for column, text in enumerate(row)) + "</tr>" for row in rows)
    body = "\n".join(lines)
    return (
        f'<div class="wide"><table><caption>{escaped(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def picture(image: NDArray[np.uint8], alt: str, title: str = "") -> str:
    """Return an inlined image."""
    crisp = " crisp" if longest_side([image]) <= _CRISP else ""
    hint = f' title="{escaped(title)}"' if title else ""
    return f'<img class="pixels{crisp}" src="{data_uri(image)}" alt="{escaped(alt)}"{hint}>'


def histogram(counts: Sequence[int], width: int, caption: str, xlabel: str) -> str:
    """Return a figure of bars with a logarithmic height, as SVG.

    Args:
        counts: how many values fall into each bin; the first bin starts at 0.
        width: of a bin.
        caption: what is counted; it ends up below the figure, and with the figures in words in its description.
        xlabel: what the values are.
    """
    left, right, top, bottom = 40.0, 332.0, 10.0, 130.0
    most = max(max(counts), 1)
    step = (right - left) / len(counts)
    scale = (bottom - top) / np.log10(1 + most)

    def height(count: int) -> float:
        return float(np.log10(1 + count) * scale)

    parts = []
    for tick in [1, *(10**power for power in range(1, 10) if 10**power <= most)]:
        y = bottom - height(tick)
        parts.append(f'<line class="rule" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{tick:,}</text>')
    for number, count in enumerate(counts):
        if count:
            x, tall = left + number * step, height(count)
            box = f'x="{x + 0.5:.1f}" y="{bottom - tall:.1f}" width="{max(step - 1, 0.7):.1f}" height="{tall:.1f}"'
            parts.append(f'<rect class="bar" {box}/>')
    parts.append(f'<line class="rule" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>')
    for value in _ticks(len(counts) * width):
        x = left + (value / width + (0.5 if width == 1 else 0)) * step
        parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{value:,}</text>')
    parts.append(f'<text x="{(left + right) / 2}" y="{bottom + 30}" text-anchor="middle">{escaped(xlabel)}</text>')
    words = ", ".join(f"{_bin(number, width)}: {count:,}" for number, count in enumerate(counts) if count)
    label = escaped(f"Histogram. {caption} {xlabel}: {words}")
    drawing = "\n".join(parts)
    return (
        f'<figure><svg viewBox="0 0 340 165" role="img" aria-label="{label}">\n{drawing}\n</svg>\n'
        f"<figcaption>{escaped(caption)}</figcaption></figure>"
    )


def bins(values: NDArray[np.int64], most: int = 48) -> tuple[list[int], int]:
    """Count values ≥ 0 in at most about `most` equal bins from 0 on; return the counts and the width of a bin."""
    width = max(1, -(-(int(values.max()) + 1) // most))
    return np.bincount(values // width).tolist(), width


def _bin(number: int, width: int) -> str:
    return f"{number:,}" if width == 1 else f"{number * width:,} to {(number + 1) * width - 1:,}"


def _ticks(end: int) -> list[int]:
    step = next(step for power in range(12) for step in (10**power, 2 * 10**power, 5 * 10**power) if end / step <= 6)
    return list(range(0, end, step))
