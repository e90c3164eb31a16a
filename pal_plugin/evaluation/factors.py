"""How well, and how neatly, features tell what images were made from: linear R² and DCI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pal_plugin.errors import DataError
from pal_plugin.evaluation._checks import Floats, checked_rows, same_width
from pal_plugin.evaluation.choice import Results, fitted
from pal_plugin.evaluation.parts import Parts
from pal_plugin.evaluation.source import Source
from pal_plugin.progress import progress

_FOLDS = 5
_ITERATIONS = 50_000
_TINY = 1e-12  # a vector of zeros has no direction and stays what it is


def linear_r2(
    train_x: NDArray[Any], train_f: NDArray[Any], test_x: NDArray[Any], test_f: NDArray[Any]
) -> dict[str, Any]:
    """Fit factors by least squares on features of unit length, and read the test rows' coefficient of determination.

    Args:
        train_x: (N, D) features, which are scaled to unit length here.
        train_f: (N, F) factors.
        test_x: (M, D) features.
        test_f: (M, F) factors.

    Returns:
        `r2`, the mean over the factors that vary; `per_factor`, by number from 0; and `left_out`, those that are
        constant among the train or the test rows. 1 is perfect, 0 is no better than the mean.

    Raises:
        FeatureError: features of wrong shape, or not finite.
        DataError: factors that do not fit the features, are not finite, or none of which varies.
    """
    from sklearn.linear_model import LinearRegression  # a second to import
    from sklearn.metrics import r2_score

    data = _checked(train_x, train_f, test_x, test_f)
    guess = LinearRegression().fit(data.train_x, data.train_f).predict(data.test_x)
    values = r2_score(data.test_f, guess, multioutput="raw_values")
    per_factor = dict(zip(map(str, data.numbers), map(float, values), strict=True))
    return {"r2": float(np.mean(values)), "per_factor": per_factor, "left_out": data.left_out}


def dci(train_x: NDArray[Any], train_f: NDArray[Any], test_x: NDArray[Any], test_f: NDArray[Any]) -> dict[str, Any]:
    """Measure disentanglement, completeness and informativeness (Eastwood and Williams, ICLR 2018) by lasso.

    Features of unit length and factors are standardised by the train rows; every factor is fitted by a lasso, whose
    penalty five folds of the train rows, shuffled, choose. R_ij is the magnitude of dimension i's coefficient for
    factor j, P the rows of R as distributions over K factors, and Q its columns as distributions over D dimensions::

        disentanglement  Σ_i ρ_i (1 − H_K(P_i)), ρ_i the share of row i in the sum of R
        completeness     the mean over factors of 1 − H_D(Q_j)
        nrmse            the mean over factors of the root mean squared error on the test rows, divided by that of the
                         train rows' mean: informativeness, 0 is perfect and 1 tells nothing

    A dimension or factor without any importance counts 0. AdaSSL's authors (arXiv 2602.02381) report the first and fit
    it on test images: fit on that split for a comparison with theirs.

    Args:
        train_x: (N, D) features, D ≥ 2.
        train_f: (N, F) factors, F ≥ 2.
        test_x: (M, D) features.
        test_f: (M, F) factors.

    Returns:
        `disentanglement`, `completeness`, `nrmse`; `unused_dimensions`, how many have no importance; and `left_out`,
        the numbers of factors that are constant among the rows of a part.

    Raises:
        FeatureError, DataError: see `linear_r2`; or there are fewer than two dimensions, or factors that vary.
    """
    data = _checked(train_x, train_f, test_x, test_f)
    if data.train_x.shape[1] < 2 or len(data.numbers) < 2:
        raise DataError(
            f"{data.train_x.shape[1]} dimensions and {len(data.numbers)} factors that vary have nothing to be "
            "disentangled",
            "Give two or more of both",
        )
    importance, error = _lassos(data)
    rows = importance.sum(axis=1)
    total = max(float(rows.sum()), _TINY)
    return {
        "disentanglement": float((rows / total * _certainty(importance)).sum()),
        "completeness": float(_certainty(importance.T).mean()),
        "nrmse": float(error.mean()),
        "unused_dimensions": int((rows == 0).sum()),
        "left_out": data.left_out,
    }


@dataclass(frozen=True)
class R2:
    """`linear_r2` of a data set's factors."""

    name: ClassVar[str] = "r2"
    fits: ClassVar[bool] = True
    chooses: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False

    def run(self, source: Source, parts: Parts) -> Results:
        """Return the figures of `linear_r2`; a data set without factors is a DataError."""
        return linear_r2(*_of_parts(source, parts))


@dataclass(frozen=True)
class DCI:
    """`dci` of a data set's factors."""

    name: ClassVar[str] = "dci"
    fits: ClassVar[bool] = True
    chooses: ClassVar[bool] = False
    trains: ClassVar[bool] = False
    reads_labels: ClassVar[bool] = False

    def run(self, source: Source, parts: Parts) -> Results:
        """Return the figures of `dci`; a data set without factors is a DataError."""
        return dci(*_of_parts(source, parts))


@dataclass(frozen=True)
class _Data:
    """Features of unit length in float64, and the factors that vary in both parts, by their numbers."""

    train_x: Floats
    train_f: Floats
    test_x: Floats
    test_f: Floats
    numbers: list[int]
    left_out: list[int]


def _of_parts(source: Source, parts: Parts) -> tuple[Floats, Floats, Floats, Floats]:
    fit, read = fitted(parts), parts.read
    train_f, test_f = fit.images.known_factors, read.images.known_factors  # before features are made
    return source.features(fit), train_f, source.features(read), test_f


def _checked(train_x: NDArray[Any], train_f: NDArray[Any], test_x: NDArray[Any], test_f: NDArray[Any]) -> _Data:
    train_x, test_x = (checked_rows(x, name=name) for x, name in ((train_x, "train"), (test_x, "test")))
    same_width(train_x, test_x)
    for name, x, f in (("train", train_x, train_f), ("test", test_x, test_f)):
        if f.ndim != 2 or len(f) != len(x) or f.shape[1] != train_f.shape[1] or not np.isfinite(f).all():
            raise DataError(
                f"The {name} factors, {f.dtype} of shape {f.shape}, do not fit {len(x)} rows of features",
                "Pass finite factors (N, F), a row for each row of features",
            )
    varies = (np.ptp(train_f, axis=0) > 0) & (np.ptp(test_f, axis=0) > 0)
    if not varies.any():
        raise DataError("No factor varies among the images of both parts", "Evaluate on more images")
    factors = [f[:, varies].astype(np.float64) for f in (train_f, test_f)]
    numbers, left_out = (np.flatnonzero(which).tolist() for which in (varies, ~varies))
    return _Data(_unit(train_x), factors[0], _unit(test_x), factors[1], numbers, left_out)


def _unit(x: Floats) -> Floats:
    x = x.astype(np.float64)
    unit: Floats = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), _TINY)
    return unit


def _lassos(data: _Data) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (D, F) importances, and (F,) errors relative to those of the train rows' mean."""
    from sklearn.linear_model import LassoCV
    from sklearn.model_selection import KFold
    from sklearn.preprocessing import StandardScaler

    scaled_x, scaled_f = StandardScaler().fit(data.train_x), StandardScaler().fit(data.train_f)
    train_x, test_x = (scaled_x.transform(x) for x in (data.train_x, data.test_x))
    train_f, test_f = (scaled_f.transform(f) for f in (data.train_f, data.test_f))
    importance, error = [], []
    folds = KFold(_FOLDS, shuffle=True, random_state=0)  # data sets of factors are often sorted by them
    for factor in progress(range(train_f.shape[1]), "lasso (factors)"):
        model = LassoCV(cv=folds, max_iter=_ITERATIONS).fit(train_x, train_f[:, factor])
        importance.append(np.abs(model.coef_))
        truth = test_f[:, factor]
        error.append(np.sqrt(np.square(model.predict(test_x) - truth).mean() / np.square(truth).mean()))
    return np.stack(importance, axis=1), np.array(error)


def _certainty(importance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 − the entropy of each row as a distribution, in units of the largest possible; 0 of a row of zeros."""
    from scipy.stats import entropy

    sums = importance.sum(axis=1)
    used = sums > 0
    certainty = np.zeros(len(importance))
    shares = importance[used] / sums[used, None]
    certainty[used] = 1 - entropy(shares, base=importance.shape[1], axis=1)
    return certainty
