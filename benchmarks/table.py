"""The table of what benchmarks found: `python -m benchmarks.table RESULTS.json TABLE.md`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pal_plugin.io import atomic_path

Row = tuple[str, str, str]
LOADER = {
    "strong_no_blur": "loader, 32 × 32, strong without blur",
    "strong_blur_solarize": "loader, 32 × 32, blur and solarisation",
    "folder_224": "loader, JPEG files, 224 × 224",
}

PEERS = {"spectral": "simclr", "vic2": "vicreg"}  # losses that solo-learn does not have, and what they are held against


def table(found: dict[str, Any]) -> str:
    """Return the figures of `python -m benchmarks … --json` in Markdown; benchmarks that were not run have no lines."""
    rows = [*_loader(found.get("loader", {})), *_knn(found.get("knn", {}))]
    rows += [*_selection(found.get("selection", {})), *_losses(found.get("losses", {}))]
    rows += _step(found.get("step", {}))
    lines = ["| what | beside | how many times as fast |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", _machine(found["machine"])]) + "\n"


def _loader(found: dict[str, Any]) -> Iterator[Row]:
    for key, label in LOADER.items():
        figures = found.get(key)
        if figures:
            least, most = figures["ratio_vs_solo_learn_range"]
            yield label, "solo-learn's", f"{figures['ratio_vs_solo_learn']:.1f} ({least:.1f} to {most:.1f})"


def _knn(found: dict[str, Any]) -> Iterator[Row]:
    if not found:
        return
    rows, columns = found["features"]["shape"]
    ours = found["exact"]["ratio_to_gemm_floor"]
    label = f"neighbours, exact, {rows:,} × {columns}"
    yield label, f"their matrix product ({found['floor']['blas']})", f"{1 / ours:.2f}"
    for name, figures in found.items():
        if name not in ("exact", "floor") and isinstance(figures, dict) and "ratio_to_gemm_floor" in figures:
            recall = f", recall {figures['recall']:.3f}"
            yield label, f"{name}{recall}", f"{figures['ratio_to_gemm_floor'] / ours:.2f}"


def _selection(found: dict[str, Any]) -> Iterator[Row]:
    for key, figures in found.items():
        if key.startswith("b") and "ratio_to_gemv_floor" in figures:
            label = f"k-centre greedy, {int(key[1:]):,} of {found['features']['shape'][0]:,}"
            yield label, "a matrix-vector product a pick", f"{figures['ratio_to_gemv_floor']:.1f}"
            for name, ratio in figures.items():
                if name.startswith("ratio_to_") and name != "ratio_to_gemv_floor":
                    yield label, f"{name.removeprefix('ratio_to_')}, by its first picks", f"{ratio:.0f}"


def _losses(found: dict[str, Any]) -> Iterator[Row]:
    for name, by_batch in found.items():
        sizes = [int(key[1:]) for key in by_batch]
        times = [1 / figures["ratio_to_host"] for figures in by_batch.values()]
        label = f"loss along a graph, {name}, batch {min(sizes):,} to {max(sizes):,}"
        yield label, f"solo-learn's {PEERS.get(name, name)}", f"{min(times):.2f} to {max(times):.2f}"


def _step(found: dict[str, Any]) -> Iterator[Row]:
    for method, figures in found.items():
        if isinstance(figures, dict):
            label = f"training step, {method}, batch {found['batch']}, {found['precision']}"
            yield label, "solo-learn's, float32", f"{figures['ratio_vs_solo_learn']:.2f}"


def _machine(machine: dict[str, Any]) -> str:
    device = machine["devices"][0]
    versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("torch", "numpy", "faiss-cpu"))
    return f"*{device.get('name', device['type'])}, {machine['threads']} threads; {versions}; {machine['blas']}.*"


def main() -> None:
    """Read the figures and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("table", type=Path)
    arguments = parser.parse_args()
    text = table(json.loads(arguments.results.read_text(encoding="utf-8")))
    with atomic_path(arguments.table) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
