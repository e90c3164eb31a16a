"""What the measures share: choosing a value on val, and the form of the figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError
from pal_plugin.evaluation._checks import Scores
from pal_plugin.evaluation.parts import Choice, Part, Parts

Results = dict[str, Any]


def choose(
    key: str, candidates: Sequence[Any], parts: Parts, judge: Callable[[Choice], Sequence[float | None]]
) -> tuple[Any, Results]:
    """Return the candidate of the highest val accuracy, the first of equals, and the record of the choice.

    Args:
        key: what the candidates are called in results.
        candidates: a single one is taken without a look at val.
        parts: the images; `choice` has to be there for several candidates.
        judge: returns the val accuracy of each candidate, None for one that failed.

    Raises:
        ConfigError: no candidate, several and nothing to choose on, or all of them failed.
    """
    if not candidates:
        raise ConfigError(f"There is no value of {key} to use", f"Give one {key} or more")
    if len(candidates) == 1:
        return candidates[0], {key: candidates[0]}
    if parts.choice is None:
        raise ConfigError(f"There are several values of {key} and no val part", "Load the parts with choose=True")
    judged = judge(parts.choice)
    if all(accuracy is None for accuracy in judged):
        raise diverged("Training", min(candidates))
    best = int(np.argmax([-1.0 if accuracy is None else accuracy for accuracy in judged]))
    tried = [{key: value, "val_top1": accuracy} for value, accuracy in zip(candidates, judged, strict=True)]
    return candidates[best], {key: candidates[best], "chosen_from": tried}


def fitted(parts: Parts) -> Part:
    """Return the part to fit on.

    Raises:
        ConfigError: none was loaded.
    """
    if parts.fit is None:
        raise ConfigError("Nothing was loaded to fit on", "Load the parts with fit=True")
    return parts.fit


def diverged(what: str, rate: float) -> ConfigError:
    """Return the error of a training that ended in values that are not finite."""
    return ConfigError(f"{what} diverged at the learning rate {rate:g}", "Give a smaller one, for example --lr 0.01")


def report(scores: Scores, part: Part) -> Results:
    """Return `{"top1", "top5", "mean_per_class", "per_class": {class: top-1}}` in percent, of classes with images."""
    truth = part.images.labels
    per_class = per_class_accuracy(scores.hits(truth, 1), part)
    mean = float(np.mean(list(per_class.values())))
    top = {f"top{n}": scores.accuracy(truth, n) for n in (1, 5)}
    return top | {"mean_per_class": mean, "per_class": per_class}


def over_seeds(runs: Sequence[Results], seeds: Sequence[int]) -> Results:
    """Return the mean of several `report`s, their standard deviation (None for a single one), and those of each."""
    figures = ("top1", "top5", "mean_per_class")
    spread = {key: float(np.std([run[key] for run in runs], ddof=1)) if len(runs) > 1 else None for key in figures}
    classes = {name: float(np.mean([run["per_class"][name] for run in runs])) for name in runs[0]["per_class"]}
    return {
        **{key: float(np.mean([run[key] for run in runs])) for key in figures},
        "std": spread,
        "runs": [{"seed": seed, **{key: run[key] for key in figures}} for seed, run in zip(seeds, runs, strict=True)],
        "per_class": classes,
    }


def per_class_accuracy(hits: NDArray[np.bool_], part: Part) -> dict[str, float]:
    """Return the share of hits, in percent, of each class that has images."""
    labels, names = part.images.labels, part.images.class_names
    return {names[label]: float(hits[labels == label].mean() * 100) for label in np.unique(labels)}
