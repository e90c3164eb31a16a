"""Stage `pal_figures`: a figure for each experiment on circles, and the table against the authors' numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path, write_json
from reproductions.drawing import BLUE, GREEN, ORANGE, drawing, ink
from reproductions.pal.circles_names import COMPONENTS, EXPERIMENTS, picture, table
from reproductions.pal.circles_table import Claim, compare, load_claims, markdown, read
from reproductions.stage import run

STYLES = ((ORANGE, "-"), (BLUE, "--"), (GREEN, "-."))
GRIDS = {"authors": "grids with repeats", "clean": "grids without repeats, closure complete"}
VIEWS = {"authors": "labels into one view", "clean": "labels into both views"}
DIFFERENCES = {"active": GRIDS, "contrastive": GRIDS, "interpolation": VIEWS}
TITLES = {
    "authors": "Authors' protocol: probe fitted on the test set",
    "clean": "Clean protocol: probe fitted on the training set",
}
X_LABELS = {
    "active": "queries",
    "contrastive": "queries",
    "interpolation": "labels known, of 200",
    "missing": "share of the graph's entries missing",
    "noise": "labels redrawn at random, of 300",
}
LEGENDS = {
    "active": {"active": "active", "passive": "passive: random pairs"},
    "contrastive": {"±1": "unrelated pairs −1", "0/1": "unrelated pairs 0, as unknown ones"},
    "interpolation": {"α=0.5": "α = 0.5", "α=0.001": "α = 10⁻³", "α=1e-06": "α = 10⁻⁶"},
}


def main(profile: str) -> None:
    """Draw the five experiments of a profile, print the table against the authors' numbers, and write it."""
    claims = load_claims()
    results = {name: read(profile, name, claims[name]) for name in EXPERIMENTS}
    for name, content in results.items():
        draw(picture(profile, name), content, claims[name])
    rows = {name: compare(content, claims[name]) for name, content in results.items()}
    text = markdown(profile, results, rows, claims)
    write_json(table(profile, ".json"), rows)
    with atomic_path(table(profile, ".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"\n{text}\nwritten to {table(profile, '.md')}, .json and {len(results)} figures beside them")


def draw(path: Path, content: dict[str, Any], claim: Claim) -> None:
    """Draw mean ± standard deviation of every curve, a panel a protocol, and the authors' numbers beside theirs.

    Args:
        path: the PNG or SVG to write.
        content: the result of one experiment.
        claim: the authors' numbers; they belong to their protocol.
    """
    protocols = content["protocols"]
    counted = COMPONENTS in protocols["authors"]
    panels = len(protocols) + counted
    number = f"{content['runs']} runs" if content["runs"] > 1 else "one run"
    title = f"PAL, {content['experiment']}, profile {content['profile']}: mean ± standard deviation of {number}"
    with drawing(path, title, (min(4.4 * panels, 12), 3.4)) as figure:
        row = figure.subplots(1, panels, squeeze=False)[0]
        for axis, (protocol, curves) in zip(row, protocols.items(), strict=False):
            shown = {name: curve for name, curve in curves.items() if name != COMPONENTS}
            _curves(axis, content, shown, claim["curves"] if protocol == "authors" else {})
            other = DIFFERENCES.get(content["experiment"], {})
            lines = [TITLES[protocol], *([other[protocol]] if other else [])]
            axis.set_title(",\n".join(lines), fontsize=9, loc="left")
            axis.set_ylim(0, 0.8)
        row[0].set_ylabel("test error, chance .75", fontsize=9)
        if counted:
            of_components = {COMPONENTS: protocols["authors"][COMPONENTS]}
            _curves(row[-1], content, of_components, {COMPONENTS: claim["curves"][COMPONENTS]})
            row[-1].set_yscale("log")
            row[-1].set_yticks([4, 10, 30, 100], ["4", "10", "30", "100"])
            row[-1].set_yticks([], minor=True)
            row[-1].set_title("Connected components of the graph", fontsize=9, loc="left")


def _curves(
    axis: Any, content: dict[str, Any], curves: dict[str, dict[str, list[float]]], theirs: dict[str, dict[float, float]]
) -> None:
    x = content["x"]
    named = LEGENDS.get(content["experiment"], {})
    for (name, curve), (colour, line) in zip(curves.items(), STYLES, strict=False):
        axis.plot(x, curve["mean"], line, color=colour, linewidth=1.4, label=named.get(name, "ours"))
        low = [mean - std for mean, std in zip(curve["mean"], curve["std"], strict=True)]
        high = [mean + std for mean, std in zip(curve["mean"], curve["std"], strict=True)]
        axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        if name in theirs:
            points = theirs[name]
            axis.plot(points.keys(), points.values(), "o", color=ink(), markerfacecolor=colour, markersize=4.5)
    if theirs:
        axis.plot([], [], "o", color=ink(), markerfacecolor="none", markersize=4.5, label="authors' notebook")
    axis.set_xlabel(X_LABELS[content["experiment"]], fontsize=9)
    axis.tick_params(labelsize=9)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    rising = curves[next(iter(curves))]["mean"][-1] > curves[next(iter(curves))]["mean"][0]
    axis.legend(fontsize=8, frameon=False, loc="upper left" if rising else "upper right")


if __name__ == "__main__":
    run(main, "profile")
