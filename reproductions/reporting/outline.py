"""What the page has beside the report's text: addresses of headings, a table of contents, named tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import count

from markdown_it.token import Token

from reproductions.reporting.markdown import anchor

CONTENTS = "contents"
SECTION, PART = 2, 3  # levels of headings
NARROW = 3  # columns that fit a phone's width; a wider table scrolls in a box of its own
BACK = f'<p class="back"><a href="#{CONTENTS}">Contents</a></p>\n'


def outlined(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens of a report with the table of contents before its first section, and a way back after each.

    Args:
        tokens: of the whole report; headings get ids, wide tables names, and a picture with its caption is a figure.
    """
    headings = _address(tokens)
    _name_tables(tokens)
    _frame_figures(tokens)
    found: list[Token] = []
    for token in tokens:
        if token.type == "heading_open" and token.tag == f"h{SECTION}":
            found.append(_html(BACK if any(earlier.tag == token.tag for earlier in found) else _contents(headings)))
        found.append(token)
    return [*found, _html(BACK)]


def _html(content: str) -> Token:
    return Token("html_block", "", 0, content=content)


def _title(tokens: Sequence[Token], index: int) -> str:
    """Return the text of the heading that opens at `index`."""
    return tokens[index + 1].content.replace("`", "")


def _address(tokens: Sequence[Token]) -> list[tuple[int, str, str]]:
    """Give each heading an id of its own, the first of a title what GitHub calls it, and return (level, id, title)."""
    headings = []
    used = {CONTENTS}
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            name = anchor(tokens[index + 1].content)
            free = next(new for number in count() if (new := f"{name}-{number}" if number else name) not in used)
            used.add(free)
            token.attrSet("id", free)
            headings.append((int(token.tag[1]), free, _title(tokens, index)))
    return headings


def _contents(headings: Sequence[tuple[int, str, str]]) -> str:
    """Return a list of links to the sections, and to the parts of each."""
    sections: list[tuple[str, list[str]]] = []
    for level, name, title in headings:
        link = f'<a href="#{name}">{escape(title)}</a>'
        if level == SECTION:
            sections.append((link, []))
        elif level == PART and sections:
            sections[-1][1].append(link)
    listed = _list([f"{link}{_list(parts)}" for link, parts in sections])
    return f'<nav id="{CONTENTS}" aria-label="Contents">\n<h2>Contents</h2>\n{listed}</nav>\n'


def _list(items: Sequence[str]) -> str:
    return "<ul>\n" + "".join(f"<li>{item}</li>\n" for item in items) + "</ul>\n" if items else ""


def _name_tables(tokens: Sequence[Token]) -> None:
    """Give each wide table a name of its own: the heading above it, or those below the part that it stands in."""
    above: dict[int, str] = {}
    used: set[str] = set()
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            level = int(token.tag[1])
            above = {of: title for of, title in above.items() if of < level} | {level: _title(tokens, index)}
        elif token.type == "table_open" and _columns(tokens, index) > NARROW:
            titles = [title for level, title in above.items() if level > PART] or list(above.values())[-1:]
            name = ": ".join(titles)
            free = next(new for number in count(1) if (new := f"{name}, {number}" if number > 1 else name) not in used)
            used.add(free)
            token.attrSet("aria-label", free)


def _columns(tokens: Sequence[Token], index: int) -> int:
    end = next(place for place in range(index, len(tokens)) if tokens[place].type == "thead_close")
    return sum(token.type == "th_open" for token in tokens[index:end])


def _frame_figures(tokens: Sequence[Token]) -> None:
    """Make a paragraph of one picture and one of its caption, in italics, a figure."""
    for index in range(1, len(tokens) - 4):
        picture, caption = tokens[index], tokens[index + 3]
        said = _kinds(caption)
        if _kinds(picture) == ["image"] and said[:1] + said[-1:] == ["em_open", "em_close"]:
            tokens[index - 1].tag = "figure"
            tokens[index + 1].hidden = True
            tokens[index + 2].tag = "figcaption"
            caption.children = (caption.children or [])[1:-1]
            tokens[index + 4].type, tokens[index + 4].content = "html_block", "</figcaption></figure>\n"


def _kinds(token: Token) -> list[str]:
    return [child.type for child in token.children or []]
