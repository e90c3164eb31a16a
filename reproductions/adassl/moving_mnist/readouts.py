"""What is read of frozen embeddings, and how far sampled futures are from the true ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from reproductions.adassl.readouts import Rows, Sample

PENALTIES = (1e-2, 1.0, 1e2, 1e4)  # against the summed squared errors of standardised embeddings


def fitted(fit: Sample, choose: Sample) -> Pipeline:
    """Return the ridge regression from the embeddings of `fit` to its factors.

    Embeddings are standardised as `fit` has them; of `PENALTIES` the one with the least squared error on `choose`.
    """
    readouts = [make_pipeline(StandardScaler(), Ridge(penalty)).fit(*fit) for penalty in PENALTIES]
    errors = [mean_squared_error(choose.factors, readout.predict(choose.embeddings)) for readout in readouts]
    return readouts[int(np.argmin(errors))]


def r2(fit: Sample, choose: Sample, test: Sample) -> npt.NDArray[np.float64]:
    """Return R² of every factor on `test`, (F,), of the readout of `fitted`."""
    predicted = fitted(fit, choose).predict(test.embeddings)
    scores: npt.NDArray[np.float64] = r2_score(test.factors, predicted, multioutput="raw_values")
    return scores


def energy_score(forecasts: npt.NDArray[Any], truths: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the energy score of every query, (B,): lower is better.

    mean_{m,l} ‖f_m − s_l‖ − ½·mean_{m≠m′} ‖f_m − f_m′‖, an unbiased estimate of E‖F − S‖ − ½·E‖F − F′‖ (Gneiting &
    Raftery, 2007). It is least where the forecasts are distributed as the truth. Of one forecast, and of copies of
    one, the second term is zero.

    Args:
        forecasts: (M, B, F).
        truths: (L, B, F).
    """
    drawn, true = (torch.from_numpy(np.asarray(rows, np.float64)).transpose(0, 1) for rows in (forecasts, truths))
    count = drawn.shape[1]
    off = _distances(drawn, true).mean(dim=(1, 2))
    apart = _distances(drawn, drawn).sum(dim=(1, 2)) / max(1, count * (count - 1))
    scores: npt.NDArray[np.float64] = (off - apart / 2).numpy()
    return scores


def unit(rows: Rows) -> Rows:
    """Return rows (…, D) scaled to length one."""
    scaled: Rows = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return scaled


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    # by differences: the products that are the default for many rows leave 1e-8 between equal ones
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
