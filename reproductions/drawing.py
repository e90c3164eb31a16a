"""Figures: one is written when its block ends, as PNG on white, or as SVG that suits a light and a dark page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pal_plugin.io import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TEXT, GRID = ("#1f2328", "#e6edf3"), ("#d0d7de", "#3d444d")  # on a light page, on a dark one
# Of marks: one for both pages, so neither bright nor dark, at least 3:1 on either (WCAG 2.2, 1.4.11). So narrow a band
# has few hues that are told apart with every kind of colour blindness: what differs has another mark or line as well.
GREY, BLUE, ORANGE, RED, GREEN = "#7f7f7f", "#4a78c2", "#d1793a", "#d1562a", "#4f9d69"
PURPLE, BROWN, TEAL, OCHRE, PINK = "#8e6bb0", "#8c5a3c", "#1a9aa8", "#b87a00", "#c2528b"
_PAGE: Any = {  # rcParams
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), TEXT[0]),
    "grid.color": GRID[0],
    "savefig.transparent": True,
    "svg.fonttype": "none",  # text stays text: small files, words that can be searched
    "svg.hashsalt": "pal",  # ids that do not change from one run to the next
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
}
_DARK = "".join(
    f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
    for light, dark in (TEXT, GRID)
    for what in ("fill", "stroke")
)
# A drawing that is opened by itself has the browser's ground, which is dark only where it says that it suits both;
# paper is white for every reader.
_STYLE = (
    f"<style>@media screen{{:root{{color-scheme:light dark}}}}"
    f"@media screen and (prefers-color-scheme: dark){{{_DARK}}}</style>"
)


@contextmanager
def drawing(path: Path, title: str, size: tuple[float, float]) -> Iterator[Figure]:
    """Yield an empty figure; when the block ends, write it.

    Args:
        path: the file to write, `.png` or `.svg`.
        title: stands above, on the left.
        size: width and height in inches.
    """
    import matplotlib as mpl  # heavy
    from matplotlib.figure import Figure

    vector = path.suffix == ".svg"
    with mpl.rc_context(_PAGE if vector else None):
        figure = Figure(figsize=size, layout="constrained")
        figure.suptitle(title, fontsize=10, x=0.01, ha="left")
        yield figure
        with atomic_path(path) as temporary:
            if vector:
                figure.savefig(temporary, format="svg", metadata={"Date": None})  # the same figure, the same file
                _suit_both(temporary)
            else:
                figure.savefig(temporary, format="png", dpi=150)


def ink() -> str:
    """Return the colour of text."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def legend_below(figure: Figure, axes: Iterable[Axes], *, columns: int, note: str = "") -> None:
    """Put one legend below the panels, with every label that some of them have.

    Args:
        figure: of the panels.
        axes: the panels.
        columns: of the legend.
        note: a line above it.
    """
    entries = [axis.get_legend_handles_labels() for axis in axes]
    found = {label: handle for handles, labels in entries for handle, label in zip(handles, labels, strict=True)}
    style: Any = {"ncols": columns, "fontsize": 8, "title_fontsize": 8, "frameon": False}
    figure.legend(list(found.values()), list(found), loc="outside lower center", title=note or None, **style)


def _suit_both(path: Path) -> None:
    """Give a drawing's text and grid other colours where the reader's page is dark."""
    head, tag, rest = path.read_text(encoding="utf-8").partition("<defs>")
    path.write_text(f"{head}{_STYLE}\n {tag}{rest}", encoding="utf-8")
