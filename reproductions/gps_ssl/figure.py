"""The figure of the table: accuracy of each arm, a dot a seed, and of each graph where several were tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from reproductions.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, drawing, ink, legend_below
from reproductions.gps_ssl.ablated import AUGMENTATION, METHOD
from reproductions.spread import spread

CLAIMS = Path(__file__).with_name("claims.yaml")
CLAIMED = "linear"  # the reading that the paper's numbers are of
READINGS = {"knn": "k-NN", "linear": "linear probe"}
COLOURS = {"untrained": GREY, "baseline": BLUE, "gps": ORANGE}  # of arms; what is no arm has other colours
STYLES = {"knn": (PURPLE, "o", "-"), "linear": (GREEN, "s", "--")}


def draw(
    path: Path,
    profile: str,
    groups: dict[tuple[str, str], list[dict[str, Any]]],
    graphs: dict[str, list[dict[str, Any]]],
) -> None:
    """Draw bars of mean top-1 accuracy per arm with one dot a seed, a row of panels a (method, augmentation).

    All bars are as long as on one axis, of all percent; the paper's numbers, where there are some, stand among them.

    Args:
        path: the PNG or SVG to write.
        profile: named in the title.
        groups: the runs of each (method, augmentation).
        graphs: the runs of each graph of the ablation, purest first, `none` last; a row of panels if there are any.
    """
    rows = len(groups) + bool(graphs)
    claims = {(c["method"], c["augmentation"]): c for c in yaml.safe_load(CLAIMS.read_text(encoding="utf-8"))}
    data = next(iter(groups.values()))[0]["data"]
    title = f"GPS-SSL on {data}, profile {profile}: top-1 in percent, a dot a seed"
    with drawing(path, title, (7.6, 2.6 * rows + 0.6)) as figure:
        axes = figure.subplots(rows, 2, squeeze=False, gridspec_kw={"wspace": 0.08})
        for row, ((method, augmentation), runs) in zip(axes, groups.items(), strict=False):
            for axis, (reading, name) in zip(row, READINGS.items(), strict=True):
                theirs = claims.get((method, augmentation), {}) if reading == CLAIMED else {}
                _panel(axis, method, runs, reading, theirs)
                axis.set_title(f"{name}: {method}, {augmentation}", fontsize=10, loc="left")
        legend_below(figure, axes[: len(groups)].flat, columns=2)
        if graphs:
            axes[-1, 1].sharey(axes[-1, 0])
            _purity_panel(axes[-1, 0], graphs)
            _k_panel(axes[-1, 1], graphs)


def _panel(axis: Any, method: str, runs: list[dict[str, Any]], reading: str, theirs: dict[str, Any]) -> None:
    """Draw a bar an arm, its mean at the right, and `theirs`, by arm the paper's value, where there is one."""
    names = {"untrained": "untrained", "baseline": method, "gps": f"gps_{method}"}
    for position, arm in enumerate(reversed(names)):
        of_arm = [run for run in runs if run["arm"] == ("baseline" if arm == "untrained" else arm)]
        scores = [(run["untrained"] if arm == "untrained" else run["metrics"])[reading]["top1"] for run in of_arm]
        if not scores:
            continue
        mean = spread(scores)["mean"]  # as the table has it
        told = f"{mean:.2f}"
        axis.barh(position, mean, color=COLOURS[arm], height=0.62)
        axis.plot(scores, [position] * len(scores), "o", color=ink(), markersize=4, mfc="white", label="a seed")
        if arm in theirs:
            axis.plot(theirs[arm]["value"], position, "D", color=ink(), markersize=6, label="paper")
            told += f"\npaper {theirs[arm]['value']:.2f}"
        axis.annotate(told, (102, position), va="center", fontsize=9, annotation_clip=False)
    axis.set_yticks(range(len(names)), list(reversed(names.values())), fontsize=9)
    axis.set_xlim(0, 100)
    axis.tick_params(axis="x", labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)


def _purity_panel(axis: Any, graphs: dict[str, list[dict[str, Any]]]) -> None:
    """Accuracy against the share of neighbours of the anchor's class, a mark a prior, at the k most priors have."""
    of_graph = {name: runs for name, runs in graphs.items() if name != "none"}
    ks = [runs[0]["k"] for runs in of_graph.values()]
    k = max(set(ks), key=ks.count)
    shown = {runs[0]["prior"]: runs for runs in of_graph.values() if runs[0]["k"] == k}
    _lines(axis, {prior: (runs[0]["purity"], runs) for prior, runs in shown.items()}, graphs["none"])
    for prior, runs in shown.items():
        top = max(run["metrics"][reading]["top1"] for run in runs for reading in READINGS)
        purest = runs is next(iter(shown.values()))
        at, side = ((0, 9), "center") if purest else ((-4, 3), "right")  # beside the lines
        axis.annotate(prior, (runs[0]["purity"], top), at, textcoords="offset points", fontsize=8, ha=side)
    axis.margins(0.15)
    axis.set_xlim(0, 1.1)
    axis.set_xlabel(f"purity of the {k} neighbours", fontsize=9)
    axis.set_title(f"which prior: gps_{METHOD}, {AUGMENTATION}", fontsize=10, loc="left")


def _k_panel(axis: Any, graphs: dict[str, list[dict[str, Any]]]) -> None:
    """Accuracy against k, for the prior that was tried with the most."""
    of_graph = [runs for name, runs in graphs.items() if name != "none"]
    priors = [runs[0]["prior"] for runs in of_graph]
    prior = max(set(priors), key=priors.count)
    shown = {str(runs[0]["k"]): (runs[0]["k"], runs) for runs in of_graph if runs[0]["prior"] == prior}
    _lines(axis, dict(sorted(shown.items(), key=lambda item: item[1][0])), graphs["none"])
    axis.set_xscale("log", base=2)
    ticks = sorted(k for k, _ in shown.values())
    axis.set_xticks(ticks, [str(k) for k in ticks])
    axis.set_xlabel(f"neighbours k, prior {prior}", fontsize=9)
    axis.legend(fontsize=8, frameon=False, title=f"dotted: {METHOD}", title_fontsize=8)
    axis.set_title(f"how many: gps_{METHOD}, {AUGMENTATION}", fontsize=10, loc="left")


def _lines(axis: Any, points: dict[str, tuple[float, list[dict[str, Any]]]], without: list[dict[str, Any]]) -> None:
    """Draw k-NN and linear accuracy at each x, a mark a seed, a line through the means, and the baseline's dotted."""
    ordered = sorted(points.values(), key=lambda point: point[0])
    for reading, title in READINGS.items():
        colour, marker, line = STYLES[reading]
        scores = [[run["metrics"][reading]["top1"] for run in runs] for _, runs in ordered]
        means = [sum(of_x) / len(of_x) for of_x in scores]
        axis.plot([x for x, _ in ordered], means, line, color=colour, linewidth=1)
        axis.plot([], [], line, marker=marker, color=colour, markersize=4, mfc="white", linewidth=1, label=title)
        for (x, _), of_x in zip(ordered, scores, strict=True):
            axis.plot([x] * len(of_x), of_x, marker, color=colour, markersize=4, markerfacecolor="white")
        baseline = [run["metrics"][reading]["top1"] for run in without]
        if baseline:
            axis.axhline(sum(baseline) / len(baseline), color=colour, linewidth=1, linestyle=":")
    axis.tick_params(labelsize=9)
    axis.spines[["top", "right"]].set_visible(False)
