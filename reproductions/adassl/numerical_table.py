"""Stage `adassl_numerical_table`: one table, one small metrics file and one figure from the numerical runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pal_plugin.io import atomic_path, write_json
from reproductions.adassl.names import PAPER
from reproductions.adassl.numerical_cells import CLAMP, LABELS, NONE, Cell, table
from reproductions.adassl.numerical_figure import draw
from reproductions.adassl.numerical_runs import READINGS, Cells, gaps, ranked, read, untrained, values
from reproductions.layout import results
from reproductions.markdown import heading, row
from reproductions.spread import said_by, shown_spread, spread
from reproductions.stage import run

Claims = dict[str, list[dict[str, Any]]]
SHOWN = {
    "content": "content",
    "style": "style",
    "mcc": "MCC",
    "content_out": "content, out",
    "style_out": "style, out",
    "mcc_out": "MCC, out",
}
# of `monitor`, with what each is called
SIZES = {"kl": "KL", "active_l0": "open gates"}
SOURCES = {"loss": "posterior", "loss_prior": "prior", "loss_shuffled": "another pair"}


def main(profile: str) -> None:
    """Summarise the numerical runs of a profile, print the tables, and write them."""
    cells = read(results(profile, PAPER) / "numerical")
    claims = load_claims()
    text = markdown(profile, cells, claims)
    write_json(table(profile, ".json"), summarise(cells, claims))
    with atomic_path(table(profile, ".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
    draw(table(profile, ".png"), profile, cells)
    print(f"\n{text}\nwritten to {table(profile, '.md')}, .json, .png")


def load_claims() -> Claims:
    """Return what was known before: `orders` and `numbers`."""
    claims: Claims = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text(encoding="utf-8"))
    return claims


def summarise(cells: Cells, claims: Claims) -> dict[str, Any]:
    """Return mean, deviation and count of every reading of every cell, and the least gap of each claimed order."""
    readings: dict[str, Any] = {
        cell.name: {reading: spread(values(runs, reading)) for reading in READINGS} for cell, runs in cells.items()
    }
    orders = {claim["id"]: list(_gaps(cells, claim).values()) for claim in claims["orders"]}
    return {"cells": readings, "least_gap": {name: round(min(found), 4) for name, found in orders.items() if found}}


def markdown(profile: str, cells: Cells, claims: Claims) -> str:
    """Return all tables in Markdown."""
    runs = [run for of_cell in cells.values() for run in of_cell]
    head = [
        f"### AdaSSL on pairs with known factors, profile `{profile}`",
        "",
        f"Ours: the paper's generator was not to be had, and H-InfoNCE is our reading of it. {runs[0]['steps']} steps; "
        "mean ± standard deviation over seeds of R² of a ridge readout (content, style) and of the mean correlation of "
        "each factor with a dimension of its own (MCC). *Out*: factors with twice the standard deviation of training, "
        "readouts fitted in distribution; ours, too. *True difference*: AdaSSL told it of the pair's factors. "
        f"{said_by(runs, 'hardware')}; commit {said_by(runs, 'commit')}.",
    ]
    parts = [head, ["", *_readings(cells)], _winners(cells), _orders(cells, claims), _use(cells)]
    parts += [_numbers(cells, claim) for claim in claims["numbers"]]
    return "\n".join(line for part in parts for line in part) + "\n"


def _readings(cells: Cells) -> list[str]:
    lines = heading(["method", "τ", "clamp", *SHOWN.values(), "seeds"])
    for cell, runs in cells.items():
        scores = [shown_spread(values(runs, reading)) for reading in SHOWN]
        lines.append(row([*_setting(cell), *scores, str(len(runs))]))
    scores = [shown_spread(untrained(cells, reading)) for reading in SHOWN]
    return [*lines, row(["untrained encoder", "", "", *scores, str(len(untrained(cells, "content")))])]


def _winners(cells: Cells) -> list[str]:
    """Return who leads at each temperature with and without a clamp."""
    temperatures = sorted({cell.temperature for cell in cells})
    settings = [(temperature, clamp) for temperature in temperatures for clamp in (CLAMP, None)]
    shown = ("content", "style", "content_out", "style_out")
    lines = [
        "",
        "#### Which method is ahead",
        "",
        "First and second by mean, without the method that is told the true difference. A clamp that cannot bind is "
        "none: InfoNCE and AdaSSL have it bind at τ .02 alone, the two with learnable weights at any τ.",
        "",
        *heading(["τ", "clamp", *(SHOWN[reading] for reading in shown)]),
    ]
    for temperature, clamp in settings:
        best = [ranked(cells, temperature, clamp, reading)[:2] for reading in shown]
        told = [", then ".join(f"{LABELS[method]} ({score:.2f})" for method, score in found) for found in best]
        lines.append(row([f"{temperature:g}", _clamp(clamp), *told]))
    return lines


def _orders(cells: Cells, claims: Claims) -> list[str]:
    lines = ["", "#### Orders", "", *heading(["claim", "from", "gap, seed by seed", "holds"])]
    for claim in claims["orders"]:
        found = _gaps(cells, claim)
        told = ", ".join(f"{gap:+.2f}" for gap in found.values()) or "not run"
        holds = f"{sum(gap > 0 for gap in found.values())} of {len(found)}" if found else ""
        lines.append(row([claim["text"], claim["provenance"], told, holds]))
    return lines


def _use(cells: Cells) -> list[str]:
    """Return the sizes of r, and the contrastive loss with r from several sources."""
    lines = [
        "",
        "#### Is r used?",
        "",
        "Contrastive loss of held-out pairs with r from the posterior, from the prior and from another pair's "
        "posterior; KL in nats or open gates a sample. As good a loss by the prior as by the posterior: r tells "
        "nothing of the target.",
        "",
        *heading(["method", "τ", "clamp", *SIZES.values(), *(f"loss, r from {name}" for name in SOURCES.values())]),
    ]
    for cell, runs in cells.items():
        if cell.beta is not None:
            told = [_monitored([run["monitor"] for run in runs], key) for key in (*SIZES, *SOURCES)]
            lines.append(row([*_setting(cell), *told]))
    return lines


def _numbers(cells: Cells, claim: dict[str, Any]) -> list[str]:
    names = [SHOWN[reading] for reading in claim["readings"]]
    lines = [
        "",
        f"#### {claim['text']}",
        "",
        f"From: {claim['provenance']}.",
        "",
        *heading(
            ["method", "τ", "clamp", *(f"{name}: {whose}" for name in names for whose in ("now", "known before"))]
        ),
    ]
    for name, theirs in claim["cells"].items():
        cell = Cell.parse(name)
        pairs = zip(claim["readings"], theirs, strict=True)
        told = [
            text for reading, number in pairs for text in (shown_spread(values(cells.get(cell, []), reading)), number)
        ]
        lines.append(row([*_setting(cell), *told]))
    return lines


def _gaps(cells: Cells, claim: dict[str, Any]) -> dict[int, float]:
    return gaps(cells, Cell.parse(claim["ahead"]), Cell.parse(claim["behind"]), claim["reading"])


def _monitored(found: list[dict[str, float]], key: str) -> str:
    return shown_spread([values[key] for values in found]) if all(key in values for values in found) else ""


def _setting(cell: Cell) -> list[str]:
    return [LABELS[cell.method], f"{cell.temperature:g}", _clamp(cell.clamp)]


def _clamp(clamp: float | None) -> str:
    return NONE if clamp is None else f"±{clamp:g}"


if __name__ == "__main__":
    run(main, "profile")
