"""Put the tables that commands wrote into README.md: `python -m reproductions.readme`."""

from __future__ import annotations

import re
from pathlib import Path

from pal_plugin.io import atomic_path

README = Path("README.md")
_TABLE = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- /table -->)", re.DOTALL)


def refreshed(text: str, root: Path = Path()) -> str:
    """Return `text` with the content of the named file between each pair of markers.

    Args:
        text: Markdown with `<!-- table: PATH -->` … `<!-- /table -->`.
        root: what the paths are relative to.
    """
    return _TABLE.sub(lambda found: found[1] + (root / found[2]).read_text(encoding="utf-8") + found[3], text)


def main() -> None:
    """Rewrite README.md."""
    text = refreshed(README.read_text(encoding="utf-8"))
    with atomic_path(README) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
