"""Measure a representation: `pal eval`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from pal_plugin.evaluation.measures import Measure
from pal_plugin.evaluation.parts import Parts
from pal_plugin.evaluation.source import Source


def evaluate(source: Source, parts: Parts, measures: Sequence[Measure]) -> dict[str, Any]:
    """Take every measure of a source; features are made once for all of them.

    Args:
        source: what is evaluated.
        parts: the images, loaded with `fit` and `choose` where a measure fits or chooses.
        measures: which figures.

    Returns:
        What the source says of itself, `"data"` (a manifest reference and the counts of every part), the figures of
        each measure under its name, and `"wall_s"`; accuracies in percent.

    Raises:
        ConfigError: a measure that the source cannot be put to, or that needs a part that was not loaded.
        DataError, DeviceError, FeatureError: see `encode`, `knn_scores` and the others.
    """
    started = time.perf_counter()
    if any(measure.trains for measure in measures):
        source.network()  # refuses before an hour has been spent on the others
    source.prepare((parts.fit or parts.read).images)
    figures = {measure.name: measure.run(source, parts) for measure in measures}
    return {
        **source.description,
        "data": parts.describe(),
        **figures,
        "wall_s": time.perf_counter() - started,
    }
