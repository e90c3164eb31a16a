"""What the report's page has beside its text, of a few lines."""

from __future__ import annotations

from markdown_it import MarkdownIt

from reproductions.reporting.outline import outlined

LINES = """\
# Title

Words.

## Part

| a | b | c | d |
|---|---|---|---|
| 1 | 2 | 3 | 4 |

### Part

#### More of `it`

| a | b |
|---|---|
| 1 | 2 |

| a | b | c | d |
|---|---|---|---|
| 1 | 2 | 3 | 4 |

| a | b | c | d |
|---|---|---|---|
| 1 | 2 | 3 | 4 |

## Contents

![short](x.svg)

*What it shows.*

![alone](x.svg)

Words.
"""


def test_tokens_of_a_few_lines() -> None:
    tokens = outlined(MarkdownIt("commonmark").enable("table").parse(LINES))
    ids = [token.attrGet("id") for token in tokens if token.type == "heading_open"]
    assert ids == ["title", "part", "part-1", "more-of-it", "contents-1"]
    names = [token.attrGet("aria-label") for token in tokens if token.type == "table_open"]
    assert names == ["Part", None, "More of it", "More of it, 2"]
    assert [token.tag for token in tokens if token.tag in ("figure", "figcaption")] == ["figure", "figcaption"]
    blocks = [token.content for token in tokens if token.type == "html_block"]
    assert [block.splitlines()[0] for block in blocks] == [
        '<nav id="contents" aria-label="Contents">',
        '<p class="back"><a href="#contents">Contents</a></p>',
        "</figcaption></figure>",
        '<p class="back"><a href="#contents">Contents</a></p>',
    ]
    assert '<li><a href="#part">Part</a><ul>\n<li><a href="#part-1">Part</a></li>\n</ul>' in blocks[0]
