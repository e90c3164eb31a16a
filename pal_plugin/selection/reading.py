"""Which samples a file names: the picks of a selection, or a list of ids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from pal_plugin.data.manifest import Manifest
from pal_plugin.errors import SelectionError
from pal_plugin.graph.space import Longs
from pal_plugin.selection.result import Selection


def read_samples(path: str | os.PathLike[str], manifest: Manifest, budget: int | None = None) -> Longs:
    """Return the numbers of the samples that a file names, in its order.

    Args:
        path: `picks.csv` of `pal select`, with its `picks.json`; or any other text file with one id a line.
        manifest: the data set at hand, which they must be of.
        budget: only so many, the first ones; all if None.

    Raises:
        SelectionError: no such file, a malformed one, an id that the data set does not have or that is named twice, or
            fewer samples than the budget.
        ManifestError: the picks index another data set.
    """
    source = Path(path)
    picks = Selection.load(source, manifest) if source.suffix == ".csv" else Selection(_numbers(source, manifest))
    return picks.indices if budget is None else picks.prefix(budget).indices


def _numbers(source: Path, manifest: Manifest) -> Longs:
    try:
        lines = source.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as cause:
        raise SelectionError(f"{source} is missing or not text: {cause}", "Name a file with one id a line") from cause
    number_of = {name: number for number, name in enumerate(manifest.ids)}
    numbers: dict[int, None] = {}
    for place, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        number = number_of.get(name)
        if number is None:
            raise SelectionError(
                f"{source}, line {place}: {manifest.name}/{manifest.split} has no sample {name!r}",
                "Name samples by their ids, one a line, as the column id of picks.csv has them",
            )
        if number in numbers:
            raise SelectionError(f"{source}, line {place}: {name!r} is named twice", "Name every sample once")
        numbers[number] = None
    return np.array(list(numbers), dtype=np.int64)
