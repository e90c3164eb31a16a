"""How much of the factors is in an embedding: a linear readout, and a match of single dimensions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Rows = npt.NDArray[np.floating]


class Sample(NamedTuple):
    """Embeddings (N, D) and the factors (N, F) behind them."""

    embeddings: Rows
    factors: Rows


def ridge_r2(fit: Sample, tests: list[Sample]) -> list[npt.NDArray[np.float64]]:
    """Return R² of each factor, (F,), for each test, of a ridge regression from the embeddings of `fit`.

    Embeddings are standardised as `fit` has them, then ridge with α = 1.
    """
    readout = make_pipeline(StandardScaler(), Ridge(1.0)).fit(fit.embeddings, fit.factors)
    return [r2_score(test.factors, readout.predict(test.embeddings), multioutput="raw_values") for test in tests]


def matched_correlations(fit: Sample, tests: list[Sample]) -> list[npt.NDArray[np.float64]]:
    """Return |correlation| of each factor with a dimension of its own, (F,), for each test; its mean is the MCC.

    Which dimension is whose is what makes the sum largest on `fit` (Hyvärinen & Morioka, arXiv 1605.06336). There must
    be as many dimensions as factors, or more.
    """
    dims, factors = linear_sum_assignment(correlations(fit), maximize=True)
    order = np.argsort(factors)
    return [correlations(test)[dims[order], factors[order]] for test in tests]


def correlations(sample: Sample) -> npt.NDArray[np.float64]:
    """Return |Pearson correlation| of every dimension with every factor, (D, F); 0 for a dimension that is constant."""
    embeddings, factors = (_standard(rows) for rows in sample)
    found: npt.NDArray[np.float64] = np.abs(embeddings.T @ factors) / len(embeddings)
    return found


def _standard(rows: Rows) -> npt.NDArray[np.float64]:
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    std = centred.std(axis=0)
    scaled: npt.NDArray[np.float64] = np.divide(centred, std, out=np.zeros_like(centred), where=std > 0)
    return scaled
