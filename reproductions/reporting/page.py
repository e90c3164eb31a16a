"""The report as one page: the Markdown in a frame of ours, its pictures inside, nothing fetched, no script.

A picture is a link to its own file, which lies beside the page in the report's folder.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from PIL import Image

from reproductions.reporting.outline import outlined

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
LEAST = 10  # CSS pixels of the smallest letters in a figure: a narrower one is scrolled, not shrunk further
PNG_TEXT = 6  # points of the smallest letters in our PNGs, whose size in points is in the file
STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --page: #ffffff; --soft: #59636e; --line: #d0d7de; --band: #f6f8fa;
  --link: #0550ae; }
@media screen and (prefers-color-scheme: dark) { :root { --text: #e6edf3; --page: #0d1117; --soft: #9aa4af;
  --line: #3d444d; --band: #161b22; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 4rem; color: var(--text); background: var(--page);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { margin-top: 2rem; }
a { color: var(--link); } code { background: var(--band); padding: .1em .3em; border-radius: 4px; }
nav ul { padding-left: 1.2rem; } .back { text-align: right; margin: 2rem 0 0; }
.table, .picture { overflow-x: auto; margin: 1rem 0; }
.table:focus-visible, .picture:focus-visible, summary:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .875rem; }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--band); } [role=group] table { min-width: 40rem; }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); font-style: italic; }
.picture, .picture img { display: block; } .picture img { max-width: 100%; height: auto; }
img[src^="data:image/png"] { background: #ffffff; }
em { color: var(--soft); }
details { border: 1px solid var(--line); border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0; }
summary { cursor: pointer; }
@media print {
  :root { color-scheme: light; } body { max-width: none; padding: 0; } .back { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  .table, .picture { overflow: visible; } .picture img { min-width: 0 !important; }
  table { font-size: .6rem; min-width: 0 !important; } th, td { padding: .1rem .25rem; overflow-wrap: anywhere; }
  figure, tr { break-inside: avoid; } h2, h3, h4, h5, summary { break-after: avoid; }
}
"""


class _Renderer(RendererHTML):
    """HTML whose wide tables and figures scroll by themselves, and whose pictures are inside it."""

    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        name = tokens[index].attrGet("aria-label")
        # a group, not a region: a reader's list of landmarks would be one of tables
        scrolls = f' role="group" tabindex="0" aria-label="{escape(str(name))}"' if name else ""
        return f'<div class="table"{scrolls}><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return '<th scope="col">'

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        source = str(token.attrGet("src"))
        file = Path(env["folder"]) / source
        inside = base64.b64encode(file.read_bytes()).decode("ascii")
        token.attrSet("src", f"data:{TYPES[file.suffix]};base64,{inside}")
        token.attrSet("style", f"min-width:{_least_width(file)}px")
        picture = super().image(tokens, index, options, env)
        return f'<a class="picture" href="{escape(source)}" title="Open the figure by itself">{picture}</a>'


def _least_width(picture: Path) -> int:
    """Return the width in CSS pixels at which the smallest letters of a picture have `LEAST`; 0 if it has none."""
    if picture.suffix == ".svg":
        drawing = picture.read_text(encoding="utf-8")
        box = re.search(r'viewBox="\S+ \S+ (\S+) \S+"', drawing)
        sizes = [float(size) for size in re.findall(r"font(?:-size)?: (?:[a-z]+ )*([\d.]+)px", drawing)]
        return math.ceil(LEAST * float(box[1]) / min(sizes)) if box and sizes else 0
    with Image.open(picture) as image:
        points = 72 * image.width / float(image.info.get("dpi", (72, 72))[0])
    return math.ceil(LEAST * points / PNG_TEXT)


def page(markdown: str, folder: Path) -> str:
    """Return the report as HTML.

    Args:
        markdown: the report; its first line is the title.
        folder: what the pictures' paths are relative to.
    """
    made = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    title = markdown.splitlines()[0].lstrip("# ")
    env = {"folder": str(folder)}
    body = made.renderer.render(outlined(made.parse(markdown, env)), made.options, env)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
        f"{body}</main>\n</body>\n</html>\n"
    )
