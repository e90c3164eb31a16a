"""The ablation over graphs: when does a prior help, and with how many neighbours?"""

from __future__ import annotations

from pathlib import Path

from reproductions.gps_ssl.ablated import AUGMENTATION, METHOD, graph_name
from reproductions.gps_ssl.names import BASELINE, GPS, READINGS
from reproductions.gps_ssl.numbers import asked, own_graph, values
from reproductions.reading import Run, read_result
from reproductions.spread import said_by, shown_spread


def other_graphs(folder: Path, runs: list[Run]) -> dict[str, list[Run]]:
    """Return the runs of each graph by its name, purest first, the baseline's without one as `none`.

    The graph of the main table is one of them, read from `graph.json`. Empty where no other graph was tried.

    Args:
        folder: of the profile's results.
        runs: of the main table.
    """
    files = sorted(folder.glob("ablation/*.json"))
    ablated = [read_result(file, lambda run: (asked(run), own_graph(run))) for file in files]
    if not ablated:
        return {}
    cheapest = [run for run in runs if (run["base"], run["augmentation"]) == (METHOD, AUGMENTATION)]
    own = own_graph(read_result(folder / "graph.json", own_graph))
    found: dict[str, list[Run]] = {}
    for run in [*(own | run for run in cheapest if run["arm"] == GPS), *ablated]:
        of_graph = found.setdefault(graph_name(run["prior"], run["k"]), [])
        if run["seed"] not in [known["seed"] for known in of_graph]:  # the main graph may be among the ablated ones
            of_graph.append(run)
    graphs = dict(sorted(found.items(), key=lambda item: -item[1][0]["purity"]))
    return graphs | {"none": [run for run in cheapest if run["arm"] == BASELINE]}


def graph_table(profile: str, graphs: dict[str, list[Run]]) -> str:
    """Return the Markdown table of the ablation."""
    runs = [run for of_graph in graphs.values() for run in of_graph]
    head = [
        f"### Which graph: gps_{METHOD} on {runs[0]['data']}, {AUGMENTATION}, profile `{profile}`",
        "",
        "Purity is the share of neighbours of the anchor's own class; `labels` is the oracle, neighbours of one class "
        f"drawn at random. Top-1 in percent, mean ± standard deviation over seeds; {said_by(runs, 'hardware')}; "
        f"commit {said_by(runs, 'commit')}.",
        "",
        "| graph | purity | k-NN | linear probe | seeds |",
        "|---|---|---|---|---|",
    ]
    body = []
    for name, of_graph in graphs.items():
        arm = BASELINE if name == "none" else GPS
        cells = [shown_spread(values(of_graph, arm, reading)) for reading in READINGS]
        purity = "" if name == "none" else f"{of_graph[0]['purity']:.3f}"
        label = f"none ({METHOD})" if name == "none" else name
        body.append(f"| {label} | {purity} | {cells[0]} | {cells[1]} | {len(of_graph)} |")
    return "\n".join([*head, *body])
