"""The report as one page: the Markdown in a frame of ours, its pictures inside, nothing fetched, no script."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from reproductions.reporting.markdown import anchor

TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --page: #ffffff; --soft: #59636e; --line: #d0d7de; --band: #f6f8fa;
  --link: #0550ae; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --page: #0d1117; --soft: #9aa4af; --line: #3d444d;
  --band: #161b22; --link: #79b8ff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem 1rem 4rem; color: var(--text); background: var(--page);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { line-height: 1.2; } h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); padding-bottom: .3rem; }
h3 { margin-top: 2rem; }
a { color: var(--link); } code { background: var(--band); padding: .1em .3em; border-radius: 4px; }
.table { overflow-x: auto; margin: 1rem 0; } .table:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .875rem; }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; }
th { background: var(--band); }
img { display: block; max-width: 100%; height: auto; margin-top: 1.5rem; }
img[src^="data:image/png"] { background: #ffffff; }
em { color: var(--soft); }
details { border: 1px solid var(--line); border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0; }
summary { cursor: pointer; } summary:focus-visible { outline: 2px solid var(--link); }
@media print { details { display: none; } }
"""


class _Renderer(RendererHTML):
    """HTML whose headings have addresses, whose wide tables scroll by themselves, and whose pictures are inside it."""

    def heading_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        tokens[index].attrSet("id", anchor(tokens[index + 1].content))
        return self.renderToken(tokens, index, options, env)

    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        env["tables"] = env.get("tables", 0) + 1
        return f'<div class="table" role="region" tabindex="0" aria-label="table {env["tables"]}"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return '<th scope="col">'

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        file = Path(env["folder"]) / str(token.attrGet("src"))
        inside = base64.b64encode(file.read_bytes()).decode("ascii")
        token.attrSet("src", f"data:{TYPES[file.suffix]};base64,{inside}")
        return str(super().image(tokens, index, options, env))


def page(markdown: str, folder: Path) -> str:
    """Return the report as HTML.

    Args:
        markdown: the report; its first line is the title.
        folder: what the pictures' paths are relative to.
    """
    made = MarkdownIt("commonmark", {"html": True}, renderer_cls=_Renderer).enable("table")
    title = markdown.splitlines()[0].lstrip("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
        f"{made.render(markdown, {'folder': str(folder)})}</main>\n</body>\n</html>\n"
    )
