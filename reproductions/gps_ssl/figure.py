"""The figure of the table: accuracy of each arm, a dot a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path

READINGS = {"knn": "k-NN", "linear": "linear probe"}
COLOURS = {"untrained": "#9aa0a6", "baseline": "#5b7db1", "gps": "#d1793a"}


def draw(path: Path, profile: str, groups: dict[tuple[str, str], list[dict[str, Any]]]) -> None:
    """Draw bars of mean top-1 accuracy per arm with one dot a seed, a row of panels a (method, augmentation).

    Args:
        path: the PNG to write.
        profile: named in the title.
        groups: the runs of each (method, augmentation).
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        len(groups), len(READINGS), figsize=(7.2, 2.6 * len(groups) + 0.4), squeeze=False, layout="constrained"
    )
    for row, ((method, augmentation), runs) in zip(axes, groups.items(), strict=True):
        for axis, (reading, title) in zip(row, READINGS.items(), strict=True):
            _panel(axis, method, runs, reading)
            axis.set_title(f"{title}: {method}, {augmentation}", fontsize=10, loc="left")
    data = next(iter(groups.values()))[0]["data"]
    title = f"GPS-SSL on {data}, profile {profile}: top-1 in percent, a dot a seed"
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)


def _panel(axis: Any, method: str, runs: list[dict[str, Any]], reading: str) -> None:
    names = {"untrained": "untrained", "baseline": method, "gps": f"gps_{method}"}
    for position, arm in enumerate(reversed(names)):
        of_arm = [run for run in runs if run["arm"] == ("baseline" if arm == "untrained" else arm)]
        scores = [(run["untrained"] if arm == "untrained" else run["metrics"])[reading]["top1"] for run in of_arm]
        mean = sum(scores) / len(scores)
        axis.barh(position, mean, color=COLOURS[arm], height=0.62)
        axis.plot(scores, [position] * len(scores), "o", color="black", markersize=4, markerfacecolor="white")
        axis.text(max(scores) + 1.5, position, f"{mean:.1f}", va="center", fontsize=9)
    axis.set_yticks(range(len(names)), list(reversed(names.values())), fontsize=9)
    axis.set_xlim(0, min(100.0, 1.25 * axis.get_xlim()[1]))  # room for the numbers
    axis.spines[["top", "right"]].set_visible(False)
