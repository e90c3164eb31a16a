"""What figures show, read from the SVG that they draw: colours, marks, and what is said in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from reproductions import drawing
from reproductions.adassl import noisy_figure, numerical_figure
from reproductions.adassl.moving_mnist import figure as moving_figure
from reproductions.adassl.numerical_cells import BETAS, CLAMP, Cell
from reproductions.adassl.numerical_confound import draw as draw_confound
from reproductions.curves_figure import LINES
from reproductions.curves_figure import draw as draw_curves
from reproductions.gps_ssl import figure as gps_figure
from reproductions.pal import figures as circles_figures
from reproductions.pal import images_figure, oracle_figure
from reproductions.reporting.page import STYLE
from reproductions.zero_shot_al import figure as zero_shot_figure

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
GROUNDS = re.findall(r"--page: (#[0-9a-f]{6})", STYLE)  # the page's, light and dark
PALETTE = {name: colour for name, colour in vars(drawing).items() if re.fullmatch("#[0-9a-f]{6}", str(colour))}
MARKED = {
    "noisy": noisy_figure.STYLES,
    "numerical": numerical_figure.STYLES,
    "moving_mnist": moving_figure.STYLES,
    "gps_ssl": gps_figure.STYLES,
    "images": images_figure.STYLES,
    "oracle": oracle_figure.STYLES,
    "zero_shot": zero_shot_figure.STYLES,
    "circles": dict(enumerate(circles_figures.STYLES)),
}
# Viénot, Brettel and Mollon (1999): what is left of linear RGB without the cones for red, and without those for green
BLIND = {
    "everybody": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> Any:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Of WCAG 2.2."""
    dark, bright = sorted(float(TO_XYZ[1] @ linear(colour)) for colour in (one, other))
    return (bright + 0.05) / (dark + 0.05)


def apart(one: str, other: str, kind: str) -> float:
    """The distance of two colours in CIELAB."""
    lab = []
    for colour in (one, other):
        x, y, z = np.cbrt(np.clip(TO_XYZ @ BLIND[kind] @ linear(colour), 1e-4, None) / TO_XYZ.sum(1))
        lab.append(np.array([116 * y, 500 * (x - y), 200 * (y - z)]))
    return float(np.linalg.norm(lab[0] - lab[1]))


def drawn(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def said(figure: ElementTree.Element) -> list[str]:
    return ["".join(text.itertext()) for text in figure.iter(f"{SVG}text")]


def styled(element: ElementTree.Element) -> dict[str, str]:
    return dict(part.strip().split(": ", 1) for part in element.get("style", "").split(";") if ": " in part)


# palette


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("name", PALETTE)
def test_marks_stand_out_on_either_page(name: str) -> None:
    assert len(GROUNDS) == 2
    assert min(contrast(PALETTE[name], ground) for ground in GROUNDS) >= 3  # WCAG 2.2, 1.4.11


@pytest.mark.parametrize("figure", MARKED)
def test_what_is_compared_has_a_mark_or_a_line_of_its_own(figure: str) -> None:
    """Also for who sees no colour."""
    styles = MARKED[figure]
    assert len({tuple(style[1:]) for style in styles.values()}) == len(styles)
    assert {style[0] for style in styles.values()} <= {*PALETTE.values(), ""}


@pytest.mark.parametrize("kind", BLIND)
def test_arms_are_told_apart_by_colour_alone(kind: str) -> None:
    for one, other in combinations(gps_figure.COLOURS.values(), 2):
        assert apart(one, other, kind) >= 20


# bars of GPS-SSL

SCORES = {"baseline": {"knn": 29.374, "linear": 60.0}, "gps": {"knn": 43.946, "linear": 20.0}}
PAPER = {"baseline": 37.51, "gps": 85.58}  # of SimCLR with a flip alone, reproductions/gps_ssl/claims.yaml


def bars(path: Path, augmentation: str) -> ElementTree.Element:
    untrained = {"knn": {"top1": 31.0}, "linear": {"top1": 32.0}}
    runs = [
        {
            "arm": arm,
            "data": "cifar10",
            "untrained": untrained,
            "metrics": {reading: {"top1": top1} for reading, top1 in scores.items()},
        }
        for arm, scores in SCORES.items()
    ]
    gps_figure.draw(path, "smoke", {("simclr", augmentation): runs}, {})
    return drawn(path)


def extents(figure: ElementTree.Element, colour: str) -> list[tuple[float, float]]:
    """Where the bars of a colour begin and how long they are, panel by panel."""
    found = [path.get("d", "") for path in figure.iter(f"{SVG}path") if styled(path).get("fill") == colour]
    across = [[float(x) for x in re.findall(r"[ML] (\S+)", path)] for path in found]
    return [(min(xs), max(xs) - min(xs)) for xs in across]


def test_bars_of_all_panels_have_one_axis(tmp_path: Path) -> None:
    figure = bars(tmp_path / "figure.svg", "flip_only")
    scales = [
        length / SCORES[arm][reading]
        for arm in SCORES
        for (_, length), reading in zip(extents(figure, gps_figure.COLOURS[arm]), ("knn", "linear"), strict=True)
    ]
    assert scales == pytest.approx([scales[0]] * 4, rel=1e-3)


def test_bars_say_what_the_table_says(tmp_path: Path) -> None:
    told = said(bars(tmp_path / "figure.svg", "flip_only"))
    assert {"29.37", "43.95", "60.00", "20.00", "31.00", "32.00"} <= set(told)


def test_the_papers_numbers_stand_among_the_bars_of_what_they_are_of(tmp_path: Path) -> None:
    figure = bars(tmp_path / "figure.svg", "flip_only")
    marks = [use for use in figure.iter(f"{SVG}use") if styled(use).get("fill") == drawing.TEXT[0]]
    at = sorted(float(use.get("x", 0)) for use in marks)
    for arm, value in PAPER.items():
        (_, (begin, length)) = extents(figure, gps_figure.COLOURS[arm])  # the second panel, the linear probe
        place = begin + length * value / SCORES[arm]["linear"]
        assert min(abs(place - x) for x in at) < 0.1
    told = said(figure)
    assert told.count("paper") == 1  # the legend
    assert {"paper 37.51", "paper 85.58"} <= set(told)
    assert not [text for text in said(bars(tmp_path / "other.svg", "strong")) if "paper" in text]  # it has no number


# curves


def test_a_colour_is_an_arm_and_a_line_a_seed(tmp_path: Path) -> None:
    points = [(0, 2.0), (10, 1.0), (20, 0.5)]
    runs = {f"{arm} {seed}": points for arm in ("baseline", "gps") for seed in range(3)}
    draw_curves(tmp_path / "figure.svg", "smoke", {"simclr, strong": runs})
    legend = next(group for group in drawn(tmp_path / "figure.svg").iter(f"{SVG}g") if group.get("id") == "legend_1")
    lines = [styled(path) for path in legend.iter(f"{SVG}path") if styled(path).get("fill") == "none"]
    entries = dict(zip(said(legend), lines, strict=True))
    assert list(entries) == [f"{arm}, seed {seed}" for arm in ("baseline", "gps") for seed in range(3)]
    for entry, line in entries.items():
        arm, seed = entry.split(", seed ")
        assert line["stroke"] == gps_figure.COLOURS[arm]
        assert line.get("stroke-dasharray") == entries[f"gps, seed {seed}"].get("stroke-dasharray")
    assert len({line.get("stroke-dasharray") for line in entries.values()}) == 3
    assert len(set(LINES)) == len(LINES)


# AdaSSL: a clamp that cannot bind, and what was not run


def numerical(cells: Iterable[Cell]) -> dict[Cell, list[dict[str, Any]]]:
    score = {"content": 0.6, "style": 0.3, "mcc": 0.5}
    run = {"seed": 0, "metrics": {"in": score, "out": score}, "untrained": {"in": score, "out": score}}
    return {cell: [run] for cell in cells}


def test_the_map_says_what_was_not_run_and_what_stands_twice(tmp_path: Path) -> None:
    draw_confound(tmp_path / "figure.svg", "smoke", numerical([Cell("infonce", 0.1, CLAMP), Cell("v", 0.02, CLAMP)]))
    told = said(drawn(tmp_path / "figure.svg"))
    settings = 2 * 2 * len(BETAS)  # two temperatures, each with a clamp and without: free of one, τ .1 binds nothing
    assert told.count("0.60") == 3  # InfoNCE in two columns, AdaSSL-V in one: at τ .02 a clamp of ±20 binds
    assert told.count(f"= ±{CLAMP:g}") == 2  # of content and of style
    assert told.count("not") == told.count("run") == 2 * (settings - 3)


def test_runs_that_stand_for_others_are_told(tmp_path: Path) -> None:
    clamped = [Cell("infonce", 0.1, CLAMP), Cell("hinfonce", 0.1, CLAMP), Cell("v", 0.02, CLAMP)]
    said_below = numerical_figure.same_runs(numerical(clamped))
    assert "τ 0.1 (InfoNCE)" in said_below  # not H-InfoNCE, whose weights reach ±20, nor AdaSSL-V at τ .02
    numerical_figure.draw(tmp_path / "figure.svg", "smoke", numerical(clamped))
    assert said_below in said(drawn(tmp_path / "figure.svg"))
    assert numerical_figure.same_runs(numerical(clamped[1:])) == ""
