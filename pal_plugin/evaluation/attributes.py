"""How well attributes, such as those of a face, can be read off features, one linear probe each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import DataError
from pal_plugin.evaluation._checks import checked_rows
from pal_plugin.evaluation.choice import Results, fitted
from pal_plugin.evaluation.linear import linear_scores
from pal_plugin.evaluation.parts import Parts
from pal_plugin.evaluation.source import Source
from pal_plugin.progress import progress

Bits = NDArray[np.integer[Any]]


def minority_f1(truth: Bits, guess: Bits) -> float:
    """Return the F1 score, in [0, 1], of the rarer of the values 0 and 1 of `truth` (N,), of 0 where both are as many.

    It is 0 where that value is never guessed.
    """
    rarer = int(2 * truth.sum() < len(truth))
    right = int(((guess == rarer) & (truth == rarer)).sum())
    return 2 * right / max(1, int((guess == rarer).sum() + (truth == rarer).sum()))


def attribute_probes(
    train_x: NDArray[Any],
    train_a: Bits,
    test_x: NDArray[Any],
    test_a: Bits,
    *,
    names: Sequence[str],
    inverse_penalty: float = 1.0,
) -> Results:
    """Fit a logistic regression for every attribute, and read accuracy and minority F1 on the test rows.

    An attribute that all rows of a part share, or none, cannot be learnt or has no minority: it is left out.

    Args:
        train_x: (N, D) frozen features.
        train_a: (N, A) 0 or 1.
        test_x: (M, D) frozen features.
        test_a: (M, A) 0 or 1.
        names: of the A attributes.
        inverse_penalty: of each regression, see `linear_probe`.

    Returns:
        `accuracy` and `minority_f1`, means over the attributes; the same of each, `per_attribute_accuracy` and
        `per_attribute_f1`, all in percent; `left_out`, the names of those left out; and whether all `converged`.

    Raises:
        FeatureError: see `linear_probe`.
        DataError: attributes that do not fit the features, or none that varies.
    """
    for part, x, a in (("train", train_x, train_a), ("test", test_x, test_a)):
        if a.shape != (len(checked_rows(x, name=part)), len(names)):
            raise DataError(
                f"The {part} attributes have shape {a.shape} beside {len(x)} rows of features and {len(names)} names",
                "Pass a row of attributes for each row of features, and a name for each column",
            )
    varies = (np.ptp(train_a, axis=0) > 0) & (np.ptp(test_a, axis=0) > 0)
    if not varies.any():
        raise DataError(
            f"None of the {len(names)} attributes is there in some images and not in others, of both parts",
            "Evaluate on more images (--fit-subset, --read-subset)",
        )
    accuracy, f1, converged = {}, {}, True
    for column in progress(np.flatnonzero(varies).tolist(), "attributes"):
        scores, state = linear_scores(train_x, train_a[:, column], test_x, inverse_penalty=inverse_penalty)
        guess = scores.classes[scores.values.argmax(axis=1)]
        accuracy[names[column]] = 100 * float((guess == test_a[:, column]).mean())
        f1[names[column]] = 100 * minority_f1(test_a[:, column], guess)
        converged &= bool(state["converged"])
    return {
        "accuracy": float(np.mean(list(accuracy.values()))),
        "minority_f1": float(np.mean(list(f1.values()))),
        "per_attribute_accuracy": accuracy,
        "per_attribute_f1": f1,
        "left_out": [name for name, one in zip(names, varies, strict=True) if not one],
        "converged": converged,
    }


@dataclass(frozen=True)
class Attributes:
    """`attribute_probes` of a data set's attributes.

    Attributes:
        inverse_penalty: of each regression.
    """

    inverse_penalty: float = 1.0
    name: ClassVar[str] = "attributes"
    fits: ClassVar[bool] = True
    chooses: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False

    def run(self, source: Source, parts: Parts) -> Results:
        """Return the figures of `attribute_probes`, and `C`.

        Raises:
            DataError: the images have no attributes.
        """
        fit, read = fitted(parts), parts.read
        train_a, test_a = fit.images.known_attributes, read.images.known_attributes  # before features are made
        figures = attribute_probes(
            *(source.features(fit), train_a, source.features(read), test_a),
            names=read.images.attribute_names,
            inverse_penalty=self.inverse_penalty,
        )
        return figures | {"C": self.inverse_penalty}
