"""Linear probe: multinomial logistic regression on frozen features."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import ConfigError, DataError
from pal_plugin.evaluation._checks import Scores, checked_pair, checked_rows, same_width


def linear_probe(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    test_x: NDArray[Any],
    test_y: NDArray[Any],
    *,
    inverse_penalty: float = 1.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-3,
) -> dict[str, float | bool | int]:
    """Fit on the train rows by L-BFGS, read the test rows once.

    Features are standardised by the train rows' mean and standard deviation. The problem is convex and the solver
    deterministic, so there is no seed.

    Args:
        train_x: (N, D) frozen features.
        train_y: (N,) classes.
        test_x: (M, D) frozen features.
        test_y: (M,) classes; one that no train row has counts as missed.
        inverse_penalty: scikit-learn's `C`: weight of the summed loss against half the squared norm.
        max_iterations: of L-BFGS.
        tolerance: the largest entry of the gradient at which it stops; ten times scikit-learn's default, for time.

    Returns:
        `{"top1", "top5"}` in percent, `"converged"` (False: stopped by `max_iterations`, read the accuracy with
        care) and `"iterations"`.

    Raises:
        FeatureError: shapes that do not fit, values that are not finite.
        DataError: labels that do not fit, unlabelled samples, or a single class in the train rows.
    """
    test_x, test_y = checked_pair(test_x, test_y, name="test")
    scores, fit = linear_scores(
        *(train_x, train_y, test_x),
        inverse_penalty=inverse_penalty,
        max_iterations=max_iterations,
        tolerance=tolerance,
    )
    return {"top1": scores.accuracy(test_y, 1), "top5": scores.accuracy(test_y, 5), **fit}


def linear_scores(
    train_x: NDArray[Any],
    train_y: NDArray[Any],
    test_x: NDArray[Any],
    *,
    inverse_penalty: float = 1.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-3,
) -> tuple[Scores, dict[str, bool | int]]:
    """Fit on the train rows and return each test row's class probabilities, `"converged"` and `"iterations"`.

    The arguments are those of `linear_probe`.

    Raises:
        ConfigError: a penalty that is not positive.
        FeatureError, DataError: see `linear_probe`.
    """
    # scikit-learn takes a second to import, and k-NN needs none of it
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    if not inverse_penalty > 0:
        raise ConfigError(f"The inverse penalty C is {inverse_penalty}", "Use a number above 0, such as 1")
    train_x, train_y = checked_pair(train_x, train_y, name="train")
    test_x = checked_rows(test_x, name="test")
    same_width(train_x, test_x)
    if train_y.min() == train_y.max():
        raise DataError(f"All {len(train_y)} train rows are of class {train_y[0]}", "Train on two classes or more")
    scaler = StandardScaler().fit(train_x)
    model = LogisticRegression(C=inverse_penalty, max_iter=max_iterations, tol=tolerance)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(scaler.transform(train_x), train_y)
    for warning in caught:
        if not issubclass(warning.category, ConvergenceWarning):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    scores = Scores(model.predict_proba(scaler.transform(test_x)), model.classes_)
    converged = not any(issubclass(w.category, ConvergenceWarning) for w in caught)
    return scores, {"converged": converged, "iterations": int(np.max(model.n_iter_))}
